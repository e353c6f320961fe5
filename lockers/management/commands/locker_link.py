"""``manage.py locker_link``: serves the lockers that speak MQTT, until it is stopped."""

import signal
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from lockers.mqtt.gateway import Gateway


class Command(BaseCommand):
    """Serve the lockers that speak MQTT; any number of these processes may run side by side."""

    help = "Serve the lockers that speak MQTT until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop; a broker or database that is away is waited for."""
        if not settings.MQTT_URL:
            raise CommandError("MQTT_URL is not set: there is no broker to connect to.")
        gateway = Gateway(f"link-{uuid4().hex[:12]}")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: gateway.stop())
        gateway.run(ready=self._ready)

    def _ready(self) -> None:
        self.stdout.write("locker link ready")
        self.stdout.flush()
