"""Plans: the row that asks for a computation and keeps its outcome."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from common.states import Stateful
from logistics.models.pools import Pool
from logistics.models.principal import Principal
from logistics.states import PLAN_TRANSITIONS, PlanState


class PlanQuerySet(models.QuerySet["Plan"]):
    """Plans by who may see them."""

    def visible_to(self, principal: Principal) -> "PlanQuerySet":
        """Plans of the regions that the principal dispatches."""
        return self.filter(pool__region__in=principal.dispatches)


class Plan(Stateful):
    """A computed proposal for one pool: routes, cost, and a reason for each order left out."""

    TRANSITIONS = PLAN_TRANSITIONS

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="plans")
    state = models.CharField(max_length=9, choices=PlanState.choices, default=PlanState.QUEUED)
    budget_s = models.FloatField(help_text="Time for the solver.")
    seed = models.PositiveIntegerField(default=0)
    progress = models.JSONField(default=dict)
    is_cancel_requested = models.BooleanField(default=False)
    problem_digest = models.CharField(max_length=64, blank=True, help_text="What was planned, as a hash.")
    solution = models.JSONField(null=True)
    cost_cents = models.PositiveBigIntegerField(null=True)
    lower_bound_cents = models.PositiveBigIntegerField(null=True)
    num_carried = models.PositiveIntegerField(null=True)
    num_left_out = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    objects = PlanQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["pool"],
                condition=Q(state__in=["queued", "running"]),
                name="one_plan_in_computation_per_pool",
            ),
            models.UniqueConstraint(
                fields=["pool"], condition=Q(state="released"), name="one_released_plan_per_pool"
            ),
        ]

    def __str__(self) -> str:
        return f"Plan {self.pk}"
