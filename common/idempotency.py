"""A request that is sent twice takes effect once and gets the same answer."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from common.clock import real_now
from common.exceptions import IdempotencyKeyMissing, IdempotencyKeyReused
from common.models import RememberedAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"


def once(request: Request, *, scope: str, act: Callable[[], Response]) -> Response:
    """
    Carry out a request unless its key was seen before; then give the first answer again.

    The answer is stored in the transaction of the effect: a request that fails leaves no trace, and of two
    at the same time one waits for the other. ``scope`` says who asks and for what.

    Raises
    ------
    IdempotencyKeyMissing
        If the request has no usable key.
    IdempotencyKeyReused
        If the key came with a different request before.
    """
    key = request.headers.get(HEADER, "")
    if not 1 <= len(key) <= 255:
        raise IdempotencyKeyMissing
    fingerprint = _fingerprint(request)
    try:
        with transaction.atomic():
            remembered = RememberedAnswer.objects.create(
                scope=scope, key=key, fingerprint=fingerprint, created_at=real_now()
            )
            response = act()
            remembered.status, remembered.body = response.status_code, _plain(response.data)
            remembered.save(update_fields=["status", "body"])
            return response
    except IntegrityError:
        remembered_before = RememberedAnswer.objects.filter(scope=scope, key=key).first()
        if remembered_before is None:
            raise
    if remembered_before.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return Response(remembered_before.body, status=remembered_before.status, headers={REPLAYED: "true"})


def _fingerprint(request: Request) -> str:
    canonical = json.dumps([request.method, request.path, request.data], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(data: Any) -> Any:
    return json.loads(json.dumps(data, cls=JSONEncoder))
