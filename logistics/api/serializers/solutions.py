"""
What a plan holds: routes, what is left out, prices.

Moments are seconds after midnight of the delivery day. Vehicles are named by their shifts, places as in
``shop:…``, ``locker:…`` and ``counter:…``.
"""

from typing import Any

from rest_framework import serializers

from optimizer.solution import PriceKind, Reason, RemedyKind


def _facts() -> serializers.DictField:
    return serializers.DictField(help_text="What the sentence is made of, to say it in another language.")


class CostTermsSerializer(serializers.Serializer[Any]):
    """Cost in cents, term by term."""

    fixed_cents = serializers.IntegerField()
    distance_cents = serializers.IntegerField()
    time_cents = serializers.IntegerField()
    co2e_cents = serializers.IntegerField()
    preference_cents = serializers.IntegerField(help_text="Of places that residents like less.")
    lateness_cents = serializers.IntegerField(help_text="Of deliveries later than promised.")
    stability_cents = serializers.IntegerField(help_text="Of orders on another vehicle than promised.")
    unserved_cents = serializers.IntegerField(help_text="Of orders left out.")
    total_cents = serializers.IntegerField()


class LoadSerializer(serializers.Serializer[Any]):
    """Goods in the four dimensions that are counted."""

    weight_g = serializers.IntegerField()
    volume_cm3 = serializers.IntegerField()
    chilled_cm3 = serializers.IntegerField()
    frozen_cm3 = serializers.IntegerField()


class DeliverySerializer(serializers.Serializer[Any]):
    """An order handed over."""

    order = serializers.UUIDField()
    option = serializers.IntegerField(help_text="Which of the places that the order may go to, from 0.")


class RouteStopSerializer(serializers.Serializer[Any]):
    """A visit as planned, the load after it, and how much it may slip."""

    place = serializers.CharField()
    arrival_s = serializers.IntegerField()
    start_s = serializers.IntegerField()
    departure_s = serializers.IntegerField()
    break_s = serializers.IntegerField(help_text="Break of whoever drives, from the arrival on.")
    trip = serializers.IntegerField()
    pickups = serializers.ListField(child=serializers.UUIDField())
    deliveries = DeliverySerializer(many=True)
    load = LoadSerializer(required=False, help_text="On board after the stop.")
    load_share = serializers.FloatField(
        required=False, help_text="Part of the capacity used after the stop, where it is fullest."
    )
    slack_s = serializers.IntegerField(
        required=False, help_text="Seconds by which its start may slip without breaking any rule later."
    )


class RouteSerializer(serializers.Serializer[Any]):
    """What one vehicle does in its shift."""

    vehicle = serializers.UUIDField(help_text="The shift.")
    start_s = serializers.IntegerField()
    end_s = serializers.IntegerField()
    duration_s = serializers.IntegerField()
    distance_m = serializers.IntegerField()
    wait_s = serializers.IntegerField(help_text="At stops, breaks included.")
    co2e_g = serializers.IntegerField()
    max_load = LoadSerializer(help_text="Largest load in each dimension.")
    cost = CostTermsSerializer()
    load_share = serializers.FloatField(required=False, help_text="The greatest of its stops.")
    slack_s = serializers.IntegerField(required=False, help_text="The least of its stops.")
    stops = RouteStopSerializer(many=True)


class RemedySerializer(serializers.Serializer[Any]):
    """A change that lets an order come along."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in RemedyKind])
    sentence = serializers.CharField()
    facts = _facts()
    saved_cents = serializers.IntegerField(help_text="By how much the plan gets cheaper; 0 for a penalty.")


class LeftOutSerializer(serializers.Serializer[Any]):
    """An order that waits for the next pool, why, and what would help."""

    order = serializers.UUIDField()
    reason = serializers.ChoiceField(choices=[reason.value for reason in Reason])
    sentence = serializers.CharField()
    facts = _facts()
    unserved_penalty_cents = serializers.IntegerField()
    remedies = RemedySerializer(many=True, required=False)


class PriceSerializer(serializers.Serializer[Any]):
    """What one more compartment, litre at a counter or vehicle is worth."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in PriceKind])
    sentence = serializers.CharField()
    facts = _facts()
    vehicles = serializers.ListField(
        child=serializers.UUIDField(), help_text="The shifts of the vehicles that the price is of."
    )
    available = serializers.IntegerField()
    shadow_cents = serializers.FloatField(
        allow_null=True, help_text="Dual value of the linear relaxation over the routes found: an estimate."
    )
    saved_cents = serializers.IntegerField(
        allow_null=True, help_text="By how much a plan that was found with one more is cheaper."
    )


class SolutionSerializer(serializers.Serializer[Any]):
    """Routes, orders left out with reasons and remedies, and prices."""

    cost = CostTermsSerializer()
    cost_cents = serializers.IntegerField()
    num_carried = serializers.IntegerField()
    routes = RouteSerializer(many=True)
    left_out = LeftOutSerializer(many=True)
    prices = PriceSerializer(many=True, required=False)
