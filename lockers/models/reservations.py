"""Claims to compartments."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q

from common.states import Stateful
from lockers.models.cabinets import Compartment, Locker
from lockers.models.codes import LockerCode
from lockers.sizes import Size, Temperature
from lockers.states import (
    AWAITING_COLLECTION,
    COLLECTION_WINDOW,
    HOLDING,
    MAX_REOPENINGS,
    RESERVATION_TRANSITIONS,
    ReservationState,
)


class ReservationQuerySet(models.QuerySet["Reservation"]):
    """Reservations by how they stand; moments are business time."""

    def holding(self) -> "ReservationQuerySet":
        """Reservations that keep capacity from others."""
        return self.filter(state__in=HOLDING)

    def unbound(self) -> "ReservationQuerySet":
        """Claims to a class that have no door yet."""
        return self.filter(state=ReservationState.RESERVED, compartment=None)

    def awaiting_collection(self) -> "ReservationQuerySet":
        """Reservations for which a code is still good."""
        return self.filter(state__in=AWAITING_COLLECTION)

    def expired(self, *, at: datetime) -> "ReservationQuerySet":
        """Claims whose time ran out before anyone came."""
        return self.filter(state=ReservationState.RESERVED, expires_at__lt=at)

    def overdue(self, *, at: datetime) -> "ReservationQuerySet":
        """Deposits whose holding time ran out."""
        return self.filter(state=ReservationState.DEPOSITED, hold_until__lt=at)


class Reservation(Stateful):
    """
    A bundle's claim: first to a class of compartments, later to one door, until the goods are gone.

    All moments are business time. ``opened_at``, ``closed_at`` and ``confirmed_at`` belong to the present
    deposit or collection.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    locker = models.ForeignKey(Locker, on_delete=models.CASCADE, related_name="reservations")
    compartment = models.ForeignKey(
        Compartment, on_delete=models.PROTECT, null=True, related_name="reservations"
    )
    code = models.ForeignKey(LockerCode, on_delete=models.SET_NULL, null=True, related_name="reservations")
    deposit_code = models.OneToOneField(
        LockerCode,
        on_delete=models.SET_NULL,
        null=True,
        related_name="deposit",
        help_text="With which the courier opens a door at the keypad, also without network.",
    )
    reference = models.UUIDField(help_text="Whose claim it is; opaque to this app.")
    size = models.CharField(max_length=2, choices=Size.choices)
    temperature = models.CharField(max_length=8, choices=Temperature.choices)
    low_door = models.BooleanField(default=False, help_text="The door must be reachable from a wheelchair.")
    state = models.CharField(
        max_length=12, choices=ReservationState.choices, default=ReservationState.RESERVED
    )
    expires_at = models.DateTimeField()
    hold_until = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(
        null=True, help_text="The courier's word after a deposit, the resident's after a collection."
    )
    deposited_at = models.DateTimeField(null=True)
    collecting_since = models.DateTimeField(null=True)
    num_openings = models.PositiveSmallIntegerField(
        default=0, help_text="Openings of the present collection."
    )
    disputed_at = models.DateTimeField(
        null=True,
        help_text="Since when its resident says that something is wrong; the code is frozen.",
    )
    ended_at = models.DateTimeField(null=True)

    objects = ReservationQuerySet.as_manager()

    TRANSITIONS = RESERVATION_TRANSITIONS

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["compartment"],
                condition=Q(state__in=sorted(HOLDING)),
                name="one_holding_reservation_per_compartment",
            ),
            models.UniqueConstraint(
                fields=["reference"],
                condition=Q(state__in=sorted(HOLDING)),
                name="one_holding_reservation_per_reference",
            ),
            models.CheckConstraint(
                condition=Q(compartment__isnull=False) | Q(state__in=["reserved", "cancelled", "expired"]),
                name="goods_lie_behind_a_door",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["locker", "state"], name="reservation_by_locker"),
            models.Index(fields=["state", "collecting_since"], name="reservation_by_state"),
            models.Index(
                fields=["expires_at"],
                name="claim_by_expiry",
                condition=Q(state=ReservationState.RESERVED.value),
            ),
            models.Index(
                fields=["hold_until"],
                name="deposit_by_end",
                condition=Q(state=ReservationState.DEPOSITED.value),
            ),
        ]

    def __str__(self) -> str:
        return f"reservation {self.pk} ({self.state})"

    def collection_is_over(self, *, at: datetime) -> bool:
        """Tell whether the window in which the compartment may be opened again has ended."""
        return self.collecting_since is not None and at >= self.collecting_since + COLLECTION_WINDOW

    @property
    def may_reopen(self) -> bool:
        """Tell whether the present collection has openings left."""
        return self.num_openings <= MAX_REOPENINGS
