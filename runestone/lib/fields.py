"""Model fields for money, so that no amount ever turns into a float or a Decimal on its way."""

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.functional import cached_property

_DIGITS = 30


class PicoField(models.BigIntegerField):  # type: ignore[type-arg]  # not generic at run time
    """One amount in pico-USD: up to 9.2 million USD."""

    description = "Amount in pico-USD"


class PicoSumField(models.DecimalField):  # type: ignore[type-arg]  # not generic at run time
    """A sum or limit in pico-USD without a practical bound; a whole number, an int in Python."""

    description = "Sum in pico-USD"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"max_digits": _DIGITS, "decimal_places": 0}
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs

    def from_db_value(self, value: Decimal | None, *_: Any) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> Any:
        amount = super().to_python(value)
        if amount is None:
            return None
        if amount != int(amount):
            raise ValidationError(
                "%(value)s is not a whole number of pico-USD", params={"value": value}
            )
        return int(amount)

    @cached_property
    def validators(self) -> list[Any]:
        """DecimalField's own check cannot read integers; this one says the same of them."""
        bound = 10**_DIGITS - 1
        own = [MinValueValidator(-bound), MaxValueValidator(bound)]
        return [*own, *self._validators]  # type: ignore[attr-defined]  # Field's own list of them
