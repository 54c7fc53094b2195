"""The endpoints in the form that drf-spectacular reads. Nothing is served from here.

`api/routes.py` serves them; a test holds the two lists against each other.
"""

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema_view
from rest_framework.views import APIView

from api.contract.operations import ENDPOINTS, Endpoint


def _described(endpoint: Endpoint) -> URLPattern:
    # A class for each: one view may serve many endpoints.
    view: type[APIView] = type(endpoint.view.__name__, (endpoint.view,), {})
    extend_schema_view(**endpoint.operations)(view)
    return path(endpoint.path, view.as_view())


urlpatterns = [_described(endpoint) for endpoint in ENDPOINTS]
