"""Addresses of the locker link; to be included under ``/api/v1/link/``."""

from django.urls import path

from lockers.api import views

urlpatterns = [
    path("provision/", views.provision, name="link-provision"),
    path("hello/", views.hello, name="link-hello"),
    path("poll/", views.poll, name="link-poll"),
    path("messages/", views.messages, name="link-messages"),
    path("codes/", views.codes, name="link-codes"),
]
