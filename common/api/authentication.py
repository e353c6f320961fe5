"""Bearer tokens: who asks is found with one query."""

from typing import Any

from knox import auth

from common.clock import real_now


class TokenAuthentication(auth.TokenAuthentication):  # type: ignore[misc]
    """
    Knox's, without its look through the account's other tokens at every request.

    A token that is too old is refused; ``common.purge`` deletes it by the hour.
    """

    def _cleanup_token(self, auth_token: Any) -> bool:
        return auth_token.expiry is not None and bool(auth_token.expiry < real_now())
