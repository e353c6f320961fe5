"""Lockers and their compartments."""

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from common.states import Stateful
from lockers.sizes import Height, Size, Temperature
from lockers.states import COMPARTMENT_TRANSITIONS, TROUBLE, UNUSABLE_DOORS, CompartmentState, DoorState


class Locker(models.Model):
    """A cabinet with compartments in a village."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    namespace = models.SlugField(help_text="Region within which locker codes are told apart.")
    revision = models.PositiveBigIntegerField(
        default=0, help_text="Counts what may change the list of codes that the device keeps."
    )

    def __str__(self) -> str:
        return self.name


class CompartmentQuerySet(models.QuerySet["Compartment"]):
    """Compartments by what can be done with them."""

    def free(self) -> "CompartmentQuerySet":
        """
        Compartments behind which nothing lies or is meant to lie, with a door that can be used now.

        A door whose sensor fails would never be seen closed; but before its device has spoken for the first
        time, nobody knows of any door.
        """
        spoken_of = models.Exists(
            Locker.objects.filter(pk=models.OuterRef("locker"), devices__boots__applied_seq__gt=0)
        )
        return (
            self.filter(state=CompartmentState.FREE)
            .exclude(door__in=UNUSABLE_DOORS)
            .exclude(models.Q(door=DoorState.UNKNOWN) & spoken_of)
        )


class Compartment(Stateful):
    """One door and the space behind it."""

    locker = models.ForeignKey(Locker, on_delete=models.CASCADE, related_name="compartments")
    number = models.PositiveSmallIntegerField()
    size = models.CharField(max_length=2, choices=Size.choices)
    temperature = models.CharField(max_length=8, choices=Temperature.choices)
    height = models.CharField(max_length=10, choices=Height.choices)
    state = models.CharField(
        max_length=16,
        choices=CompartmentState.choices,
        default=CompartmentState.FREE,
        help_text="Our intent.",
    )
    door = models.CharField(
        max_length=16, choices=DoorState.choices, default=DoorState.UNKNOWN, help_text="The device's facts."
    )
    num_jams = models.PositiveSmallIntegerField(default=0, help_text="Times in a row the door did not move.")
    verify_empty = models.BooleanField(
        default=False, help_text="Freed without anyone's word that it is empty; taken last."
    )

    has_alarm = models.BooleanField(
        default=False, help_text="An alarm about this door is open; spares ordinary doors the look."
    )
    trouble = models.CharField(max_length=30, blank=True, help_text="Why it is out of use, as a code.")
    trouble_note = models.CharField(max_length=200, blank=True, help_text="What an operator wrote about it.")
    trouble_since = models.DateTimeField(null=True, help_text="Business time.")

    objects = CompartmentQuerySet.as_manager()

    TRANSITIONS = COMPARTMENT_TRANSITIONS

    class Meta:
        ordering: ClassVar = ["locker", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["locker", "number"], name="one_compartment_per_number"),
            models.CheckConstraint(
                condition=(Q(state__in=sorted(TROUBLE), trouble_since__isnull=False) & ~Q(trouble=""))
                | (~Q(state__in=sorted(TROUBLE)) & Q(trouble_since=None, trouble="", trouble_note="")),
                name="out_of_use_for_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.locker_id} no. {self.number}"

    @property
    def is_low(self) -> bool:
        """Tell whether the door can be reached from a wheelchair."""
        return self.height == Height.LOW

    def come_back(self, to: CompartmentState, **changes: Any) -> bool:
        """Move into use again as ``advance`` does; what was wrong is forgotten."""
        return self.advance(to, trouble="", trouble_note="", trouble_since=None, **changes)
