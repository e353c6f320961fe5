"""Accounts: signing in and who one is."""

from typing import Any

from rest_framework import serializers

from logistics.models import Membership


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
