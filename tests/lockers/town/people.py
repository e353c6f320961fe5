"""
Those who come to the locker: couriers, residents, operators; each visit is a series of moments.

People believe what they see. They may be slow, go away, forget, and say what they did much later, but they do
not lie: who says that goods are in has put them in.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

from common.exceptions import DomainError
from lockers.exceptions import CommandPending, GoodsClaimed
from lockers.models import Compartment, LockerCode, Reservation
from lockers.services import checks, claims, codes, commands, reservations
from lockers.services.checks import Finding
from lockers.services.claims import ReleaseReason
from tests.lockers.town.box import Box, World
from tests.lockers.town.cabinet import Cabinet, Door
from tests.lockers.town.judge import Judge
from tests.lockers.town.luck import Luck
from tests.lockers.town.network import Network

#: What somebody does over many moments; between them, anything may happen.
Visit = Generator[None, None, None]
T = TypeVar("T")
#: Nobody waits longer before a closed door.
PATIENCE = timedelta(seconds=40)
OPERATOR = uuid4()


class Place(Protocol):
    """What people find at the locker."""

    world: World
    luck: Luck
    cabinet: Cabinet
    box: Box
    network: Network
    judge: Judge

    def now(self) -> datetime:
        """Return the present moment."""


@dataclass(frozen=True, slots=True)
class Called:
    """A door that was named to somebody, by the phone or by the keypad."""

    number: int
    at: datetime
    by_keypad: bool = False


def deliver(place: Place, claim: Reservation) -> Visit:
    """Open a door, put the goods in, close it and say so."""
    for _ in range(3):
        opened = yield from _opened(place, lambda: _ask_for_deposit(place, claim))
        if opened is None:
            return
        door, called = opened
        with door.in_use():
            if _is_refused(place, claim, door, called):
                continue
            if place.world.chance(place.luck.second_thoughts):
                place.cabinet.close(door)
                continue
            # A word by phone does not say behind which door, and may come before the news of a door that
            # opened by a code.
            phones = not called.by_keypad or place.world.chance(place.luck.word_by_phone)
            yield from _put_in(place, claim, door, phones=phones)
        if called.by_keypad and not place.world.chance(place.luck.no_button):
            place.box.do(place.box.controller.button_pressed, door.number)
        if phones:
            yield from _say_so_later(place, claim)
        return


def _is_refused(place: Place, claim: Reservation, door: Door, called: Called) -> bool:
    """Tell whether the courier has to ask for another door: this one is not empty, or too small."""
    if door.goods and claim.reference not in door.goods:
        place.judge.found_goods(door)
        reason = ReleaseReason.NOT_EMPTY
    elif place.world.chance(place.luck.misfit):
        reason = ReleaseReason.DOES_NOT_FIT
    else:
        return False
    place.cabinet.close(door)
    # At the keypad one types the code again.
    if not called.by_keypad:
        _quietly(lambda: claims.release_door(claim, reason=reason, at=place.now()))
    return True


def _put_in(place: Place, claim: Reservation, door: Door, *, phones: bool) -> Visit:
    if claim.reference not in door.goods:
        place.judge.put(door, claim.reference, is_told=not door.is_own_opening)
    yield
    if phones and place.world.chance(place.luck.early_word):
        say_deposited(place, claim)
        yield
    if not place.world.chance(place.luck.door_left_open):
        place.cabinet.close(door)


def _say_so_later(place: Place, claim: Reservation) -> Visit:
    if place.world.chance(place.luck.late_word):
        for _ in range(place.world.dice.choice([5, 20])):
            yield
    if not place.world.chance(place.luck.lost_word):
        say_deposited(place, claim)


def say_deposited(place: Place, claim: Reservation) -> None:
    """Let the courier's word arrive."""
    _quietly(lambda: reservations.confirm_deposit(claim, at=place.now()))


def collect(place: Place, claim: Reservation) -> Visit:
    """Open the door by code or from afar, take everything, close it, press the button."""
    ask = _type_code if place.world.dice.random() < 0.5 else _ask_for_collection
    opened = yield from _opened(place, lambda: ask(place, claim))
    if opened is None:
        return
    door, _ = opened
    with door.in_use():
        yield
        if place.world.chance(place.luck.only_looks):
            place.cabinet.close(door)
            return
        leaves = place.world.chance(place.luck.leaves_something)
        place.judge.taken(door, _goods_of(claim), but_leaves=leaves)
        yield
        if place.world.chance(place.luck.door_left_open):
            return
        place.cabinet.close(door)
        yield
        if not leaves and not place.world.chance(place.luck.no_button):
            _say_empty(place, claim, door)
    if place.world.chance(place.luck.puts_back) and claim.reference in place.judge.in_hand:
        yield from _bring_back(place, claim)


def _say_empty(place: Place, claim: Reservation, door: Door) -> None:
    if place.world.dice.random() < 0.8:
        place.box.do(place.box.controller.button_pressed, door.number)
    elif claim.reference in place.judge.in_hand:
        _quietly(lambda: reservations.confirm_collection(claim, at=place.now()))


def _bring_back(place: Place, claim: Reservation) -> Visit:
    """Open the door once more, and put something back that one does not want."""
    opened = yield from _opened(place, lambda: _ask_for_collection(place, claim))
    if opened is not None and not opened[0].goods:
        door, _ = opened
        with door.in_use():
            place.judge.returned(door, claim.reference)
            yield
            place.cabinet.close(door)


def check(place: Place, compartment: Compartment) -> Visit:
    """Look into a compartment, take out what is nobody's, mend the door, and say what is inside."""
    door = place.cabinet[compartment.number]
    with door.in_use():
        place.network.has_commands = True
        at = place.now()
        _quietly(lambda: checks.open_door(compartment, by=OPERATOR, at=at, real_at=at))
        for _ in range(4):
            yield
        # Whoever has the key opens a door that does not open by itself.
        place.cabinet.mend(door)
        place.cabinet.close(door)
        yield
        place.judge.found.num_checks += 1
        _quietly(lambda: _settle(place, compartment, door))


def _settle(place: Place, compartment: Compartment, door: Door) -> None:
    claim = Reservation.objects.holding().filter(compartment=compartment).first()
    if claim is not None and claim.reference in door.goods:
        _say_found(place, compartment, Finding.AS_CLAIMED)
        return
    if door.goods:
        _say_found(place, compartment, Finding.UNCLAIMED)
        place.judge.cleared(door)
    try:
        _say_found(place, compartment, Finding.EMPTY)
    except GoodsClaimed:
        _say_found(place, compartment, Finding.MISSING)


def _say_found(place: Place, compartment: Compartment, found: Finding) -> None:
    at = place.now()
    checks.settle(compartment, found, by=OPERATOR, at=at, real_at=at)


def block(place: Place, compartment: Compartment) -> None:
    """Take a compartment out of service, with whatever lies in it."""
    _quietly(lambda: checks.block(compartment, by=OPERATOR, at=place.now()))


def close(place: Place, door: Door) -> Visit:
    """Push a door shut that stands open, unless somebody has come to use it meanwhile."""
    if door.is_taken:
        return
    with door.in_use():
        place.cabinet.close(door)
        yield


# How people go about it.


def _opened(
    place: Place, ask: Callable[[], Called | None]
) -> Generator[None, None, tuple[Door, Called] | None]:
    """Ask until a door opens, or one has had enough; return the door that was named and now stands open."""
    called = None
    for _ in range(place.world.dice.choice([1, 2, 3])):
        try:
            called = ask()
        except CommandPending:
            pass  # It is being opened already.
        except DomainError:
            return None
        yield
        if called is not None and (yield from _wait_for(place, called)):
            return place.cabinet[called.number], called
    return None


def _wait_for(place: Place, called: Called) -> Generator[None, None, bool]:
    """Wait a while for a door to open, and tell whether it did."""
    door = place.cabinet[called.number]
    with door.awaited():
        for _ in range(1 if place.world.chance(place.luck.impatience) else 6):
            if door.is_open and not door.is_taken:
                # To whom it was named by phone, a door that another's code opened is not meant.
                return called.by_keypad or not door.is_own_opening
            if place.now() - called.at > PATIENCE:
                return False
            yield
    return False


def _ask_for_deposit(place: Place, claim: Reservation) -> Called | None:
    code, at = claim.deposit_code, place.now()
    if code is not None and place.world.dice.random() < (0.8 if place.network.is_dark else 0.3):
        return _enter(place, code)
    place.network.has_commands = True
    command = commands.open_for_deposit(claim, at=at, real_at=at)
    return Called(command.compartment.number, at)


def _ask_for_collection(place: Place, claim: Reservation) -> Called:
    at = place.now()
    place.network.has_commands = True
    command = commands.open_for_collection(claim, at=at, real_at=at)
    return Called(command.compartment.number, at)


def _type_code(place: Place, claim: Reservation) -> Called | None:
    return None if claim.code is None else _enter(place, claim.code)


def _enter(place: Place, code: LockerCode) -> Called | None:
    """Type a code, as it was told when it was good; the keypad shows which door opens."""
    if not code.is_live or not place.box.is_on:
        return None
    number = place.network.enter(codes.digits_of(code))
    return None if number is None else Called(number, place.now(), by_keypad=True)


def _goods_of(claim: Reservation) -> set[UUID]:
    """Return all that one resident may find behind a door of theirs."""
    return set(Reservation.objects.filter(code=claim.code).values_list("reference", flat=True))


def _quietly(act: Callable[[], T]) -> T | None:
    """Do what the rules may forbid; people shrug and go on."""
    try:
        return act()
    except DomainError:
        return None
