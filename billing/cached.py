"""A cached answer on its way into the ledger: nothing held, nothing charged, what it saved told."""

from datetime import UTC, datetime
from uuid import UUID

from billing import end_users
from billing.holds import Accountant, Attempt, Hold, Line
from billing.pricing import Tariff
from runestone.lib.ids import uuid7
from runestone.lib.usage import NOTHING_USED, STANDARD, Usage

_FREE = Tariff(())


class CachedHold(Hold):
    """A hold of nothing, so that a cached answer has its one line, whoever interrupts it.

    No budget refuses it, however exhausted. `upstream` and `model` are those that answered first;
    `saved_pico` is what their answer would cost now, None if that is unknown.
    """

    def __init__(
        self,
        accountant: Accountant,
        *,
        request_id: UUID,
        tenant_id: int,
        project_id: int | None,
        api_key_id: int,
        upstream: str,
        model: str,
        end_user: str | None,
        saved_pico: int | None,
        streamed: bool,
    ) -> None:
        attempt = Attempt(
            id=uuid7(),
            request_id=request_id,
            tenant_id=tenant_id,
            project_id=project_id,
            api_key_id=api_key_id,
            upstream=upstream,
            model=model,
            end_user=end_users.bounded(end_user),
            service_tier=STANDARD,
            attempt=1,
            byok=False,
            amount_pico=0,
            estimate_pico=0,
        )
        super().__init__(
            accountant,
            attempt,
            _FREE,
            admitted=datetime.now(UTC),
            counted=NOTHING_USED,
            output_tokens_max=0,
            streamed=streamed,
            routing=None,
        )
        self._saved_pico = saved_pico

    def line(self, error: BaseException | None) -> Line:
        line = super().line(error)
        # One that was never granted has answered nobody, and stays void.
        if self._is_taken:
            line.kind, line.saved_pico = "cached", self._saved_pico
        return line

    def usage(self, error: BaseException | None = None) -> Usage:
        return NOTHING_USED
