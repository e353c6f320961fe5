"""Admin pages of rows that only services may change."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class ReadOnly(admin.ModelAdmin[Any]):
    """Shows rows that only services may change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: services make these rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: services change these rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: nothing is lost."""
        return False
