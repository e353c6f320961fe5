"""
How people and scripts reach simulated lockers: JSON lines over a Unix socket, many requests in flight.

A request is ``{"id": …, "do": "put", …}``, its answer ``{"id": …, "ok": …}`` or ``{"id": …, "error": "…"}``.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from lockers.device.cabinet import Impossible
from lockers.device.faults import BadFault, fault_from
from lockers.device.link import Refused, Unreachable
from lockers.device.simulated import SimulatedLocker
from lockers.device.simulator import Fleet

Request = Mapping[str, Any]


class Control:
    """Answers the requests of all clients of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._acts: Mapping[str, Callable[[Request], Awaitable[Any]]] = {
            "add": self._add,
            "remove": self._remove,
            "keypad": self._keypad,
            "wait_open": self._wait_open,
            "put": self._put,
            "take": self._take,
            "close": self._close,
            "done": self._done,
            "contents": self._contents,
            "fault": self._fault,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it hangs up; requests that take long do not hold up others."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while line := await reader.readline():
                    tasks.create_task(self._reply(line, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _reply(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        answer = await self._answer(line)
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            number = request["id"]
        except (ValueError, KeyError, TypeError):
            return {"id": None, "error": "a request is an object with an id"}
        try:
            return {"id": number, "ok": await self._acts[request["do"]](request)}
        except KeyError as error:
            return {"id": number, "error": f"unknown or missing: {error}"}
        except (Impossible, Unreachable, BadFault) as error:
            return {"id": number, "error": str(error)}
        except Refused as refusal:
            return {"id": number, "error": refusal.code}

    async def _add(self, request: Request) -> None:
        await self._fleet.add(request["locker"], request["token"])

    async def _remove(self, request: Request) -> None:
        self._fleet.remove(request["locker"])

    async def _keypad(self, request: Request) -> dict[str, Any]:
        answer = await self._locker(request).enter(str(request["digits"]))
        return asdict(answer)

    async def _wait_open(self, request: Request) -> bool:
        return await self._locker(request).wait_open(request["compartment"], request["timeout_s"])

    async def _put(self, request: Request) -> None:
        self._locker(request).cabinet.put(request["compartment"], request["goods"])

    async def _take(self, request: Request) -> list[str]:
        return self._locker(request).cabinet.take(request["compartment"])

    async def _close(self, request: Request) -> None:
        self._locker(request).cabinet.close(request["compartment"])

    async def _done(self, request: Request) -> None:
        self._locker(request).press_done(request["compartment"])

    async def _contents(self, request: Request) -> dict[str, list[dict[str, Any]]]:
        wanted = self._fleet.lockers if request.get("locker") is None else [request["locker"]]
        return {name: _doors(self._fleet.lockers[name]) for name in wanted}

    async def _fault(self, request: Request) -> None:
        content = {name: value for name, value in request.items() if name not in {"id", "do", "locker"}}
        fault_from(content).inflict(self._locker(request))

    def _locker(self, request: Request) -> SimulatedLocker:
        return self._fleet.lockers[request["locker"]]


def _doors(locker: SimulatedLocker) -> list[dict[str, Any]]:
    return [
        {
            "compartment": number,
            "door": "open" if space.is_open else "closed",
            "goods": list(space.goods),
            "num_openings": space.num_openings,
            "num_beeps": space.num_beeps,
        }
        for number, space in locker.cabinet.contents().items()
    ]
