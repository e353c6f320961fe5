"""What dispatchers send and see: pools, plans, the books of a day."""

from typing import Any

from rest_framework import serializers

from logistics.api.serializers.solutions import SolutionSerializer
from logistics.models import Plan, Pool


class PoolInputSerializer(serializers.Serializer[Any]):
    """A pool to open."""

    region = serializers.UUIDField()
    delivery_date = serializers.DateField()
    cutoff_at = serializers.DateTimeField()
    loading_from = serializers.DateTimeField()
    deliver_until = serializers.DateTimeField()


class PoolSerializer(serializers.ModelSerializer[Pool]):
    """A pool."""

    class Meta:
        model = Pool
        fields = (
            "id",
            "region",
            "delivery_date",
            "cutoff_at",
            "loading_from",
            "deliver_until",
            "state",
            "created_at",
        )


class PlanInputSerializer(serializers.Serializer[Any]):
    """How much time the solver gets."""

    budget_s = serializers.FloatField(min_value=0.5, max_value=600, default=30)
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)


class TravelSerializer(serializers.Serializer[Any]):
    """Whose metres and seconds a plan was made with."""

    profile = serializers.CharField()
    model = serializers.CharField(help_text="geodesic, network or osrm.")
    attribution = serializers.CharField(help_text="Whom to name beside the figures; empty if nobody.")
    missing = serializers.CharField(help_text="What the model could not do; empty if nothing.")


class PlanSummarySerializer(serializers.ModelSerializer[Plan]):
    """A plan without its routes: progress while it is computed, figures afterwards."""

    gap = serializers.FloatField(
        read_only=True,
        allow_null=True,
        help_text="Part of the cost by which the plan may lie above the cheapest one, as far as is proven.",
    )
    relaxed = serializers.ListField(
        child=serializers.CharField(), help_text="Constraints and costs that the bound does not know of."
    )
    travel = TravelSerializer(
        many=True, help_text="Where metres and seconds come from, by profile of vehicle."
    )
    progress = serializers.JSONField(
        help_text="Phase, fraction of the budget, cost and orders carried so far."
    )

    class Meta:
        model = Plan
        fields: tuple[str, ...] = (
            "id",
            "pool",
            "state",
            "budget_s",
            "seed",
            "progress",
            "is_cancel_requested",
            "cost_cents",
            "lower_bound_cents",
            "gap",
            "bound_reason",
            "relaxed",
            "travel",
            "num_carried",
            "num_left_out",
            "error",
            "created_at",
            "finished_at",
        )


class PlanSerializer(PlanSummarySerializer):
    """A plan with its routes and what is left out."""

    solution = SolutionSerializer(allow_null=True)

    class Meta(PlanSummarySerializer.Meta):
        fields = (*PlanSummarySerializer.Meta.fields, "solution")


class DaySerializer(serializers.Serializer[Any]):
    """The books of a pool: orders by state, runs, cost, what is left out."""

    listed = serializers.IntegerField(
        help_text="Orders listed for this pool, and those that came too late for it."
    )
    states = serializers.DictField(child=serializers.IntegerField())
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text="Reason → orders.")
    runs = serializers.IntegerField()
    distance_m = serializers.IntegerField()
    cost_cents = serializers.IntegerField(help_text="Of the runs, without penalties for what is left out.")
    events = serializers.IntegerField(help_text="Door events applied.")
