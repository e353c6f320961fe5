"""Django's entry for the common leaf."""

from importlib import import_module

from django.apps import AppConfig


class CommonConfig(AppConfig):
    """What every app stands on; knows no domain word."""

    name = "common"
    verbose_name = "Foundation"

    def ready(self) -> None:
        """Register what `check --deploy` refuses."""
        import_module("common.checks")
