"""Simulated lockers, any number in one process: the device's code over simulated cabinets."""

import asyncio
import contextlib
import functools
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from lockers.device import identity
from lockers.device.cabinet import Cabinet
from lockers.device.controller import Controller
from lockers.device.enrolment import enrol
from lockers.device.faults import Fault, befall
from lockers.device.https_link import HttpsLink
from lockers.device.identity import Identity
from lockers.device.journal import FileLog, Journal
from lockers.device.link import Link, LinkKind, Unreachable
from lockers.device.mqtt_link import MqttLink
from lockers.device.network import Line, Network, Transport
from lockers.device.power import Power, PoweredLog
from lockers.device.simulated import Life, SimulatedLocker

logger = logging.getLogger(__name__)

#: How long a simulated door takes to spring open.
SPRING_S = 0.02
ENROL_AGAIN_AFTER_S = 1.0


class Fleet:
    """
    All simulated lockers of a process, by name.

    All are brought into service over HTTPS. ``ca_file`` says who signed the broker's certificate; without it,
    whom the system trusts. ``script`` is what they suffer.
    """

    def __init__(
        self,
        *,
        base_url: str,
        directory: Path,
        opening_time_s: float,
        link: LinkKind = LinkKind.HTTPS,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        script: Sequence[Fault] = (),
    ) -> None:
        self._directory = directory
        self._opening_time_s = opening_time_s
        self._link = link
        self._lockers: dict[str, SimulatedLocker] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._script = script
        self._troubles: dict[str, asyncio.Task[None]] = {}
        self._link_url = f"{base_url.rstrip('/')}/api/v1/link/"
        self._transport = transport
        self._trust = httpx.create_ssl_context(trust_env=False)
        self._broker_trust = ssl.create_default_context(cafile=ca_file)

    @property
    def lockers(self) -> Mapping[str, SimulatedLocker]:
        """Return the lockers by name."""
        return self._lockers

    async def add(self, name: str, token: str) -> SimulatedLocker:
        """Bring a locker into service and connect it; one that runs already is returned as it is."""
        if name in self._lockers:
            return self._lockers[name]
        directory = self._directory / name
        directory.mkdir(parents=True, exist_ok=True)
        network = Network()
        http = self._connection(network)
        try:
            who, numbers = await self._identity(directory, token, http)
            locker = self._lockers[name] = self._build(directory, who, numbers, network, http)
        except BaseException:
            await http.aclose()
            raise
        run = self._runs[name] = asyncio.create_task(_run(locker, http), name=f"locker {name}")
        run.add_done_callback(self._ended)
        self._troubles[name] = asyncio.create_task(befall(locker, name, self._script))
        connected = asyncio.create_task(locker.until_connected())
        await asyncio.wait({run, connected}, return_when=asyncio.FIRST_COMPLETED)
        if not connected.done():
            connected.cancel()
            run.result()
        return locker

    def remove(self, name: str) -> None:
        """Take a locker out of service; it falls silent."""
        del self._lockers[name]
        self._runs.pop(name).cancel()
        self._troubles.pop(name).cancel()

    async def close(self) -> None:
        """Stop all lockers."""
        tasks = [*self._runs.values(), *self._troubles.values()]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def _connection(self, network: Network) -> httpx.AsyncClient:
        """Return a connection for one locker: in life each stands in a village of its own."""
        transport = self._transport or httpx.AsyncHTTPTransport(
            verify=self._trust,
            # The server hangs up after five seconds.
            limits=httpx.Limits(keepalive_expiry=4.0),
            trust_env=False,
        )
        return httpx.AsyncClient(
            base_url=self._link_url, transport=Transport(network, transport), trust_env=False
        )

    async def _identity(
        self, directory: Path, token: str, http: httpx.AsyncClient
    ) -> tuple[Identity, list[int]]:
        kept = identity.known(directory)
        if kept is not None and (kept[0].broker or self._link == LinkKind.HTTPS):
            return kept
        key = identity.make_key(directory)
        while True:
            try:
                who, numbers = await enrol(http, token=token, key=key, at=_wall_clock())
            except Unreachable as error:
                logger.info("%s: not yet in service: %s", directory.name, error)
                await asyncio.sleep(ENROL_AGAIN_AFTER_S)
            else:
                identity.keep(directory, who, numbers)
                return who, numbers

    def _build(
        self,
        directory: Path,
        who: Identity,
        numbers: list[int],
        network: Network,
        http: httpx.AsyncClient,
    ) -> SimulatedLocker:
        loop = asyncio.get_running_loop()

        def spring(open_door: Callable[[], None]) -> None:
            loop.call_later(SPRING_S, open_door)

        def wake(locker: SimulatedLocker) -> Life:
            power, log = Power(), FileLog(directory / "journal.jsonl")
            known = identity.known(directory)
            controller = Controller(
                identity=known[0] if known else who,
                journal=Journal(PoweredLog(log, power, is_full=lambda: locker.disk_is_full)),
                hardware=locker.cabinet,
                housing=locker.cabinet,
                monotonic=time.monotonic,
                wall_clock=lambda: _wall_clock() + locker.clock_is_off,
                opening_time_s=self._opening_time_s,
                keep_identity=lambda changed: identity.keep(directory, changed, numbers),
            )
            return Life(power, log, controller, self._link_of(controller, network, http))

        cabinet = Cabinet(numbers, spring=spring, file=directory / "cabinet.json")
        return SimulatedLocker(cabinet, network, wake)

    def _link_of(self, controller: Controller, network: Network, http: httpx.AsyncClient) -> Link:
        if self._link == LinkKind.HTTPS:
            return HttpsLink(controller, http)
        broker = controller.identity.broker
        if broker is None:
            raise Unreachable("the server names no broker")
        return MqttLink(
            controller, broker, trust=self._broker_trust, connect=functools.partial(Line, network)
        )

    def _ended(self, run: asyncio.Task[None]) -> None:
        if not run.cancelled() and (error := run.exception()):
            logger.error("%s stopped", run.get_name(), exc_info=error)


async def _run(locker: SimulatedLocker, http: httpx.AsyncClient) -> None:
    try:
        await locker.run()
    finally:
        await http.aclose()


def _wall_clock() -> datetime:
    return datetime.now(tz=UTC)
