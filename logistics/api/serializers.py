"""The form of what comes in and goes out; rules live in the services."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from lockers.models import Alarm, Compartment, LockerCode, OpenCommand
from lockers.sizes import Size, Temperature
from logistics.models import (
    Bundle,
    Handling,
    Membership,
    Order,
    Parcel,
    Plan,
    Pool,
    ReportKind,
    Run,
    Shop,
    Stop,
    SupplyPoint,
)
from logistics.services.orders import ParcelSpec
from logistics.services.runs import DOOR_REASONS, GOODS_REASONS, Tap
from logistics.states import ParcelState

#: Nobody lifts more in one piece.
HEAVIEST_PARCEL_G = 1_000_000


class SignInSerializer(serializers.Serializer[Any]):
    """A name and a password."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=128, trim_whitespace=False, write_only=True)


class TokenSerializer(serializers.Serializer[Any]):
    """A token for the Authorization header: ``Bearer <token>``."""

    token = serializers.CharField()
    expires_at = serializers.DateTimeField()


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """One role of the signed-in account."""

    class Meta:
        model = Membership
        fields = ("role", "region", "shop", "courier", "supply_point", "resident")


class MeSerializer(serializers.Serializer[Any]):
    """Who is signed in, and the service's idea of now."""

    username = serializers.CharField()
    now = serializers.DateTimeField(help_text="Business time.")
    memberships = MembershipSerializer(many=True)


class ShopSerializer(serializers.ModelSerializer[Shop]):
    """A shop and its opening hours."""

    class Meta:
        model = Shop
        fields = ("id", "slug", "name", "kind", "village", "latitude", "longitude", "opens", "closes")


class SupplyPointSerializer(serializers.ModelSerializer[SupplyPoint]):
    """A village's place for goods."""

    has_locker = serializers.SerializerMethodField()
    has_counter = serializers.BooleanField()

    class Meta:
        model = SupplyPoint
        fields = (
            "id",
            "name",
            "village",
            "latitude",
            "longitude",
            "has_locker",
            "has_counter",
            "counter_opens",
            "counter_closes",
        )

    def get_has_locker(self, point: SupplyPoint) -> bool:
        """Tell whether there is a locker."""
        return point.locker_id is not None


class ParcelSpecSerializer(serializers.Serializer[Any]):
    """One crate, bag or box as the clerk lists it."""

    size = serializers.ChoiceField(choices=Size.choices)
    temperature = serializers.ChoiceField(choices=Temperature.choices, default=Temperature.AMBIENT)
    weight_g = serializers.IntegerField(min_value=1, max_value=HEAVIEST_PARCEL_G)

    def to_internal_value(self, data: Any) -> ParcelSpec:
        """Return what the service takes."""
        values = super().to_internal_value(data)
        return ParcelSpec(
            size=Size(values["size"]),
            temperature=Temperature(values["temperature"]),
            weight_g=values["weight_g"],
        )


class OrderInputSerializer(serializers.Serializer[Any]):
    """A new order."""

    shop = serializers.UUIDField()
    resident_card = serializers.CharField(max_length=12)
    parcels = serializers.ListField(child=ParcelSpecSerializer(), allow_empty=False, max_length=50)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    ready_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class OrderChangeSerializer(serializers.Serializer[Any]):
    """What may change before the cut-off."""

    parcels = serializers.ListField(
        child=ParcelSpecSerializer(), allow_empty=False, max_length=50, required=False
    )
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)


class ParcelSerializer(serializers.ModelSerializer[Parcel]):
    """A parcel and where it is."""

    class Meta:
        model = Parcel
        fields = (
            "id",
            "number",
            "size",
            "temperature",
            "weight_g",
            "state",
            "state_since",
            "reason",
            "reason_text",
        )


class OrderSerializer(serializers.ModelSerializer[Order]):
    """An order; its state is that of its worst parcel."""

    state = serializers.ChoiceField(choices=ParcelState.choices)
    parcels = ParcelSerializer(many=True)
    delivery_date = serializers.DateField(source="pool.delivery_date")
    cutoff_at = serializers.DateTimeField(source="pool.cutoff_at")

    class Meta:
        model = Order
        fields = (
            "id",
            "shop",
            "pool",
            "delivery_date",
            "cutoff_at",
            "missed_cutoff_at",
            "supply_point",
            "note",
            "ready_at",
            "created_at",
            "state",
            "parcels",
        )


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


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """A plan: progress while it is computed, routes and what is left out afterwards."""

    solution = serializers.JSONField(allow_null=True, help_text="Routes and orders left out, with reasons.")
    progress = serializers.JSONField(
        help_text="Phase, fraction of the budget, cost and orders carried so far."
    )

    class Meta:
        model = Plan
        fields = (
            "id",
            "pool",
            "state",
            "budget_s",
            "seed",
            "progress",
            "is_cancel_requested",
            "cost_cents",
            "lower_bound_cents",
            "num_carried",
            "num_left_out",
            "solution",
            "error",
            "created_at",
            "finished_at",
        )


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
        choices=sorted(DOOR_REASONS | GOODS_REASONS.keys()), required=False, allow_blank=True, default=""
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Problems, and only they, have a reason."""
        if (attrs["kind"] == ReportKind.PROBLEM) != bool(attrs["reason"]):
            raise serializers.ValidationError({"reason": "A problem, and only a problem, has a reason."})
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
                reason=tap["reason"],
            )
            for tap in self.validated_data["taps"]
        ]


class ReportAnswerSerializer(serializers.Serializer[Any]):
    """How many taps were new."""

    num_new = serializers.IntegerField()


class OpenDoorInputSerializer(serializers.Serializer[Any]):
    """Which bundle the courier has brought."""

    bundle = serializers.UUIDField()


class OpenCommandSerializer(serializers.ModelSerializer[OpenCommand]):
    """An attempt to open a door."""

    compartment_number = serializers.IntegerField(source="compartment.number")

    class Meta:
        model = OpenCommand
        fields = ("id", "state", "compartment_number", "expires_at")


class BundleSerializer(serializers.ModelSerializer[Bundle]):
    """Goods that wait together for one resident."""

    parcels = ParcelSerializer(many=True)
    supply_point_name = serializers.CharField(source="supply_point.name")
    locker = serializers.SerializerMethodField()
    compartment_number = serializers.SerializerMethodField()
    hold_until = serializers.SerializerMethodField()

    class Meta:
        model = Bundle
        fields = (
            "id",
            "pool",
            "supply_point",
            "supply_point_name",
            "temperature",
            "locker",
            "compartment_number",
            "hold_until",
            "created_at",
            "parcels",
        )

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_locker(self, bundle: Bundle) -> str | None:
        """Return the locker's name for its device, or nothing at a counter."""
        return bundle.reservation.locker.slug if bundle.reservation else None

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_compartment_number(self, bundle: Bundle) -> int | None:
        """Return the door behind which the goods lie, once they do."""
        reservation = bundle.reservation
        return reservation.compartment.number if reservation and reservation.compartment else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_hold_until(self, bundle: Bundle) -> Any:
        """Return until when the goods wait."""
        return bundle.reservation.hold_until if bundle.reservation else None


class CodeSerializer(serializers.Serializer[Any]):
    """The code that opens the compartments of one pool, one after another."""

    code = serializers.CharField()


class HelperCodeSerializer(serializers.ModelSerializer[LockerCode]):
    """A helper's code, without its digits; ``id`` is the one that the asker gave it."""

    id = serializers.UUIDField(source="holder")

    class Meta:
        model = LockerCode
        fields = ("id", "state", "issued_at", "valid_until")


class CompartmentSerializer(serializers.ModelSerializer[Compartment]):
    """A compartment: our intent and the device's facts."""

    class Meta:
        model = Compartment
        fields = ("number", "size", "temperature", "height", "state", "door")


class LockerSerializer(serializers.Serializer[Any]):
    """A locker as dispatchers see it."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    supply_point = serializers.UUIDField(source="supply_point.id")
    village = serializers.CharField(source="supply_point.village")
    is_online = serializers.BooleanField()
    compartments = CompartmentSerializer(many=True)


class AlarmFilterSerializer(serializers.Serializer[Any]):
    """Which alarms are wanted."""

    state = serializers.ChoiceField(
        choices=["open", "all"], default="open", help_text="Only those whose cause has not ended, or all."
    )


class AlarmSerializer(serializers.ModelSerializer[Alarm]):
    """Something about a locker that somebody has to act upon; it ends by itself with its cause."""

    locker = serializers.CharField(source="locker.slug")
    locker_name = serializers.CharField(source="locker.name")
    compartment_number = serializers.SerializerMethodField()
    zone = serializers.CharField(help_text="Where the temperature is wrong.")
    facts = serializers.DictField(help_text="Numbers and identifiers that belong to the kind.")
    remedy = serializers.CharField(source="rule.remedy", help_text="Stable; programs decide by it.")
    remedy_text = serializers.CharField(source="rule.advice", help_text="What the person should do.")

    class Meta:
        model = Alarm
        fields = (
            "id",
            "kind",
            "level",
            "locker",
            "locker_name",
            "compartment_number",
            "zone",
            "facts",
            "raised_at",
            "escalated_at",
            "ended_at",
            "remedy",
            "remedy_text",
        )

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_compartment_number(self, alarm: Alarm) -> int | None:
        """Return the door that it is about, or nothing if it is about the cabinet."""
        return alarm.compartment.number if alarm.compartment else None


class ProvisioningTokenSerializer(serializers.Serializer[Any]):
    """A one-time token with which a device makes itself known."""

    token = serializers.CharField()


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
