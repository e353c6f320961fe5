"""Devices, their boots, what they report, and the tokens that bring them into service."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q

from common.states import Stateful
from lockers.models.cabinets import Locker
from lockers.states import (
    BASIC_REACHABLE_FOR,
    LINK_TRANSITIONS,
    OFFLINE_AFTER,
    REACHABLE_FOR,
    LinkState,
    Profile,
    Transport,
)

#: Basic devices number nothing: the server does, in one boot that never ends.
BASIC_BOOT_ID = "basic"


class DeviceQuerySet(models.QuerySet["Device"]):
    """Devices by how they stand."""

    def in_service(self) -> "DeviceQuerySet":
        """Devices that were not retired."""
        return self.exclude(state=LinkState.RETIRED)

    def full(self) -> "DeviceQuerySet":
        """Devices that sign what they say; the others are kept out of what needs it."""
        return self.filter(profile=Profile.FULL)

    def basic(self) -> "DeviceQuerySet":
        """Devices that speak as an unmodified Open-Locker client does."""
        return self.filter(profile=Profile.BASIC)

    def silent(self, *, at: datetime) -> "DeviceQuerySet":
        """Devices that count as online, but have missed three heartbeats at a real moment."""
        return self.filter(state=LinkState.ONLINE, last_seen_at__lt=at - OFFLINE_AFTER)


class Device(Stateful):
    """What drives a locker: one identity per provisioning, never used again. All moments are real time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    locker = models.ForeignKey(Locker, on_delete=models.CASCADE, related_name="devices")
    profile = models.CharField(max_length=5, choices=Profile.choices, default=Profile.FULL)
    public_key = models.CharField(
        max_length=44, blank=True, help_text="Ed25519, base64; a basic device has none."
    )
    state = models.CharField(max_length=8, choices=LinkState.choices, default=LinkState.UNKNOWN)
    link_epoch = models.CharField(max_length=64, blank=True, help_text="Nonce of the present connection.")
    transport = models.CharField(max_length=5, choices=Transport.choices, default=Transport.HTTPS)
    num_hellos = models.PositiveBigIntegerField(
        default=0, help_text="The device's own count; a lower one is a replay."
    )
    keys_told = models.CharField(
        max_length=16, blank=True, help_text="Names the set of server keys that it was told to obey."
    )
    list_version = models.PositiveBigIntegerField(default=0, help_text="Of the list of codes sent last.")
    list_confirmed = models.PositiveBigIntegerField(default=0, help_text="Version that the device keeps.")
    list_digest = models.CharField(max_length=64, blank=True, help_text="Of what the list said.")
    list_revision = models.PositiveBigIntegerField(default=0, help_text="The locker's, as it was made.")
    list_sent_at = models.DateTimeField(null=True)
    num_own_decisions = models.PositiveBigIntegerField(
        default=0, help_text="Openings that the device decided by its list, as far as they are known."
    )
    gap_since = models.DateTimeField(
        null=True, help_text="Since when a report before a later one is missing."
    )
    sync_sent_at = models.DateTimeField(null=True, help_text="When it was last asked for what is missing.")
    last_seen_at = models.DateTimeField(null=True)
    provisioned_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    objects = DeviceQuerySet.as_manager()

    TRANSITIONS = LINK_TRANSITIONS

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["locker"],
                condition=~Q(state=LinkState.RETIRED.value),
                name="one_device_in_service_per_locker",
            ),
            models.UniqueConstraint(
                fields=["public_key"], condition=~Q(public_key=""), name="one_device_per_key"
            ),
            models.CheckConstraint(
                condition=(Q(profile=Profile.FULL.value) & ~Q(public_key=""))
                | Q(profile=Profile.BASIC.value, public_key=""),
                name="only_a_basic_device_has_no_key",
            ),
        ]

    def __str__(self) -> str:
        return f"device {self.pk} ({self.state})"

    @property
    def label(self) -> dict[str, str]:
        """Return what tells a basic device wherever it is named; a full one needs no label."""
        return {"profile": self.profile} if self.profile == Profile.BASIC else {}

    def is_reachable(self, *, at: datetime) -> bool:
        """Tell whether the device spoke lately enough before a real moment to be sent a command."""
        if self.state != LinkState.ONLINE or self.last_seen_at is None:
            return False
        patience = BASIC_REACHABLE_FOR if self.profile == Profile.BASIC else REACHABLE_FOR
        return self.last_seen_at >= at - patience


class DeviceBoot(models.Model):
    """One life of a device between two starts; ``boot_id`` sorts by age."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="boots")
    boot_id = models.CharField(max_length=64)
    accepted_seq = models.PositiveBigIntegerField(default=0, help_text="Nothing up to here is missing.")
    applied_seq = models.PositiveBigIntegerField(default=0, help_text="Everything up to here took effect.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["device", "boot_id"], name="one_row_per_boot"),
        ]

    def __str__(self) -> str:
        return f"boot {self.boot_id} of {self.device_id}"


class DeviceEvent(models.Model):
    """The inbox: what a device reported, each message once."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="events")
    boot_id = models.CharField(max_length=64)
    seq = models.PositiveBigIntegerField()
    message_id = models.UUIDField()
    transaction_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=40)
    data = models.JSONField(default=dict)
    reported_at = models.DateTimeField(help_text="The device's own clock; information only.")
    received_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)
    problem = models.CharField(
        max_length=200, blank=True, help_text="Why it could not take its usual effect."
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["device", "boot_id", "seq"], name="each_device_event_once"),
            models.UniqueConstraint(
                fields=["device", "message_id"],
                condition=Q(boot_id=BASIC_BOOT_ID),
                name="each_basic_message_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.boot_id}:{self.seq}"


class ProvisioningTokenQuerySet(models.QuerySet["ProvisioningToken"]):
    """Tokens by whether they are still good."""

    def usable(self, *, at: datetime) -> "ProvisioningTokenQuerySet":
        """Tokens by which a device may come into service at a real moment."""
        return self.filter(used_by=None, expires_at__gt=at)


class ProvisioningToken(models.Model):
    """A one-time right to bring a device into service; only its digest is kept. Moments are real time."""

    locker = models.ForeignKey(Locker, on_delete=models.CASCADE, related_name="tokens")
    profile = models.CharField(
        max_length=5, choices=Profile.choices, default=Profile.FULL, help_text="Of the device that it makes."
    )
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_by = models.OneToOneField(Device, on_delete=models.CASCADE, null=True, related_name="token")

    objects = ProvisioningTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"token for {self.locker_id}"
