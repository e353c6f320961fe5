"""Runs as couriers see them, and what couriers report."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from lockers.states import Profile
from logistics.models import Handling, ReportKind, Run, Stop
from logistics.services.overflow import PLACE_REASONS, Action
from logistics.services.taps import GOODS_REASONS, Tap
from logistics.states import ParcelState


class HandlingSerializer(serializers.ModelSerializer[Handling]):
    """A parcel that is loaded or delivered at a stop."""

    id = serializers.UUIDField(source="parcel.id")
    order = serializers.UUIDField(source="parcel.order_id")
    bundle = serializers.UUIDField(source="parcel.bundle_id", allow_null=True)
    size = serializers.CharField(source="parcel.size")
    temperature = serializers.CharField(source="parcel.temperature")
    weight_g = serializers.IntegerField(source="parcel.weight_g")
    state = serializers.ChoiceField(choices=ParcelState.choices, source="parcel.state")
    at_locker = serializers.SerializerMethodField()

    class Meta:
        model = Handling
        fields = ("id", "order", "bundle", "at_locker", "size", "temperature", "weight_g", "state")

    def get_at_locker(self, handling: Handling) -> bool:
        """Tell whether the parcel goes behind a locker door."""
        bundle = handling.parcel.bundle
        return bundle is not None and bundle.reservation_id is not None


class StopSerializer(serializers.ModelSerializer[Stop]):
    """A visit: where, when as planned, and what is handled."""

    name = serializers.CharField(source="place.name")
    latitude = serializers.FloatField(source="place.latitude")
    longitude = serializers.FloatField(source="place.longitude")
    locker = serializers.SerializerMethodField()
    locker_profile = serializers.ChoiceField(
        choices=Profile.choices, allow_null=True, help_text="A basic locker opens online only."
    )
    parcels = HandlingSerializer(many=True, source="handlings")

    class Meta:
        model = Stop
        fields = (
            "id",
            "position",
            "kind",
            "name",
            "latitude",
            "longitude",
            "shop",
            "supply_point",
            "locker",
            "locker_profile",
            "arrives_at",
            "departs_at",
            "state",
            "arrived_at",
            "parcels",
        )

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_locker(self, stop: Stop) -> str | None:
        """Return the name under which the stop's locker is known to its device."""
        point = stop.supply_point
        return point.locker.slug if point is not None and point.locker is not None else None


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run without its stops."""

    vehicle_name = serializers.CharField(source="vehicle.name")
    vehicle_kind = serializers.CharField(source="vehicle.kind")

    class Meta:
        model = Run
        fields = (
            "id",
            "pool",
            "plan",
            "letter",
            "vehicle",
            "vehicle_name",
            "vehicle_kind",
            "courier",
            "state",
            "starts_at",
            "ends_at",
            "started_at",
            "finished_at",
            "distance_m",
            "cost_cents",
            "cost_terms",
            "load_percent",
            "created_at",
        )


class RunDetailSerializer(RunSerializer):
    """A run with its stops."""

    stops = StopSerializer(many=True)

    class Meta:
        model = Run
        fields = (*RunSerializer.Meta.fields, "stops")


class TapSerializer(serializers.Serializer[Any]):
    """One tap of a courier."""

    key = serializers.UUIDField(help_text="Made by the courier's device.")
    kind = serializers.ChoiceField(choices=ReportKind.choices)
    stop = serializers.UUIDField()
    made_at = serializers.DateTimeField(help_text="When the courier tapped, by the device's clock.")
    parcels = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=200
    )
    bundle = serializers.UUIDField(required=False, allow_null=True, default=None)
    reason = serializers.ChoiceField(
        choices=sorted(PLACE_REASONS | GOODS_REASONS.keys()), required=False, allow_blank=True, default=""
    )
    compartment_number = serializers.IntegerField(
        min_value=1,
        max_value=999,
        required=False,
        allow_null=True,
        default=None,
        help_text="The door that it is about; with it, a late tap is not taken for one about the next door.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Problems, and only they, have a reason; what is empty is a door."""
        if (attrs["kind"] == ReportKind.PROBLEM) != bool(attrs["reason"]):
            raise serializers.ValidationError({"reason": "A problem, and only a problem, has a reason."})
        if attrs["kind"] == ReportKind.EMPTY and attrs["compartment_number"] is None:
            raise serializers.ValidationError({"compartment_number": "Say which compartment is empty."})
        return attrs


class ReportInputSerializer(serializers.Serializer[Any]):
    """What a courier's device has to say, one tap or many."""

    taps = serializers.ListField(child=TapSerializer(), allow_empty=False, max_length=500)

    def to_taps(self) -> list[Tap]:
        """Return what the service takes."""
        return [
            Tap(
                key=tap["key"],
                kind=ReportKind(tap["kind"]),
                stop_id=tap["stop"],
                made_at=tap["made_at"],
                parcels=tap["parcels"],
                bundle=tap["bundle"],
                compartment=tap["compartment_number"],
                reason=tap["reason"],
            )
            for tap in self.validated_data["taps"]
        ]


class DepositCodeSerializer(serializers.Serializer[Any]):
    """With what a courier opens a door for a bundle at the keypad, also without network."""

    stop = serializers.UUIDField()
    bundle = serializers.UUIDField()
    code = serializers.CharField()
    qr = serializers.CharField()


class InstructionSerializer(serializers.Serializer[Any]):
    """
    What to do next with a bundle that cannot go where it should.

    Ask for a door at ``stop`` (the present one or one to come), hand it in at the counter there, say that the
    compartment was empty (or not), say whether the goods are in that it was opened for (until then it waits
    for a check), or keep the goods on board: they wait for the next pool.
    """

    bundle = serializers.UUIDField()
    action = serializers.ChoiceField(choices=[action.value for action in Action])
    stop = serializers.UUIDField(source="stop.pk", allow_null=True, default=None)
    supply_point = serializers.UUIDField(source="stop.supply_point_id", allow_null=True, default=None)
    supply_point_name = serializers.CharField(source="stop.supply_point.name", allow_null=True, default=None)


class ReportAnswerSerializer(serializers.Serializer[Any]):
    """How many taps were new, and what to do about goods that cannot go where they should."""

    num_new = serializers.IntegerField()
    instructions = InstructionSerializer(many=True)


class OpenDoorInputSerializer(serializers.Serializer[Any]):
    """Which bundle the courier has brought."""

    bundle = serializers.UUIDField()
