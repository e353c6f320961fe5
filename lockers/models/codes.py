"""Locker codes, what keeps them apart, and the brake on guessing."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from common.states import Stateful
from lockers.models.cabinets import Locker
from lockers.states import CODE_TRANSITIONS, LIVE_CODES, CodeState, Purpose


class LockerCodeQuerySet(models.QuerySet["LockerCode"]):
    """Codes by what they may do."""

    def live(self) -> "LockerCodeQuerySet":
        """Codes that belong to someone."""
        return self.filter(state__in=LIVE_CODES)


class LockerCode(Stateful):
    """
    Eight digits that open one holder's compartments of one occasion, one after another.

    The digits are kept as a keyed digest for look-up and encrypted for printing them again; both are wiped
    when the code dies.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    namespace = models.SlugField()
    holder = models.UUIDField(help_text="Whose code it is; opaque to this app.")
    occasion = models.UUIDField(help_text="What it is for; opaque to this app.")
    on_behalf_of = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        related_name="helpers",
        help_text="The code whose goods a helper may collect, once.",
    )
    purpose = models.CharField(
        max_length=8,
        choices=Purpose.choices,
        default=Purpose.COLLECT,
        help_text="A courier's code is for one deposit, a resident's for all collections of the occasion.",
    )
    state = models.CharField(max_length=8, choices=CodeState.choices, default=CodeState.ISSUED)
    digest = models.CharField(max_length=64, blank=True)
    sealed = models.TextField(blank=True)
    valid_until = models.DateTimeField()
    issued_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    has_forgiven = models.BooleanField(
        default=False, help_text="Has reset a keypad's count of wrong codes; each code does so once."
    )

    objects = LockerCodeQuerySet.as_manager()

    TRANSITIONS = CODE_TRANSITIONS

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["namespace", "holder", "occasion"],
                condition=Q(state__in=sorted(LIVE_CODES)),
                name="one_live_code_per_holder_and_occasion",
            ),
            models.UniqueConstraint(
                fields=["namespace", "digest"],
                condition=Q(state__in=sorted(LIVE_CODES)),
                name="live_codes_differ",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "valid_until"], name="code_by_state_and_end"),
            models.Index(fields=["namespace", "digest"], name="code_by_digest"),
        ]

    def __str__(self) -> str:
        return f"code {self.pk} ({self.state})"

    @property
    def is_live(self) -> bool:
        """Tell whether the code still belongs to someone."""
        return self.state in LIVE_CODES

    @property
    def principal(self) -> "LockerCode":
        """Return the code whose goods this one collects: its own, or those of whom it helps."""
        return self.on_behalf_of or self


class CodeMask(models.Model):
    """
    Digest of a live code with one place masked.

    Codes that differ in one place only share the mask of that place, so the constraint keeps any two live
    codes of a namespace at least two places apart, whoever issues them at the same moment.
    """

    code = models.ForeignKey(LockerCode, on_delete=models.CASCADE, related_name="masks")
    namespace = models.SlugField(db_index=False)
    position = models.PositiveSmallIntegerField()
    digest = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["namespace", "position", "digest"], name="live_codes_differ_in_two_places"
            )
        ]

    def __str__(self) -> str:
        return f"mask {self.position} of {self.code_id}"


class CodeThrottle(models.Model):
    """How often a locker's keypad was given wrong codes; all moments are real time."""

    locker = models.OneToOneField(Locker, on_delete=models.CASCADE, related_name="throttle")
    num_failures = models.PositiveSmallIntegerField(
        default=0, help_text="Wrong codes since the last lock-out."
    )
    num_lock_outs = models.PositiveSmallIntegerField(default=0)
    last_failure_at = models.DateTimeField(null=True)
    locked_until = models.DateTimeField(null=True)
    last_request_id = models.UUIDField(
        null=True, help_text="Keypad message that was refused last; a repeat is not counted again."
    )

    def __str__(self) -> str:
        return f"throttle of {self.locker_id}"
