"""What waits for residents, and the codes that open it."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from lockers.models import LockerCode
from lockers.services.disputes import Complaint
from lockers.states import CodeState, Profile
from logistics.api.serializers.orders import ParcelSerializer
from logistics.models import Bundle
from logistics.services.holding import Held


class BundleSerializer(serializers.ModelSerializer[Bundle]):
    """Goods that wait together for one resident."""

    parcels = ParcelSerializer(many=True)
    supply_point_name = serializers.CharField(source="supply_point.name")
    locker = serializers.SerializerMethodField()
    locker_profile = serializers.ChoiceField(
        choices=Profile.choices,
        allow_null=True,
        help_text="A basic locker takes no codes: it is opened here. Null without a device, or at a counter.",
    )
    compartment_number = serializers.SerializerMethodField()
    hold_until = serializers.SerializerMethodField()
    code_state = serializers.SerializerMethodField()

    class Meta:
        model = Bundle
        fields = (
            "id",
            "pool",
            "supply_point",
            "supply_point_name",
            "temperature",
            "locker",
            "locker_profile",
            "compartment_number",
            "hold_until",
            "code_state",
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

    @extend_schema_field(
        serializers.ChoiceField(
            choices=CodeState.choices, allow_null=True, help_text="A frozen code opens nothing until a check."
        )
    )
    def get_code_state(self, bundle: Bundle) -> str | None:
        """Return how the code stands that opens the door, or nothing at a counter."""
        reservation = bundle.reservation
        return reservation.code.state if reservation and reservation.code else None


class ComplaintSerializer(serializers.Serializer[Any]):
    """What is wrong: the goods are not the resident's, damaged, or were not taken out."""

    reason = serializers.ChoiceField(choices=[one.value for one in Complaint])


class CodeSerializer(serializers.Serializer[Any]):
    """The code that opens the compartments of one pool, one after another."""

    code = serializers.CharField()
    qr = serializers.CharField(help_text="What a QR code for the locker's scanner says, instead of typing.")


class HeldSerializer(serializers.Serializer[Any]):
    """Until when a bundle waits now, and why not longer if it was refused more time."""

    bundle = serializers.UUIDField()
    hold_until = serializers.DateTimeField()
    is_extended = serializers.SerializerMethodField()
    code = serializers.CharField(source="refusal.code", default="", help_text="Stable; why it was refused.")
    detail = serializers.SerializerMethodField()

    def get_is_extended(self, held: Held) -> bool:
        """Tell whether it was given more time."""
        return held.refusal is None

    def get_detail(self, held: Held) -> str:
        """Return why it was refused, for people."""
        return str(held.refusal or "")


class ExtensionSerializer(serializers.Serializer[Any]):
    """What became of all goods that one code opens."""

    bundles = HeldSerializer(many=True)


class HelperCodeSerializer(serializers.ModelSerializer[LockerCode]):
    """A helper's code, without its digits; ``id`` is the one that the asker gave it."""

    id = serializers.UUIDField(source="holder")

    class Meta:
        model = LockerCode
        fields = ("id", "state", "issued_at", "valid_until")
