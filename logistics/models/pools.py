"""Pools: the orders of a region gathered for one delivery window, until the cut-off."""

from datetime import datetime
from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import F, Q

from common.states import Stateful
from logistics.models.principal import Principal
from logistics.models.region import Region
from logistics.states import POOL_TRANSITIONS, PoolState


class PoolQuerySet(models.QuerySet["Pool"]):
    """Pools by what they do and who may see them."""

    def visible_to(self, principal: Principal) -> "PoolQuerySet":
        """Pools of the principal's regions."""
        return self.filter(region__in=principal.regions)

    def taking_orders(self, *, at: datetime) -> "PoolQuerySet":
        """Pools that an order listed at this moment may join, the next cut-off first."""
        return self.filter(state=PoolState.OPEN, cutoff_at__gt=at).order_by("cutoff_at")

    def past_cutoff(self, *, at: datetime) -> "PoolQuerySet":
        """Open pools whose cut-off has come."""
        return self.filter(state=PoolState.OPEN, cutoff_at__lte=at)


class Pool(Stateful):
    """The orders of a region for one delivery window."""

    TRANSITIONS = POOL_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="pools")
    delivery_date = models.DateField()
    cutoff_at = models.DateTimeField()
    loading_from = models.DateTimeField()
    deliver_until = models.DateTimeField()
    state = models.CharField(max_length=8, choices=PoolState.choices, default=PoolState.OPEN)
    created_at = models.DateTimeField()

    objects = PoolQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["region", "delivery_date"], name="one_pool_per_region_and_date"),
            models.CheckConstraint(
                condition=Q(cutoff_at__lte=F("loading_from"), loading_from__lt=F("deliver_until")),
                name="pool_windows_follow_each_other",
            ),
        ]

    def __str__(self) -> str:
        return f"Pool {self.delivery_date}"

    def takes_orders(self, *, at: datetime) -> bool:
        """Tell whether orders may still be listed, changed or cancelled."""
        return self.state == PoolState.OPEN and at < self.cutoff_at
