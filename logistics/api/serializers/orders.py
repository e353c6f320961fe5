"""Orders and their parcels, as shops list them and everybody reads them."""

from typing import Any

from rest_framework import serializers

from lockers.sizes import Size, Temperature
from logistics.models import Order, Parcel
from logistics.services.orders import ParcelSpec
from logistics.states import ParcelState

#: Nobody lifts more in one piece.
HEAVIEST_PARCEL_G = 1_000_000


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
