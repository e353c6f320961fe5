"""Django's entry for logistics."""

from importlib import import_module

from django.apps import AppConfig


class LogisticsConfig(AppConfig):
    """Shops list orders, pools gather them, plans send vehicles, residents collect."""

    name = "logistics"
    verbose_name = "Logistik"

    def ready(self) -> None:
        """Register checks, and what reacts to intents and to the lockers' announcements."""
        import_module("logistics.checks")
        import_module("logistics.tasks")
        import_module("logistics.receivers")
