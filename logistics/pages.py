"""The pages: what anyone may see of a region's day."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation

from common.clock import now
from logistics import overview as of


def overview(request: HttpRequest) -> HttpResponse:
    """Show the newest day: orders by state, runs, and a map of them; no personal data."""
    # The page is written in German, so its dates and numbers are too, whatever the browser prefers.
    with translation.override("de"):
        return render(request, "logistics/overview.html", {"now": now(), "day": of.newest_day()})
