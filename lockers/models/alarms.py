"""Alarms, and the readings of thermometers that some of them follow from."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q

from lockers.alarms import DOOR_KINDS, RULES, AlarmKind, AlarmLevel, Rule
from lockers.models.cabinets import Compartment, Locker
from lockers.models.devices import Device
from lockers.sizes import Temperature
from lockers.states import LinkState


class AlarmQuerySet(models.QuerySet["Alarm"]):
    """Alarms by how they stand; moments are real time."""

    def open(self) -> "AlarmQuerySet":
        """Alarms whose cause has not ended."""
        return self.filter(ended_at=None)

    def due(self, *, at: datetime) -> "AlarmQuerySet":
        """Open alarms that nobody ended in time, and that have not called the dispatcher yet."""
        waited = Q()
        for kind, rule in RULES.items():
            if rule.patience is not None:
                waited |= Q(kind=kind, raised_at__lte=at - rule.patience)
        return self.open().filter(waited).exclude(level=AlarmLevel.DISPATCHER)

    def outlived(self) -> "AlarmQuerySet":
        """Open alarms of a silence that is over, and all of a device that was retired since."""
        is_back = Q(kind=AlarmKind.OFFLINE, device__state=LinkState.ONLINE)
        return self.open().filter(is_back | Q(device__state=LinkState.RETIRED))


class Alarm(models.Model):
    """
    Something about a locker that somebody has to act upon, until its cause ends.

    All moments are real time: alarms follow from what devices measure in real seconds, and people are called
    after real minutes, however fast business time runs. A report counts from when it was received.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    locker = models.ForeignKey(Locker, on_delete=models.CASCADE, related_name="alarms")
    compartment = models.ForeignKey(
        Compartment,
        on_delete=models.CASCADE,
        null=True,
        related_name="alarms",
        help_text="The door that it is about; nothing if it is about the cabinet.",
    )
    device = models.ForeignKey(
        Device, on_delete=models.CASCADE, related_name="alarms", help_text="What said so, or fell silent."
    )
    kind = models.CharField(max_length=16, choices=AlarmKind.choices)
    zone = models.CharField(
        max_length=8, choices=Temperature.choices, blank=True, help_text="Where the temperature is wrong."
    )
    level = models.CharField(max_length=10, choices=AlarmLevel.choices, help_text="Who has to act.")
    facts = models.JSONField(default=dict, help_text="Numbers and identifiers, never personal data.")
    raised_at = models.DateTimeField(help_text="Real time.")
    escalated_at = models.DateTimeField(null=True, help_text="When its level last rose; real time.")
    ended_at = models.DateTimeField(null=True, help_text="When its cause was over; real time.")

    objects = AlarmQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["compartment", "kind"],
                condition=Q(ended_at=None),
                name="one_open_alarm_per_door_and_kind",
            ),
            models.UniqueConstraint(
                fields=["locker", "kind", "zone"],
                condition=Q(ended_at=None, compartment=None),
                name="one_open_alarm_per_cabinet_and_kind",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=sorted(DOOR_KINDS), compartment__isnull=False)
                | (~Q(kind__in=sorted(DOOR_KINDS)) & Q(compartment=None)),
                name="alarm_is_about_a_door_or_the_cabinet",
            ),
            models.CheckConstraint(
                condition=(Q(kind=AlarmKind.TEMPERATURE.value) & ~Q(zone=""))
                | (~Q(kind=AlarmKind.TEMPERATURE.value) & Q(zone="")),
                name="only_a_temperature_has_a_zone",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["raised_at"], condition=Q(ended_at=None), name="open_alarm_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.locker_id} ({self.level})"

    @property
    def rule(self) -> Rule:
        """Return whom the alarm calls, and what helps."""
        return RULES[AlarmKind(self.kind)]


class ZoneReading(models.Model):
    """The last word of the thermometer in one zone of a cabinet."""

    locker = models.ForeignKey(Locker, on_delete=models.CASCADE, related_name="readings")
    zone = models.CharField(max_length=8, choices=Temperature.choices)
    celsius_tenths = models.SmallIntegerField()
    read_at = models.DateTimeField(help_text="When the report was received; real time.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["locker", "zone"], name="one_reading_per_zone"),
        ]

    def __str__(self) -> str:
        return f"{self.zone} of {self.locker_id}: {self.celsius_tenths / 10} °C"
