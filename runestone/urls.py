"""The control plane's URLs. `/v1` and `/health` are not here: see runestone/asgi.py."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from runestone.admin import joins

joins.register()

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
