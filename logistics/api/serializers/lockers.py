"""Lockers, their compartments and alarms."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from lockers.models import Alarm, Compartment, OpenCommand, ProvisioningToken
from lockers.states import CommandState, DoorState, Profile
from lockers.wiring import HIGHEST_BOARD, HIGHEST_CHANNEL, Lock, Wiring


class CompartmentSerializer(serializers.ModelSerializer[Compartment]):
    """A compartment: our intent and the device's facts."""

    class Meta:
        model = Compartment
        fields = ("number", "size", "temperature", "height", "state", "door", "verify_empty")


class LockerSerializer(serializers.Serializer[Any]):
    """A locker as dispatchers see it."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    supply_point = serializers.UUIDField(source="supply_point.id")
    village = serializers.CharField(source="supply_point.village")
    is_online = serializers.BooleanField()
    profile = serializers.ChoiceField(
        choices=Profile.choices, allow_null=True, help_text="What its device speaks; null without one."
    )
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
    profile = serializers.ChoiceField(
        choices=Profile.choices, source="device.profile", help_text="What the device speaks that it is about."
    )
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
            "profile",
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


class LockSerializer(serializers.Serializer[Any]):
    """Where the lock of a compartment is connected."""

    compartment_number = serializers.IntegerField(min_value=1, max_value=999)
    board = serializers.IntegerField(min_value=1, max_value=HIGHEST_BOARD)
    channel = serializers.IntegerField(min_value=0, max_value=HIGHEST_CHANNEL)


class WiringSerializer(serializers.Serializer[Any]):
    """How the cabinet of a basic device is wired; its client says which kind of boards it wants to know."""

    locks = serializers.ListField(child=LockSerializer(), allow_empty=False, max_length=999)
    adapter_type = serializers.SlugField(required=False, max_length=40)
    channel_count = serializers.IntegerField(required=False, min_value=1, max_value=HIGHEST_CHANNEL + 1)
    feedback_type = serializers.SlugField(required=False, max_length=40)


class ProvisioningTokenInputSerializer(serializers.Serializer[Any]):
    """Which kind of device a token is for."""

    profile = serializers.ChoiceField(choices=Profile.choices, default=Profile.FULL)
    wiring = WiringSerializer(
        required=False,
        help_text="Of a basic device; without it the compartments follow one another on boards of eight.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A full device knows by itself how it is wired."""
        if "wiring" in attrs and attrs["profile"] != Profile.BASIC:
            raise serializers.ValidationError({"wiring": "Only a basic device is told how it is wired."})
        return attrs

    def to_wiring(self) -> Wiring | None:
        """Return what the service takes."""
        given = dict(self.validated_data.get("wiring", {}))
        if not given:
            return None
        return Wiring(locks=[Lock(**lock) for lock in given.pop("locks")], hardware=given)


class NewcomerSerializer(serializers.Serializer[Any]):
    """What the client of a basic device is given, besides the token, to ask for its account."""

    host = serializers.CharField()
    port = serializers.IntegerField()
    client_id = serializers.CharField()
    username = serializers.CharField()
    password = serializers.CharField()


class ProvisioningTokenSerializer(serializers.Serializer[Any]):
    """A one-time token with which a device makes itself known."""

    id = serializers.IntegerField(help_text="By which it can be taken back.")
    token = serializers.CharField()
    profile = serializers.ChoiceField(choices=Profile.choices)
    broker = NewcomerSerializer(allow_null=True, help_text="For a basic device only.")


class UnusedTokenSerializer(serializers.ModelSerializer[ProvisioningToken]):
    """A one-time token that a device may still use, without what it says."""

    class Meta:
        model = ProvisioningToken
        fields = ("id", "profile", "expires_at")


class OpenCommandSerializer(serializers.ModelSerializer[OpenCommand]):
    """An attempt to open a door."""

    compartment_number = serializers.IntegerField(source="compartment.number")
    profile = serializers.ChoiceField(
        choices=Profile.choices,
        source="device.profile",
        help_text="A basic device may open late; a full one in time or never.",
    )

    class Meta:
        model = OpenCommand
        fields = ("id", "state", "compartment_number", "profile", "expires_at")


class OpeningSerializer(OpenCommandSerializer):
    """What is known of an attempt to open a door; a later answer of the device amends it."""

    state = serializers.ChoiceField(
        choices=CommandState.choices,
        help_text="Unknown: no answer came in time. Look at the door; a new attempt is a new command.",
    )
    reason = serializers.CharField(help_text="Stable; why it was refused or failed.")
    door = serializers.ChoiceField(
        choices=DoorState.choices, source="compartment.door", help_text="As the device reported it last."
    )
    is_settled = serializers.SerializerMethodField(help_text="Nothing is waited for any longer.")
    use_keypad = serializers.BooleanField(
        source="leaves_the_keypad",
        help_text="It did not open, as far as is known: try a code at the keypad.",
    )

    class Meta:
        model = OpenCommand
        fields = (
            *OpenCommandSerializer.Meta.fields,
            "reason",
            "door",
            "is_settled",
            "use_keypad",
            "created_at",
        )

    def get_is_settled(self, command: OpenCommand) -> bool:
        """Tell whether an outcome, or that there is none, is known."""
        return not command.is_live


class OpenedDoorSerializer(OpenCommandSerializer):
    """An attempt to open a door for a courier."""

    verify_empty = serializers.BooleanField(
        source="compartment.verify_empty",
        help_text="Nobody said that it is empty: look, and report it before the goods go in.",
    )

    class Meta:
        model = OpenCommand
        fields = (*OpenCommandSerializer.Meta.fields, "verify_empty")
