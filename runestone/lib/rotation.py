"""Sealed rows come under the vault's first key, so that the others can be removed."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import BinaryField, Model, QuerySet
from django.db.models.functions import Substr

from runestone.lib.encryption import KEY_ID_BYTES, CannotOpen, Vault

# One transaction for so many rows: whoever stops the work loses no more than these.
BATCH_ROWS = 100

Row = TypeVar("Row", bound=Model)


def reseal(
    rows: QuerySet[Row], vault: Vault, context: Callable[[Row], str]
) -> Iterator[tuple[int, list[Row]]]:
    """Seals the column `sealed` of `rows` anew where another key sealed it, batch after batch.

    Gives of each batch how many it sealed, and the rows that do not open. What is done is not
    looked at again, so a run that was stopped goes on where it was.
    """
    others = rows.annotate(
        key_id=Substr("sealed", 1, KEY_ID_BYTES, output_field=BinaryField())
    ).exclude(key_id=vault.key_id)
    last: Any = None
    while True:
        ahead = others if last is None else others.filter(pk__gt=last)
        keys = list(ahead.order_by("pk").values_list("pk", flat=True)[:BATCH_ROWS])
        if not keys:
            return
        yield _reseal_batch(rows.filter(pk__in=keys), vault, context)
        last = keys[-1]


@transaction.atomic
def _reseal_batch(
    rows: QuerySet[Row], vault: Vault, context: Callable[[Row], str]
) -> tuple[int, list[Row]]:
    done, unreadable = 0, []
    # One at a time: a stored response may have tens of megabytes.
    for row in rows.select_for_update(of=("self",)).iterator(chunk_size=1):
        sealed = bytes(vars(row)["sealed"])
        try:
            secret = vault.open(sealed, context=context(row))
        except CannotOpen:
            unreadable.append(row)
        else:
            fresh = vault.seal(secret, context=context(row))
            rows.filter(pk=row.pk).update(sealed=fresh)
            done += 1
    return done, unreadable
