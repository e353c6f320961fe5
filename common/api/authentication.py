"""Bearer tokens: who asks is found with one query, composed once."""

from hmac import compare_digest
from typing import Any

from django.db.models import CharField
from knox import auth
from knox.crypto import hash_token
from knox.models import AuthToken
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed

from common.clock import real_now
from common.prepared import Prepared

_NAMED = Prepared(lambda key: AuthToken.objects.select_related("user").filter(token_key=key), key=CharField())


class TokenAuthentication(auth.TokenAuthentication):  # type: ignore[misc]
    """
    Knox's, without its look through the account's other tokens at every request.

    A token that is too old is refused; ``common.purge`` deletes it by the hour.
    """

    def authenticate_credentials(self, token: bytes) -> Any:
        """
        Return whose token it is, and the token's row.

        Raises
        ------
        AuthenticationFailed
            If it is nobody's, or too old, or its account is switched off.
        """
        said = token.decode("ascii", errors="replace")
        # What cannot be one is not asked for: PostgreSQL would balk at some of it.
        for row in _NAMED.all(key=said[: CONSTANTS.TOKEN_KEY_LENGTH]) if said.isalnum() else ():
            is_fresh = row.expiry is None or row.expiry >= real_now()
            if is_fresh and compare_digest(hash_token(said), row.digest):
                return self.validate_user(row)
        raise AuthenticationFailed
