"""Who looks after the lockers meanwhile: closes doors, frees what jams, settles checks, changes cabinets."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from common.clock import real_now
from common.exceptions import DomainError
from lockers.device.hands import Hands, HandsError
from lockers.models import Compartment, Device, Locker
from lockers.services import cabinets, devices
from lockers.sizes import Height, Size, Temperature
from lockers.states import TROUBLE
from tests.faults.bundles import NAMESPACE
from tests.faults.installation import Fleet
from tests.faults.village import AGAIN_S, Site, Village, enter_service, in_database, leave_service

NUM_COMPARTMENTS = 6
#: Seconds between two rounds, between two lockers that freeze, for which they do, and between two changes.
ROUND_EVERY_S, FROST_EVERY_S, FROST_S, FIT_EVERY_S = 3.0, 15.0, 6.0, 30.0


def install(slug: str) -> Locker:
    """Set up a locker, unless that was done before."""
    known = Locker.objects.filter(slug=slug).first()
    return known or cabinets.install(
        slug=slug,
        name=slug,
        namespace=NAMESPACE,
        compartments=[
            cabinets.CompartmentSpec(
                number=number, size=Size.S, temperature=Temperature.AMBIENT, height=Height.REACHABLE
            )
            for number in range(1, NUM_COMPARTMENTS + 1)
        ],
    )


class Caretaker:
    """Closes doors before which nobody stands, and looks into compartments that wait for it."""

    def __init__(self, village: Village) -> None:
        self._village = village
        self._seen_open: set[tuple[str, int]] = set()
        self.num_checks = 0

    async def work(self) -> None:
        """Make rounds for as long as anybody is there."""
        while True:
            await asyncio.sleep(ROUND_EVERY_S)
            await self.go_round()

    async def go_round(self) -> None:
        """Close what stood open before, and settle what can be settled."""
        for site in self._village.sites:
            await self._close_doors(site)
        for compartment in await in_database(_in_trouble):
            await self._check(compartment)

    async def _close_doors(self, site: Site) -> None:
        with suppress(HandsError):
            for door in (await site.ask_once(lambda hands: hands.contents(site.slug)))[site.slug]:
                place = site.slug, door.compartment
                if not door.is_open or place in self._village.attended:
                    self._seen_open.discard(place)
                elif place in self._seen_open:
                    await site.close(door.compartment)
                else:
                    self._seen_open.add(place)

    async def _check(self, compartment: Compartment) -> None:
        """Look into a compartment and say what is there; if that cannot be, look again later."""
        site = next((one for one in self._village.sites if one.locker.pk == compartment.locker_id), None)
        if site is None or (site.slug, compartment.number) in self._village.attended:
            return
        with suppress(HandsError, DomainError):
            contents = await site.ask_once(lambda hands: hands.contents(site.slug))
            door = next(one for one in contents[site.slug] if one.compartment == compartment.number)
            await in_database(
                cabinets.settle_check,
                compartment,
                is_empty=not door.goods,
                at=self._village.now(),
                real_at=real_now(),
            )
            self.num_checks += 1


class Frost:
    """Lets all doors of a locker stick now and then, for a while."""

    def __init__(self, village: Village) -> None:
        self._village = village
        self._dice = random.Random(f"{village.dice.random()} frost")

    async def work(self) -> None:
        """Let one locker freeze after another until the evening."""
        while not self._village.is_evening.is_set():
            site = self._dice.choice(self._village.sites)
            await self._jam(site, is_jammed=True)
            await self._village.until_evening(FROST_S)
            await self._jam(site, is_jammed=False)
            await self._village.until_evening(FROST_EVERY_S)

    async def _jam(self, site: Site, *, is_jammed: bool) -> None:
        """Let the doors stick, or stick no more; a simulator without power forgets that they do."""
        with suppress(HandsError):
            for number in range(1, NUM_COMPARTMENTS + 1):
                await site.ask_once(partial(_jam, slug=site.slug, number=number, is_jammed=is_jammed))


async def _jam(hands: Hands, *, slug: str, number: int, is_jammed: bool) -> None:
    await hands.jam(slug, number, is_jammed=is_jammed)


class Fitter:
    """Puts up lockers, and takes them down again: devices come into service and are retired."""

    def __init__(self, village: Village, fleets: Sequence[Fleet]) -> None:
        self._village = village
        self._fleets = fleets
        self._dice = random.Random(f"{village.dice.random()} fitter")
        self.num_fitted = 0

    async def work(self) -> None:
        """Put up one locker after another until the evening, and take down every second."""
        standing: list[tuple[Fleet, Locker]] = []
        while not self._village.is_evening.is_set():
            self.num_fitted += 1
            fleet = self._dice.choice(self._fleets)
            standing.append((fleet, await self._put_up(fleet, f"new-{self.num_fitted}")))
            await self._village.until_evening(FIT_EVERY_S * self._dice.random())
            if self.num_fitted % 2 == 0:
                await self._take_down(*standing.pop(0))

    async def _put_up(self, fleet: Fleet, slug: str) -> Locker:
        locker = await in_database(install, slug)
        token = await in_database(devices.issue_token, locker, real_at=real_now())
        site = Site(locker, fleet)
        # The token is noted for later starts only then: one device must not be brought up twice at a time.
        await site.ask(lambda hands: hands.add(slug, token))
        enter_service(fleet, slug, token)
        return locker

    async def _take_down(self, fleet: Fleet, locker: Locker) -> None:
        leave_service(fleet, locker.slug)
        with suppress(HandsError):
            await Site(locker, fleet).ask_once(lambda hands: hands.remove(locker.slug))
        await in_database(_retire, locker)
        await asyncio.sleep(AGAIN_S)


def _in_trouble() -> list[Compartment]:
    troubled = Compartment.objects.filter(state__in=TROUBLE, locker__namespace=NAMESPACE)
    return list(troubled.select_related("locker"))


def _retire(locker: Locker) -> None:
    for device in Device.objects.in_service().filter(locker=locker):
        devices.retire(device, real_at=real_now())
