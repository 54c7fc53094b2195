"""Three upstreams of one model, and two providers that serve them and write one bill."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from django.db import transaction

from billing.models import Price
from providers.models import Model, Route, Upstream
from runestone.local.mock_provider.process import MockProvider

# The gateway notices new rows within this time.
NOTICE_SECONDS = 1.0
# A moment for JSON and between the words of a stream: a kill and a hang-up hit calls under way.
STEADY = "delay=0.03;gap=0.01"
FAULTS = (
    "error=429;retry_after=1", "error=500", "error=503", "garbage", "drop", "cut=0",
    "cut=2;gap=0.01", "midstream_error=2",
)  # fmt: skip
# Most calls fail: a breaker has to open.
ERRATIC = "|".join((*FAULTS, *["normal"] * 2))
# Every fourth does: calls have to be rescued, and the breaker stays closed. (A route's name for a
# model has 200 characters at most, and "crlf" is a good answer with a short name.)
UNSTEADY = "|".join((*FAULTS, *["crlf"] * 16))


@dataclass
class Upstreams:
    """`model` is served by all three, at prices that are the same everywhere."""

    model: str
    doomed: str
    erratic: str
    healthy: str
    # What `doomed` runs on, and what the others do.
    mortal: MockProvider
    lasting: MockProvider

    def bill(self) -> list[dict]:
        """Both providers': they write into one file."""
        return self.lasting.bill()

    def change(self, how: str) -> None:
        """From now on `erratic` serves in this way, once the gateway has noticed."""
        route = Route.objects.get(upstream__slug=self.erratic)
        route.upstream_model = f"gpt-4o-mini:{how}"
        route.save()
        time.sleep(NOTICE_SECONDS)


@contextmanager
def upstreams(bill: Path, seed: int) -> Iterator[Upstreams]:
    with MockProvider(bill=bill) as mortal, MockProvider(bill=bill, seed=seed) as lasting:
        name = f"chaos-{uuid4().hex[:8]}"
        made = Upstreams(
            name, f"{name}-doomed", f"{name}-erratic", f"{name}-healthy", mortal, lasting
        )
        with transaction.atomic():
            model = Model.objects.create(name=name, max_output_tokens=16_384)
            _add(model, made.doomed, mortal, STEADY, priority=1)
            _add(model, made.erratic, lasting, ERRATIC, priority=2)
            _add(model, made.healthy, lasting, STEADY, priority=3)
        yield made


def _add(model: Model, slug: str, provider: MockProvider, how: str, priority: int) -> None:
    upstream = Upstream.objects.create(
        slug=slug, name=slug, dialect="openai", base_url=provider.url
    )
    Route.objects.create(
        model=model, upstream=upstream, upstream_model=f"gpt-4o-mini:{how}", priority=priority
    )
    for price in Price.objects.filter(upstream="mock", model="gpt-4o-mini"):
        price.pk, price.upstream, price.model = None, slug, model.name
        price.save()
