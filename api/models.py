"""What the doors keep: responses that callers may ask for again, or go on from."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.utils import timezone

from tenants.models import ApiKey, Tenant


class StoredResponse(models.Model):
    """A response of `/v1/responses` and its input, sealed.

    Written and read by `api/responses/store.py`, off the ORM. There is no foreign key to the
    response before it: each can be deleted by itself.
    """

    id = models.UUIDField(primary_key=True, help_text="Of the request; `resp_` and its hex.")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    previous_id = models.UUIDField(null=True, help_text="The response that this one goes on from.")
    sealed = models.BinaryField(help_text="JSON of the response and its input items, encrypted.")
    created = models.DateTimeField(default=timezone.now)
    expires = models.DateTimeField(help_text="Unreachable from then on, and deleted soon after.")

    class Meta:
        ordering: ClassVar = ["-created"]
        indexes: ClassVar = [models.Index(fields=["expires"], name="api_response_expires")]

    def __str__(self) -> str:
        return f"resp_{self.id.hex}"

    @classmethod
    def purge(cls, now: datetime, rows_max: int) -> int:
        """Deletes so many expired ones at most; tells how many."""
        expired = cls.objects.filter(expires__lte=now).order_by("expires")[:rows_max]
        deleted, _ = cls.objects.filter(pk__in=expired.values("pk")).delete()
        return deleted
