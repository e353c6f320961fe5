"""How long it takes from a courier's tap to the pulse, and what the bare steps take that it consists of."""

import asyncio
import os
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from knox.models import AuthToken
from paho.mqtt.client import Client, MQTTMessage

from deploy.local.parts import Run
from lockers.api import threads
from lockers.models import Locker, OpenCommand
from lockers.mqtt import client as mqtt
from lockers.states import CommandState, DoorState
from logistics.models import Bundle, Role
from tests.faults import evidence
from tests.load.figures import Unlocks
from tests.load.fleets import Doors, Fleet
from tests.logistics.builders import a_user
from tests.logistics.driving import Drive

#: So many first ones, for which connections are made and code is read, are left out.
WARM_UP = 10
LOOK_EVERY_S = 0.02
TIMEOUT_S = 30.0
#: About as long as what a device writes down of a command.
SMALL = b"." * 99 + b"\n"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a courier before a locker asks for: a door for the goods, as often as she likes."""

    locker: Locker
    token: str
    path: str
    body: dict[str, str]


def an_errand() -> Errand:
    """Return the errand of a courier who has loaded and stands before the locker."""
    drive = Drive().start().load()
    courier = drive.run.courier
    user = a_user(drive.village.region, Role.COURIER, courier=courier)
    _, token = AuthToken.objects.create(user=user)
    bundle = Bundle.objects.get(pool=drive.village.pool)
    locker = drive.village.supply_point.locker
    assert locker is not None
    return Errand(
        locker=locker,
        token=token,
        path=f"/api/v1/runs/{drive.run.pk}/stops/{drive.point_stop.pk}/open/",
        body={"bundle": str(bundle.pk)},
    )


class Tap:
    """Opens the door of an errand, and closes it, until everything has come to rest."""

    def __init__(self, errand: Errand, run: Run, doors: Doors) -> None:
        self._errand = errand
        self._doors = doors
        headers = {"Authorization": f"Bearer {errand.token}"}
        self._http = httpx.AsyncClient(
            base_url=run.base_url, headers=headers, timeout=TIMEOUT_S, trust_env=False
        )
        #: When each command was asked for, and how long the answer took.
        self.asked_s: dict[str, float] = {}
        self.answers: list[float] = []

    async def open(self) -> None:
        """Open the door, and close it."""
        slug = self._errand.locker.slug
        asked_s = time.time()
        answer = await self._http.post(self._errand.path, json=self._errand.body)
        self.answers.append(time.time() - asked_s)
        answer.raise_for_status()
        command: dict[str, Any] = answer.json()
        self.asked_s[command["id"]] = asked_s
        await self._doors.opened(slug, command["compartment_number"])
        await self._doors.close(slug, command["compartment_number"])
        while not await threads.run(_is_over, command["id"]):
            await asyncio.sleep(LOOK_EVERY_S)

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()


class Steps:
    """The bare steps: a POST with one insert, a round trip by the broker, one fsync."""

    def __init__(self, url: str, file: Path) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False)
        self._heard: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._topic = f"locker/{uuid4()}/round-trip"
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._client = mqtt.new_client(f"load-{uuid4().hex[:8]}")
        self._client.on_message = self._hear
        self.posts: list[float] = []
        self.round_trips: list[float] = []
        self.syncs: list[float] = []

    def __enter__(self) -> Self:
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        host, port = mqtt.place()
        self._client.connect(host, port, mqtt.KEEPALIVE_S)
        self._client.subscribe(self._topic, qos=1)
        self._client.loop_start()
        if not subscribed.wait(TIMEOUT_S):
            raise TimeoutError("the broker does not answer")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        os.close(self._file)

    async def measure(self) -> None:
        """Take each step once."""
        began_s = time.perf_counter()
        answer = await self._http.post("/", json={"compartment": 1})
        self.posts.append(time.perf_counter() - began_s)
        answer.raise_for_status()
        self.round_trips.append(await threads.run(self._round_trip))
        self.syncs.append(await threads.run(self._sync))

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    def _round_trip(self) -> float:
        began_s = time.perf_counter()
        self._client.publish(self._topic, SMALL, qos=1)
        return self._heard.get(timeout=TIMEOUT_S) - began_s

    def _sync(self) -> float:
        began_s = time.perf_counter()
        os.write(self._file, SMALL)
        os.fsync(self._file)
        return time.perf_counter() - began_s

    def _hear(self, _client: Client, _data: Any, _message: MQTTMessage) -> None:
        self._heard.put(time.perf_counter())


async def measure(
    errand: Errand, fleet: Fleet, doors: Doors, *, run: Run, bare_url: str, count: int
) -> Unlocks:
    """Open a door so many times, one after another, with the bare steps in between."""
    tap = Tap(errand, run, doors)
    try:
        with Steps(bare_url, fleet.directory / "small") as steps:
            for _ in range(count + WARM_UP):
                await steps.measure()
                await tap.open()
            await steps.close()
    finally:
        await tap.close()
    driven_s = {
        pulse.command: pulse.at.timestamp() for pulse in evidence.pulses(fleet.directory / fleet.slugs[0])
    }
    pulses = [driven_s[command] - asked_s for command, asked_s in tap.asked_s.items()]
    warm = slice(WARM_UP, None)
    return Unlocks(
        answers=tap.answers[warm],
        pulses=pulses[warm],
        posts=steps.posts[warm],
        round_trips=steps.round_trips[warm],
        syncs=steps.syncs[warm],
    )


def _is_over(command_id: str) -> bool:
    """Tell whether a command is known to have opened its door, and the door to be closed."""
    command = OpenCommand.objects.select_related("compartment").get(pk=command_id)
    return command.state == CommandState.OPENED and command.compartment.door == DoorState.CLOSED
