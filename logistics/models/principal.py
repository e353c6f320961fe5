"""Whose eyes a query looks through."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """
    What one signed-in person may act for: identifiers by role.

    Every query about rows of people goes through ``visible_to(principal)``; what is not visible does not
    exist for the asker.
    """

    dispatches: frozenset[UUID] = frozenset()
    shops: frozenset[UUID] = frozenset()
    couriers: frozenset[UUID] = frozenset()
    counters: frozenset[UUID] = frozenset()
    residents: frozenset[UUID] = frozenset()
    #: Regions in which the person has any role.
    regions: frozenset[UUID] = frozenset()


NOBODY = Principal()
