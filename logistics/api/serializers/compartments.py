"""What should lie where, for those who look: checks, what is overdue, the sheet of a locker."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from lockers.models import Compartment, Reservation
from lockers.services.checks import Difference, Finding
from lockers.states import Profile, ReservationState
from logistics.api.access import principal_of
from logistics.models import Bundle, Parcel, Resident, Run


class LabelledParcelSerializer(serializers.ModelSerializer[Parcel]):
    """A parcel as one recognises it, and its shop."""

    sticker = serializers.CharField(help_text="What people tell it by.")
    shop = serializers.UUIDField(source="order.shop_id")
    shop_name = serializers.CharField(source="order.shop.name")

    class Meta:
        model = Parcel
        fields = ("id", "sticker", "order", "shop", "shop_name", "size", "temperature", "weight_g", "state")


class RunNameSerializer(serializers.ModelSerializer[Run]):
    """A run as people name it."""

    class Meta:
        model = Run
        fields = ("id", "letter", "state")


class RecipientSerializer(serializers.ModelSerializer[Resident]):
    """Whose goods they are."""

    class Meta:
        model = Resident
        fields = ("card_number", "name")


class ContentSerializer(serializers.Serializer[Reservation]):
    """What should lie behind a door, or is being put there."""

    bundle = serializers.UUIDField(source="reference")
    state = serializers.ChoiceField(choices=ReservationState.choices)
    since = serializers.DateTimeField(source="deposited_at", allow_null=True)
    hold_until = serializers.DateTimeField(allow_null=True)
    parcels = serializers.SerializerMethodField()
    run = serializers.SerializerMethodField()
    resident = serializers.SerializerMethodField()

    @extend_schema_field(LabelledParcelSerializer(many=True))
    def get_parcels(self, holder: Reservation) -> Any:
        """Return the parcels."""
        bundle = _bundle_of(holder)
        return LabelledParcelSerializer(bundle.parcels.all() if bundle else [], many=True).data

    @extend_schema_field(RunNameSerializer(allow_null=True))
    def get_run(self, holder: Reservation) -> Any:
        """Return the run that brings or brought the goods."""
        bundle = _bundle_of(holder)
        visits = [visit for parcel in (bundle.parcels.all() if bundle else []) for visit in _visits(parcel)]
        return RunNameSerializer(visits[0].stop.run).data if visits else None

    @extend_schema_field(RecipientSerializer(allow_null=True))
    def get_resident(self, holder: Reservation) -> Any:
        """Return whose goods they are, to dispatchers; nobody else needs to know."""
        bundle = _bundle_of(holder)
        seen = self.context["regions"]
        if bundle is None or bundle.resident.region_id not in seen:
            return None
        return RecipientSerializer(bundle.resident).data


def _bundle_of(holder: Reservation) -> Bundle | None:
    return getattr(holder, "bundle", None)


def _visits(parcel: Parcel) -> Any:
    return getattr(parcel, "visits")  # noqa: B009 - named by the query


class CompartmentContentSerializer(serializers.ModelSerializer[Compartment]):
    """A compartment, why it is out of use if it is, and what should lie in it."""

    locker_id = serializers.UUIDField()
    locker = serializers.CharField(source="locker.slug")
    locker_profile = serializers.ChoiceField(
        choices=Profile.choices, allow_null=True, help_text="What its device speaks; null without one."
    )
    supply_point = serializers.UUIDField(source="locker.supply_point.pk")
    village = serializers.CharField(source="locker.supply_point.village")
    content = serializers.SerializerMethodField()

    class Meta:
        model = Compartment
        fields = (
            "locker_id",
            "locker",
            "locker_profile",
            "supply_point",
            "village",
            "number",
            "size",
            "temperature",
            "height",
            "state",
            "door",
            "verify_empty",
            "trouble",
            "trouble_note",
            "trouble_since",
            "content",
        )

    @extend_schema_field(ContentSerializer(allow_null=True))
    def get_content(self, compartment: Compartment) -> Any:
        """Return what should lie there, or is being put there."""
        holders = getattr(compartment, "holders")  # noqa: B009 - named by the query
        regions = principal_of(self.context["request"]).dispatches
        return ContentSerializer(holders[0], context={"regions": regions}).data if holders else None


class SheetSerializer(serializers.Serializer[Any]):
    """What should lie behind each door of a locker now."""

    locker_id = serializers.UUIDField()
    locker = serializers.CharField()
    locker_name = serializers.CharField()
    village = serializers.CharField()
    made_at = serializers.DateTimeField()
    compartments = CompartmentContentSerializer(many=True)


class OverdueSerializer(serializers.ModelSerializer[Bundle]):
    """What was not collected in time, and where it lies."""

    locker = serializers.CharField(source="reservation.locker.slug")
    locker_profile = serializers.ChoiceField(
        choices=Profile.choices, allow_null=True, help_text="What its device speaks; null without one."
    )
    compartment_number = serializers.IntegerField(source="reservation.compartment.number")
    compartment_state = serializers.CharField(source="reservation.compartment.state")
    village = serializers.CharField(source="supply_point.village")
    size = serializers.CharField(source="reservation.size")
    deposited_at = serializers.DateTimeField(source="reservation.deposited_at")
    overdue_since = serializers.DateTimeField()
    parcels = LabelledParcelSerializer(many=True)

    class Meta:
        model = Bundle
        fields = (
            "id",
            "pool",
            "supply_point",
            "village",
            "locker",
            "locker_profile",
            "compartment_number",
            "compartment_state",
            "size",
            "temperature",
            "deposited_at",
            "overdue_since",
            "parcels",
        )


class NoteSerializer(serializers.Serializer[Any]):
    """What somebody wants to be known."""

    note = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class DifferenceSerializer(NoteSerializer):
    """What is otherwise than the sheet says."""

    difference = serializers.ChoiceField(choices=[one.value for one in Difference])


class FindingSerializer(NoteSerializer):
    """
    What somebody found who looked.

    ``empty``; ``as_claimed``: what should lie there does; ``unclaimed``: something lies there that nobody
    claims; ``missing``: what should lie there does not; ``handed_over``: its resident has it.
    """

    found = serializers.ChoiceField(choices=[one.value for one in Finding])

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Of goods that nobody claims one has to know what they are."""
        if attrs["found"] == Finding.UNCLAIMED and not attrs["note"]:
            raise serializers.ValidationError({"note": "Say what was found."})
        return attrs


class BlockSerializer(serializers.Serializer[Any]):
    """Why a compartment is taken out of service."""

    note = serializers.CharField(max_length=200, help_text="The reason, for those who look at the list.")
