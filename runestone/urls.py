"""The control plane's URLs. `/v1` and `/health` are not here: see runestone/asgi.py."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from api.contract import views as contract
from runestone.admin import joins

joins.register()

urlpatterns = [
    path("admin/", admin.site.urls),
    path("docs/", contract.swagger, name="docs"),
    path("docs/redoc/", contract.redoc, name="redoc"),
    path("docs/openapi.yaml", contract.openapi_yaml, name="openapi-yaml"),
    path("docs/openapi.json", contract.openapi_json, name="openapi-json"),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
