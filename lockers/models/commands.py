"""Attempts to open a door."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q

from common.states import Stateful
from lockers.models.cabinets import Compartment
from lockers.models.devices import Device
from lockers.models.reservations import Reservation
from lockers.states import (
    COMMAND_TRANSITIONS,
    LIVE,
    OFFERABLE,
    UNOPENED,
    CommandState,
    LinkState,
    Profile,
    Purpose,
)


class OpenCommandQuerySet(models.QuerySet["OpenCommand"]):
    """Commands by how they stand."""

    def live(self) -> "OpenCommandQuerySet":
        """Commands whose outcome is being waited for."""
        return self.filter(state__in=LIVE)

    def offerable(self, *, at: datetime) -> "OpenCommandQuerySet":
        """Commands that a device may still receive at a real moment."""
        return self.filter(state__in=OFFERABLE, expires_at__gt=at)


class OpenCommand(Stateful):
    """One attempt to open one door, executed before its deadline or never. All moments are real time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    compartment = models.ForeignKey(Compartment, on_delete=models.CASCADE, related_name="commands")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="commands")
    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, null=True, related_name="commands")
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    link_epoch = models.CharField(max_length=64)
    request_id = models.UUIDField(null=True, help_text="Keypad message that asked for it; a repeat finds it.")
    state = models.CharField(max_length=12, choices=CommandState.choices, default=CommandState.CREATED)
    reason = models.CharField(max_length=40, blank=True, help_text="Why it was refused or failed.")
    detection_ms = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects = OpenCommandQuerySet.as_manager()

    TRANSITIONS = COMMAND_TRANSITIONS

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["compartment"],
                condition=Q(state__in=sorted(LIVE)),
                name="one_live_command_per_compartment",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "expires_at"], name="command_by_state_and_deadline"),
            models.Index(
                fields=["device", "request_id"], name="command_by_request", condition=~Q(request_id=None)
            ),
        ]

    def __str__(self) -> str:
        return f"open {self.compartment_id} ({self.state})"

    @property
    def is_live(self) -> bool:
        """Tell whether the outcome is being waited for."""
        return self.state in LIVE

    @property
    def leaves_the_keypad(self) -> bool:
        """Tell whether the door did not open as far as is known, and a code at the keypad may open it yet."""
        has_keypad = self.device.profile == Profile.FULL and self.device.state != LinkState.RETIRED
        return has_keypad and self.purpose != Purpose.OPERATOR and self.state in UNOPENED

    def is_offerable(self, *, at: datetime) -> bool:
        """Tell whether the device may still receive it at a real moment."""
        return self.state in OFFERABLE and self.expires_at > at
