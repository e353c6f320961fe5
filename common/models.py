"""Rows of the foundation: intents, remembered answers, what happened."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q


class IntentState(models.TextChoices):
    """How far an intent has come."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    DONE = "done"
    DEAD = "dead"


class IntentQuerySet(models.QuerySet["Intent"]):
    """Intents by what the relay and the workers want of them."""

    def claimable(self, *, at: datetime) -> "IntentQuerySet":
        """Intents that nobody works on: waiting and due, or left by a worker whose lease ran out."""
        return self.filter(
            Q(state=IntentState.WAITING, not_before__lte=at)
            | Q(state=IntentState.CLAIMED, lease_until__lt=at)
        )

    def to_hand_out(self, *, at: datetime, lost_before: datetime) -> "IntentQuerySet":
        """Claimable intents without a message, or with one so old that it may count as lost."""
        return self.claimable(at=at).filter(Q(handed_out_at=None) | Q(handed_out_at__lt=lost_before))


class Intent(models.Model):
    """
    Something that must follow a transaction, written in that transaction.

    A relay hands the identifier to Celery; whoever claims the row does the work and finishes it under its
    own token. All moments are real time.
    """

    kind = models.CharField(max_length=64)
    queue = models.CharField(max_length=32)
    key = models.CharField(max_length=200, unique=True, help_text="What must be done at most once.")
    arguments = models.JSONField(default=dict, help_text="Identifiers only, never personal data.")
    state = models.CharField(max_length=8, choices=IntentState.choices, default=IntentState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField()
    handed_out_at = models.DateTimeField(null=True)
    token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    objects = IntentQuerySet.as_manager()

    class Meta:
        # Not a partial index: SQLite does not use one for states that come as parameters.
        indexes: ClassVar = [models.Index(fields=["state", "not_before"], name="intent_by_state_and_due")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} ({self.state})"


class RememberedAnswer(models.Model):
    """The first answer to a request that carried an idempotency key."""

    scope = models.CharField(max_length=200, help_text="Who asked, and for what.")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["scope", "key"], name="one_answer_per_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class Event(models.Model):
    """One thing that happened, for the people who follow the day; never personal data."""

    at = models.DateTimeField(help_text="Business time.")
    kind = models.CharField(max_length=64)
    scope = models.CharField(max_length=100, db_index=True, help_text="Whose day it belongs to.")
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.kind}"
