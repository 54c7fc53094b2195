"""Model fields for money, so that no amount ever turns into a float or a Decimal on its way."""

from decimal import Decimal
from typing import Any

from django.db import models


class PicoField(models.BigIntegerField):  # type: ignore[type-arg]  # not generic at run time
    """One amount in pico-USD: up to 9.2 million USD."""

    description = "Amount in pico-USD"


class PicoSumField(models.DecimalField):  # type: ignore[type-arg]  # not generic at run time
    """A sum or limit in pico-USD without a practical bound; a whole number, an int in Python."""

    description = "Sum in pico-USD"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"max_digits": 30, "decimal_places": 0}
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs

    def from_db_value(self, value: Decimal | None, *_: Any) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return None if value is None else int(value)
