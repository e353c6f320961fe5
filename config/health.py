"""Whether the process lives, and whether it can serve."""

from django.conf import settings
from django.db import connection
from django.db.utils import DatabaseError
from django.http import HttpRequest, JsonResponse
from redis import Redis
from redis.exceptions import RedisError


def alive(request: HttpRequest) -> JsonResponse:
    """Answer as long as the process does."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Say whether requests can be served; without Redis they can, only hints are missing."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    try:
        Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5).ping()
    except RedisError:
        return JsonResponse({"status": "degraded", "redis": "unreachable"})
    return JsonResponse({"status": "ok"})
