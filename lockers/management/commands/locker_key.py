"""``manage.py locker_key``: draws the next key with which we sign what lockers are told."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management.base import BaseCommand, CommandParser

from lockers import keys, wire
from lockers.models import Device


class Command(BaseCommand):
    """Print a new seed and its public key, changing nothing; or who is yet to hear of the present keys."""

    help = "Draw a key to sign with, or name the lockers that are yet to hear of the present ones."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what is to be told."""
        parser.add_argument("--untold", action="store_true", help="name lockers instead of drawing a key")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write to the terminal and nowhere else."""
        if options["untold"]:
            self._name_untold()
            return
        key = Ed25519PrivateKey.generate()
        present = keys.server_key().public_key()
        self.stdout.write(f"seed (secret): {base64.b64encode(key.private_bytes_raw()).decode()}")
        self.stdout.write(f"public key:    {wire.public_text(key.public_key())}")
        self.stdout.write(f"present one:   {wire.public_text(present)}")

    def _name_untold(self) -> None:
        in_service = Device.objects.full().in_service()
        untold = in_service.exclude(keys_told=keys.name_of_known()).select_related("locker")
        for device in untold.order_by("locker__slug"):
            last_seen = device.last_seen_at and wire.moment(device.last_seen_at)
            self.stdout.write(f"{device.locker.slug}: {device.state}, last heard of {last_seen or 'never'}")
        self.stdout.write(f"{len(untold)} of {in_service.count()} lockers are yet to hear of the keys")
