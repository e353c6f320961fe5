"""Signing in and out, and who one is."""

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.authentication import TokenAuthentication
from common.clock import now
from logistics.api.serializers import MeSerializer, SignInSerializer, TokenSerializer
from logistics.models import User


class TokensView(APIView):
    """Tokens of accounts."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=SignInSerializer, responses={201: TokenSerializer}, tags=["accounts"])
    def post(self, request: Request) -> Response:
        """Sign in and receive a token for the Authorization header."""
        payload = SignInSerializer(data=request.data)
        payload.is_valid(raise_exception=True)
        user = authenticate(request, **payload.validated_data)
        if user is None:
            raise AuthenticationFailed
        row, token = AuthToken.objects.create(user=user)
        answer = TokenSerializer({"token": token, "expires_at": row.expiry})
        return Response(answer.data, status=status.HTTP_201_CREATED)


class PresentTokenView(APIView):
    """The token that the request came with."""

    authentication_classes = (TokenAuthentication,)

    @extend_schema(request=None, responses={204: None}, tags=["accounts"])
    def delete(self, request: Request) -> Response:
        """Sign out: the token is worth nothing from now on."""
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """The signed-in account."""

    @extend_schema(responses=MeSerializer, tags=["accounts"])
    def get(self, request: Request) -> Response:
        """Tell who is signed in, in which roles, and what time the service thinks it is."""
        user = request.user
        memberships = user.memberships.all() if isinstance(user, User) else []
        return Response(
            MeSerializer({"username": user.get_username(), "now": now(), "memberships": memberships}).data
        )
