"""``manage.py admit_lockers``: gives the broker the accounts of all devices, when it has lost them."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from lockers.models import BasicSetup, Device
from lockers.mqtt import accounts
from lockers.services import broker


class Command(BaseCommand):
    """Let every device in service or expected log in; accounts that are there already stay as they are."""

    help = "Give the broker the accounts of all devices in service."

    def handle(self, *args: Any, **options: Any) -> None:
        """Admit one device after the other."""
        if not settings.MQTT_URL:
            raise CommandError("MQTT_URL is not set: there is no broker.")
        in_service = Device.objects.in_service()
        try:
            for device in in_service:
                accounts.admit(device.pk, broker.password_of(device))
            for setup in BasicSetup.objects.filter(has_account=True):
                accounts.admit_newcomer(setup.pk)
        except accounts.BrokerError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{len(in_service)} devices may log in")
