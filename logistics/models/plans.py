"""Plans: the row that asks for a computation and keeps its outcome."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from common.states import Stateful
from logistics.models.pools import Pool
from logistics.models.principal import Principal
from logistics.states import PLAN_TRANSITIONS, TERRITORY_TRANSITIONS, PlanState, TerritoryState


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
    problem = models.JSONField(null=True, help_text="Of a large region, while its territories are planned.")
    problem_digest = models.CharField(max_length=64, blank=True, help_text="What was planned, as a hash.")
    travel = models.JSONField(
        default=list, help_text="Where metres and seconds come from, and what is missing, by profile."
    )
    solution = models.JSONField(null=True)
    cost_cents = models.PositiveBigIntegerField(null=True)
    lower_bound_cents = models.PositiveBigIntegerField(null=True)
    bound_reason = models.CharField(
        max_length=300, blank=True, help_text="How the proof of the bound ended, or why there is none."
    )
    relaxed = models.JSONField(
        default=list, help_text="Constraints and costs that the bound does not know of."
    )
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

    @property
    def gap(self) -> float | None:
        """Part of the cost by which the plan may exceed the cheapest one; ``None`` if nothing is proven."""
        if self.cost_cents is None or self.lower_bound_cents is None:
            return None
        return (self.cost_cents - self.lower_bound_cents) / max(self.cost_cents, 1)


class Territory(Stateful):
    """
    A part of a large region, planned by whichever worker takes it.

    Territories of one family have no order and no vehicle in common; the next family is made of their plans,
    across their borders.
    """

    TRANSITIONS = TERRITORY_TRANSITIONS

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="territories")
    family = models.PositiveSmallIntegerField()
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=7, choices=TerritoryState.choices, default=TerritoryState.WAITING)
    budget_s = models.FloatField(help_text="Time for the solver.")
    seed = models.PositiveIntegerField()
    problem = models.JSONField(null=True, help_text="Emptied once the plan of the region is made.")
    start = models.JSONField(null=True, help_text="The plan of its routes so far.")
    solution = models.JSONField(null=True, help_text="Its plan, with routes that it offers besides.")
    error = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["plan", "family", "number"], name="one_territory_per_number_of_a_family"
            )
        ]

    def __str__(self) -> str:
        return f"Territory {self.family}.{self.number} of plan {self.plan_id}"
