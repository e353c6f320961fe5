"""Lockers and their compartments."""

import uuid
from typing import ClassVar

from django.db import models

from common.states import Stateful
from lockers.sizes import Height, Size, Temperature
from lockers.states import COMPARTMENT_TRANSITIONS, UNUSABLE_DOORS, CompartmentState, DoorState


class Locker(models.Model):
    """A cabinet with compartments in a village."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    namespace = models.SlugField(help_text="Region within which locker codes are told apart.")

    def __str__(self) -> str:
        return self.name


class CompartmentQuerySet(models.QuerySet["Compartment"]):
    """Compartments by what can be done with them."""

    def free(self) -> "CompartmentQuerySet":
        """Compartments behind which nothing lies or is meant to lie, with a door that can be used now."""
        return self.filter(state=CompartmentState.FREE).exclude(door__in=UNUSABLE_DOORS)


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

    objects = CompartmentQuerySet.as_manager()

    TRANSITIONS = COMPARTMENT_TRANSITIONS

    class Meta:
        ordering: ClassVar = ["locker", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["locker", "number"], name="one_compartment_per_number"),
        ]

    def __str__(self) -> str:
        return f"{self.locker_id} no. {self.number}"

    @property
    def is_low(self) -> bool:
        """Tell whether the door can be reached from a wheelchair."""
        return self.height == Height.LOW
