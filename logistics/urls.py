"""Addresses of the pages."""

from django.urls import path

from logistics import pages

app_name = "pages"

urlpatterns = [path("", pages.overview, name="overview")]
