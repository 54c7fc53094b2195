"""The catalogue's pages: upstreams, their credentials, the models, and the routes between them."""

from providers.admin.credentials import TenantCredentialsDataset
from providers.admin.models import ModelAdmin
from providers.admin.upstreams import UpstreamAdmin

__all__ = ["ModelAdmin", "TenantCredentialsDataset", "UpstreamAdmin"]
