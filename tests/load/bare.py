"""A server that does the least: one insert for each POST, on the product's database and settings."""

import json
from typing import Any

from a2wsgi import WSGIMiddleware
from django.apps import apps
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from common.clock import real_now

NUM_THREADS = 4


def insert(request: HttpRequest) -> HttpResponse:
    """Write one row; it is committed when this returns."""
    facts = json.loads(request.body)
    apps.get_model("common", "Event").objects.create(at=real_now(), kind="bare", scope="load", facts=facts)
    return HttpResponse(status=201)


urlpatterns = [path("", insert)]


def application() -> Any:
    """Return the application, with nothing between a request and its view."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    wsgi: Any = get_wsgi_application()
    return WSGIMiddleware(wsgi, workers=NUM_THREADS)
