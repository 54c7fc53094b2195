"""The endpoints. A key sees its own tenant's requests; a project's key, its own project's."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from rest_framework.request import Request
from rest_framework.response import Response

from api import gateway
from api.account.shapes import Receipt, request_receipt
from api.views import AsyncAPIView, call_of
from billing.models import Entry
from runestone.lib.errors import NotFound
from runestone.lib.ids import request_uuid
from tenants.authentication import Caller


class ReceiptDetail(AsyncAPIView):
    async def get(self, request: Request, name: str) -> Response:
        caller = await (await gateway.current()).access.aauthenticate(call_of(request))
        request_id = request_uuid(name)
        if request_id is None:
            raise _not_found(name)
        receipt = await sync_to_async(_receipt, thread_sensitive=False)(caller, request_id)
        if receipt is None:
            raise _not_found(name)
        return Response(receipt)


def _receipt(caller: Caller, request_id: UUID) -> Receipt | None:
    own: dict[str, Any] = {"tenant_id": caller.tenant_id}
    if caller.project_id is not None:
        own["project_id"] = caller.project_id
    entries = list(Entry.objects.filter(request_id=request_id, **own))
    return request_receipt(entries) if entries else None


def _not_found(name: str) -> NotFound:
    return NotFound(f"No request '{name}' has a line in this account's ledger.")
