"""A server of one simulated locker, over HTTP without a network or a database: keeps what is reported."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire
from lockers.device.control import Control
from lockers.device.faults import Fault
from lockers.device.hands import LONGEST_LINE, Hands
from lockers.device.simulator import Fleet

KEY = Ed25519PrivateKey.generate()
KID = wire.key_id(KEY.public_key())
DEVICE_ID = "6b0f4b5e-6ad9-4f6c-9d4c-0d3f4fb0a0a1"
LOCKER = "dorf"


class SmallServer:
    """Answers as the contract says, and gives commands when told to."""

    def __init__(self) -> None:
        self.reports: dict[tuple[str, int], wire.Envelope] = {}
        self.num_received = 0
        self.num_hellos = 0
        self.timestamps: list[str] = []
        self._epoch = ""
        self._commands: list[wire.Envelope] = []

    def open(self, compartment: int = 1) -> str:
        """Give the command to open a door, and return its identity."""
        command_id = str(uuid4())
        expires_at = datetime.now(UTC) + timedelta(seconds=20)
        self._commands.append(
            {
                "action": "open_compartment",
                "transaction_id": command_id,
                "link_epoch": self._epoch,
                "expires_at": wire.moment(expires_at),
                "ttl_ms": 20_000,
                "data": {"compartment_number": compartment},
            }
        )
        return command_id

    def told_of(self, command_id: str) -> list[str]:
        """Return what was reported of a command, in the order in which it was made."""
        return [
            str(report["data"].get("error_code") or report.get("event") or report["data"]["result"])
            for _, report in sorted(self.reports.items())
            if report.get("transaction_id") == command_id
        ]

    def heard(self, event: str) -> list[Any]:
        """Return the data of all reports of a kind, in the order in which they were made."""
        return [report["data"] for _, report in sorted(self.reports.items()) if report.get("event") == event]

    def has_everything(self) -> bool:
        """Tell whether no number is missing."""
        boots: dict[str, list[int]] = {}
        for boot_id, seq in self.reports:
            boots.setdefault(boot_id, []).append(seq)
        return all(sorted(seqs) == list(range(1, len(seqs) + 1)) for seqs in boots.values())

    async def serve(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the device."""
        body = json.loads(request.content)
        path = request.url.path.rsplit("/", 2)[1]
        answers = await getattr(self, f"_{path}")(body)
        return httpx.Response(200, json={"messages": answers})

    async def _provision(self, body: wire.Envelope) -> list[wire.Envelope]:
        return [
            self._seal(
                "provisioned",
                body,
                locker=LOCKER,
                compartments=[1, 2],
                server_keys={KID: wire.public_text(KEY.public_key())},
                mqtt=None,
            )
        ]

    async def _hello(self, body: wire.Envelope) -> list[wire.Envelope]:
        self._epoch = body["link_epoch"]
        self.num_hellos += 1
        return [self._seal("hello_accepted", body, accepted={})]

    async def _poll(self, body: wire.Envelope) -> list[wire.Envelope]:
        self.timestamps.append(body["timestamp"])
        await asyncio.sleep(0.02)
        offered = [one for one in self._commands if one["transaction_id"] not in body["data"]["known"]]
        now = datetime.now(UTC)
        sealed = [
            wire.seal({"device_id": DEVICE_ID, **one}, key=KEY, kid=KID, timestamp=now) for one in offered
        ]
        return [self._seal("poll_answered", body), *sealed]

    async def _messages(self, body: wire.Envelope) -> list[wire.Envelope]:
        for report in body["messages"]:
            self.num_received += 1
            place = (report["boot_id"], report["seq"])
            assert self.reports.setdefault(place, report)["message_id"] == report["message_id"]
        accepted: dict[str, int] = {}
        for boot_id, _ in self.reports:
            while (boot_id, accepted.get(boot_id, 0) + 1) in self.reports:
                accepted[boot_id] = accepted.get(boot_id, 0) + 1
        return [self._seal("messages_accepted", body["messages"][-1], accepted=accepted)]

    async def _codes(self, body: wire.Envelope) -> list[wire.Envelope]:
        is_right = body["data"].get("digits") == "48291703"
        outcome = "opening" if is_right else "code-unknown"
        number = 1 if is_right else None
        if is_right:
            self.open(1)
        return [self._seal("code_answered", body, outcome=outcome, compartment_number=number, num_left=0)]

    def _seal(self, action: str, to: wire.Envelope, **data: Any) -> wire.Envelope:
        fields = {"action": action, "device_id": DEVICE_ID, "in_reply_to": to["message_id"], "data": data}
        return wire.seal(fields, key=KEY, kid=KID, timestamp=datetime.now(UTC))


@asynccontextmanager
async def a_simulator(directory: Path, *script: Fault) -> AsyncIterator[tuple[SmallServer, Hands]]:
    """Run a simulated locker and its server; its socket lies in the directory."""
    server = SmallServer()
    fleet = Fleet(
        base_url="http://link",
        directory=directory,
        opening_time_s=0.3,
        transport=httpx.MockTransport(server.serve),
        script=script,
    )
    socket = directory / "control"
    control = await asyncio.start_unix_server(Control(fleet).serve, path=str(socket), limit=LONGEST_LINE)
    try:
        async with Hands(socket) as hands:
            await hands.add(LOCKER, "token")
            yield server, hands
    finally:
        await fleet.close()
        control.close()


async def becomes(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)
