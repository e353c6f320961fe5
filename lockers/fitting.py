"""Which door a claim gets: the smallest that fits and that no other claim depends on."""

from collections.abc import Iterable, Sequence
from itertools import chain

from lockers.capacity import Space, can_serve
from lockers.models import Compartment, Reservation
from lockers.sizes import Size


def fits(claim: Reservation, door: Compartment) -> bool:
    """Tell whether a claim's goods go behind a door, and their resident reaches it."""
    large_enough = Size(door.size).rank >= Size(claim.size).rank
    return large_enough and door.temperature == claim.temperature and (door.is_low or not claim.low_door)


def in_order(doors: Iterable[Compartment]) -> list[Compartment]:
    """Return doors, those first that are good for the least else; in doubt whether empty, last."""
    return sorted(doors, key=lambda door: (door.verify_empty, Size(door.size).rank, door.is_low, door.number))


def choose(
    claim: Reservation, free: Sequence[Compartment], others: Iterable[Reservation]
) -> Compartment | None:
    """
    Return the door for a claim among free ones, as ``in_order`` gives them; ``None`` if none fits.

    If every door that fits is one that other claims depend on, the first is taken all the same: who stands
    before the locker comes first. But no low door is taken from somebody who can reach no other, unless by
    somebody who cannot either.
    """
    fitting = [door for door in free if fits(claim, door)]
    alike = [door for door in free if door.temperature == claim.temperature]
    wanted = [
        Space(Size(other.size), other.low_door) for other in others if other.temperature == claim.temperature
    ]
    need_low = [space for space in wanted if space.is_low]

    def leaves_enough(taken: Compartment, others: Sequence[Space]) -> bool:
        return can_serve([Space(Size(one.size), one.is_low) for one in alike if one.pk != taken.pk], others)

    harmless = (door for door in fitting if leaves_enough(door, wanted))
    bearable = (door for door in fitting if leaves_enough(door, need_low))
    any_other = (door for door in fitting if claim.low_door or not door.is_low)
    return next(chain(harmless, bearable, any_other), None)
