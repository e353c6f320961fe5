"""What a basic device is told when it is brought in, and of its cabinet."""

import uuid

from django.db import models

from lockers.models.devices import ProvisioningToken


class BasicSetup(models.Model):
    """
    How a basic device is brought into service, and how its cabinet is wired. All moments are real time.

    Its own identity is that of the device to come: the client uses it as its identifier at the broker from
    the start, so that neither its first account nor its later one can take another device's place.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token = models.OneToOneField(ProvisioningToken, on_delete=models.CASCADE, related_name="setup")
    has_account = models.BooleanField(
        default=True, help_text="May log in at the broker to ask for its own account."
    )
    wiring = models.JSONField(help_text="Where each lock is connected, as lockers.wiring writes it.")
    applied_hash = models.CharField(max_length=64, blank=True, help_text="Of the wiring that it works with.")
    sent_at = models.DateTimeField(null=True, help_text="When it was last told of the wiring.")
    problem = models.CharField(
        max_length=40, blank=True, help_text="Code with which it refused the wiring last."
    )

    objects = models.Manager()

    def __str__(self) -> str:
        return f"setup of basic device {self.pk}"
