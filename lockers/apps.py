"""Makes Django know the app."""

from django.apps import AppConfig


class LockersConfig(AppConfig):
    """Registers the handlers of intents when the app is ready."""

    name = "lockers"
    verbose_name = "Lockers"

    def ready(self) -> None:
        """Load the tasks, and with them the handlers."""
        from lockers import tasks  # noqa: F401
