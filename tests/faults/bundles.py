"""One bundle from its claim to its collection: what a courier and a resident do, whatever fails."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from common.clock import real_now
from common.exceptions import DomainError
from lockers.device.hands import Door, HandsError
from lockers.exceptions import CommandPending
from lockers.models import LockerCode, Reservation
from lockers.services import claims, codes, commands, reservations
from lockers.services.claims import ReleaseReason
from lockers.sizes import Size, Temperature
from lockers.states import ReservationState
from tests.faults.village import AGAIN_S, Site, Village, in_database

NAMESPACE = "faults"
#: Nobody's claim and nobody's goods fall due during a run.
LONG = timedelta(days=2)
#: Of so many claims, how many are given up before the goods are in.
GIVEN_UP_SHARE = 0.08
#: Of residents, how many type their code and how many press the button of the page; and who says it is empty.
KEYPAD_SHARE, BUTTON_SHARE = 0.6, 0.6


class Place(StrEnum):
    """Where the goods are, unless they lie behind a door."""

    COURIER = "courier"
    DOOR = "door"
    RESIDENT = "resident"


@dataclass(slots=True)
class Bundle:
    """Goods of one resident; where they really are is known here."""

    village: Village
    site: Site
    dice: random.Random
    reference: UUID = field(default_factory=uuid4)
    place: Place = Place.COURIER
    number: int | None = None
    is_given_up: bool = False
    is_over: bool = False
    reservation: Reservation | None = None

    @property
    def goods(self) -> str:
        """Return what the goods are called where they lie."""
        return str(self.reference)

    def __str__(self) -> str:
        where = self.place if self.number is None else f"{self.place} {self.number}"
        return f"bundle {self.reference} at {self.site.slug} ({where})"

    async def live(self) -> None:
        """Be claimed for, deposited and collected, or given up."""
        digits = await self._claim()
        if self.dice.random() < GIVEN_UP_SHARE:
            await self._give_up()
        else:
            await self._deposit()
            await self._collect(digits)
        self.is_over = True

    async def state(self) -> ReservationState:
        """Return how far the claim has come."""
        return ReservationState((await self._read()).state)

    # The claim.

    async def _claim(self) -> str:
        holder, occasion = uuid4(), uuid4()

        def claim() -> str:
            at = self.village.now()
            code = codes.issue(
                namespace=NAMESPACE, holder=holder, occasion=occasion, valid_until=at + LONG, at=at
            )
            self.reservation = claims.reserve(
                locker=self.site.locker,
                size=Size.S,
                temperature=Temperature.AMBIENT,
                reference=self.reference,
                code=code,
                expires_at=at + LONG,
            )
            return codes.reveal(LockerCode.objects.get(pk=code.pk), reason="faults", at=at)

        while True:
            try:
                return await in_database(claim)
            except DomainError:
                # The locker is full: somebody will collect.
                await asyncio.sleep(AGAIN_S)

    async def _read(self) -> Reservation:
        assert self.reservation is not None
        return await in_database(
            Reservation.objects.select_related("compartment", "code").get, pk=self.reservation.pk
        )

    # The courier.

    async def _deposit(self) -> None:
        while self.place == Place.COURIER:
            number = await self._opened_for_deposit()
            if number is None:
                await asyncio.sleep(AGAIN_S)
                continue
            async with _Attending(self.village, self.site, number):
                if await self.site.opens(number):
                    await self._put(number)
        await self._confirm()
        await self._until(ReservationState.DEPOSITED)

    async def _opened_for_deposit(self) -> int | None:
        """Ask for a door, and return the one that the claim has now."""
        reservation = await self._read()

        def press() -> int:
            at = self.village.now()
            return commands.open_for_deposit(reservation, at=at, real_at=real_now()).compartment.number

        try:
            return await in_database(press)
        except CommandPending:
            known = (await self._read()).compartment
            return None if known is None else known.number
        except DomainError:
            return None

    async def _put(self, number: int) -> None:
        """Put the goods in and close the door; a door that was given as free must be empty."""
        found = await self.site.door(number)
        if self.goods not in found.goods:
            if found.goods:
                await self._find_strangers(found)
                return
            try:
                await self.site.ask_once(lambda hands: hands.put(self.site.slug, number, [self.goods]))
            except HandsError:
                # The power went: the goods are in, or they are not.
                if self.goods not in (await self.site.door(number)).goods:
                    return
        self.place, self.number = Place.DOOR, number
        await self.site.close(number)

    async def _find_strangers(self, found: Door) -> None:
        number, reservation = found.compartment, await self._read()
        if reservation.compartment is None or not reservation.compartment.verify_empty:
            self._complain(f"door {number} of {self.site.slug} was called empty, but {found.goods} lay there")
        await self.site.close(number)
        await self._release_door(ReleaseReason.NOT_EMPTY)

    async def _confirm(self) -> None:
        """Give the courier's word that the goods are in."""
        reservation = await self._read()
        while True:
            try:
                at = self.village.now()
                await in_database(reservations.confirm_deposit, reservation, at=at)
                return
            except DomainError as refusal:
                self._complain(f"the courier's word was refused: {refusal}")
                await asyncio.sleep(10 * AGAIN_S)

    async def _give_up(self) -> None:
        """Look into a compartment, find that the goods do not fit, and withdraw the claim."""
        self.is_given_up = True
        number = await self._opened_for_deposit()
        if number is not None:
            async with _Attending(self.village, self.site, number):
                await self.site.opens(number)
                await self.site.close(number)
        while await self.state() != ReservationState.CANCELLED:
            await self._release_door(ReleaseReason.DOES_NOT_FIT)
            reservation = await self._read()
            await self._quietly(claims.cancel, reservation)

    async def _release_door(self, reason: ReleaseReason) -> None:
        reservation = await self._read()
        await self._quietly(claims.release_door, reservation, reason=reason)

    # The resident.

    async def _collect(self, digits: str) -> None:
        while self.place == Place.DOOR:
            number = await self._opened_for_collection(digits)
            if number is None:
                await asyncio.sleep(AGAIN_S)
                continue
            async with _Attending(self.village, self.site, number):
                if await self.site.opens(number):
                    await self._take(number)
        await self._say_empty()
        await self._until(ReservationState.COLLECTED)

    async def _opened_for_collection(self, digits: str) -> int | None:
        if self.dice.random() < KEYPAD_SHARE:
            try:
                answer = await self.site.ask(lambda hands: hands.keypad(self.site.slug, digits))
            except HandsError:
                return None
            if answer.is_opening:
                return answer.compartment
            return self.number if answer.outcome == CommandPending.code else None
        reservation = await self._read()

        def press() -> int:
            at = self.village.now()
            return commands.open_for_collection(reservation, at=at, real_at=real_now()).compartment.number

        try:
            return await in_database(press)
        except CommandPending:
            return self.number
        except DomainError:
            return None

    async def _take(self, number: int) -> None:
        """Take everything out and close the door; it must be what was put there."""
        found = (await self.site.door(number)).goods
        if found != (self.goods,):
            self._complain(f"behind door {number} lay {found}")
            await self.site.close(number)
            await asyncio.sleep(AGAIN_S)
            return
        try:
            await self.site.ask(lambda hands: hands.take(self.site.slug, number))
        except HandsError:
            if (await self.site.door(number)).goods:
                return
        self.place, self.number = Place.RESIDENT, number
        await self.site.close(number)

    async def _say_empty(self) -> None:
        """Press the button at the locker, or the one of the page."""
        assert self.number is not None
        number = self.number
        is_at_locker = self.dice.random() < BUTTON_SHARE
        while await self.state() != ReservationState.COLLECTED:
            if is_at_locker:
                with suppress(HandsError):
                    await self.site.ask_once(lambda hands: hands.done(self.site.slug, number))
                    return
            else:
                await self._quietly(reservations.confirm_collection, await self._read())
            await asyncio.sleep(AGAIN_S)

    # What everybody does.

    async def _until(self, state: ReservationState) -> None:
        while await self.state() != state:
            await asyncio.sleep(AGAIN_S)

    def _complain(self, sentence: str) -> None:
        self.village.lost[f"{self}: {sentence}"] = None

    async def _quietly(self, act: object, reservation: Reservation, **words: object) -> None:
        """Ask for something that may be refused for the moment."""
        try:
            await in_database(act, reservation, at=self.village.now(), **words)  # type: ignore[arg-type]
        except DomainError:
            await asyncio.sleep(AGAIN_S)


class _Attending:
    """Somebody stands before a door; nobody else closes it."""

    def __init__(self, village: Village, site: Site, number: int) -> None:
        self._village, self._door = village, (site.slug, number)

    async def __aenter__(self) -> None:
        self._village.attended.add(self._door)

    async def __aexit__(self, *_: object) -> None:
        self._village.attended.discard(self._door)
