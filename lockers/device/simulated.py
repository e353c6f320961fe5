"""One simulated locker: a cabinet and a network, and in them one life of a device after another."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from lockers.device.cabinet import Cabinet, Impossible
from lockers.device.controller import Controller
from lockers.device.hardware import Reading
from lockers.device.journal import FileLog, NotWritten
from lockers.device.link import Link, Unreachable
from lockers.device.messages import Answer
from lockers.device.network import Network
from lockers.device.power import Moment, Power, PowerCut

logger = logging.getLogger(__name__)

BOOT_AGAIN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Life:
    """A device from its start to the end of its power."""

    power: Power
    log: FileLog
    controller: Controller
    link: Link


class SimulatedLocker:
    """A locker that people can use, and that faults can befall; ``wake`` returns a device with power."""

    def __init__(self, cabinet: Cabinet, network: Network, wake: Callable[["SimulatedLocker"], Life]) -> None:
        self.cabinet = cabinet
        self.network = network
        self.clock_is_off = timedelta()
        self.disk_is_full = False
        self._wake = wake
        self._power = Power()
        #: Present once the device has booted.
        self._life: Life | None = None
        self._dark_s = 0.0
        self._connected = asyncio.Event()
        self._stirred = asyncio.Condition()
        cabinet.moved = self._door_moved
        cabinet.stirred = self._doors_stirred

    async def run(self) -> None:
        """Boot and stay connected; after each power cut, anew."""
        try:
            while True:
                await self._live()
                await asyncio.sleep(self._dark_s)
                self.network.mend()
        finally:
            self.network.mend()

    async def until_connected(self) -> None:
        """Wait until the server has answered a greeting."""
        await self._connected.wait()

    async def enter(self, code: str) -> Answer:
        """
        Type a code at the keypad, or hold a QR code before the scanner.

        Raises
        ------
        Refused
            If the server refuses the question.
        Unreachable
            If there is neither server nor list, or no power.
        """
        life = self._present_life()
        try:
            answer = await life.link.enter(code)
            life.power.require()
        except PowerCut as cut:
            raise Unreachable("the power went") from cut
        return answer

    async def wait_open(self, number: int, timeout_s: float) -> bool:
        """Wait until a door stands open; tell whether it does."""
        try:
            async with asyncio.timeout(timeout_s), self._stirred:
                await self._stirred.wait_for(lambda: self.cabinet.is_open(number))
        except TimeoutError:
            return False
        return True

    def press_done(self, number: int) -> None:
        """Press the button that says that a compartment is empty."""
        if number not in self.cabinet.compartments:
            raise Impossible(f"there is no compartment {number}")
        life = self._present_life()
        life.controller.button_pressed(number)
        life.link.has_news()

    def black_out(self, moment: Moment, *, seconds: float) -> None:
        """Take the power away for some time, now or at a moment of the next pulse."""
        if moment == Moment.NOW:
            self._lose_power(seconds)
        else:
            self.cabinet.black_out(moment, lambda: self._lose_power(seconds))

    async def _live(self) -> None:
        """Let one device live until its power goes."""
        life = self._wake(self)
        self._power = life.power
        living = asyncio.create_task(self._boot_and_connect(life))
        others = [asyncio.create_task(life.power.until_gone()), asyncio.create_task(self._note(life.link))]
        try:
            await asyncio.wait({living, others[0]}, return_when=asyncio.FIRST_COMPLETED)
            if life.power.is_on:
                living.result()
        finally:
            self._life = None
            life.power.cut()
            for task in (living, *others):
                task.cancel()
            await asyncio.gather(living, *others, return_exceptions=True)
            life.log.close()

    async def _boot_and_connect(self, life: Life) -> None:
        while True:
            try:
                life.controller.boot()
                break
            except NotWritten:
                logger.warning("%s cannot boot: its disk is full", life.controller.identity.locker)
                await asyncio.sleep(BOOT_AGAIN_AFTER_S)
        self._life = life
        await life.link.run()

    async def _note(self, link: Link) -> None:
        await link.until_connected()
        self._connected.set()

    def _present_life(self) -> Life:
        if self._life is None or not self._power.is_on:
            raise Unreachable("the locker has no power")
        return self._life

    def _lose_power(self, seconds: float) -> None:
        self._dark_s = seconds
        self._power.cut()
        self.network.cut(seconds, half_open=False)

    def _door_moved(self, number: int, reading: Reading) -> None:
        if self._life is not None and self._power.is_on:
            self._life.controller.door_moved(number, reading)
            self._life.link.has_news()

    def _doors_stirred(self) -> None:
        asyncio.get_running_loop().create_task(self._announce())

    async def _announce(self) -> None:
        async with self._stirred:
            self._stirred.notify_all()
