"""What a person does at a running simulator from the command line: type codes, see to doors, cause faults."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from lockers.device.faults import BadFault, fault_in
from lockers.device.hands import Door, Hands, HandsError, KeypadAnswer

#: Where `make demo` has its simulator listen.
DEMO_SOCKET = Path("var/demo/lockers.sock")

#: What the display of a locker says to each answer.
DISPLAY: Mapping[str, str] = {
    "opening": "Compartment {compartment} opens.",
    "code-unknown": "This code is not known here. Please compare it with your message.",
    "code-not-active": "Nothing lies here for this code, yet or any longer.",
    "code-frozen": "Your goods are being checked. We shall tell you when they are ready.",
    "locked-out": "Too many wrong codes. Please use your QR code, or try again later.",
    "command-pending": "A door is being opened. One moment, please.",
    "locker-offline": "No door can be opened just now. Please try again in a minute.",
    "compartment-unavailable": "Your compartment is being checked. We shall tell you when it is ready.",
    "not-deposited": "Nothing lies here for this code, yet or any longer.",
    "reopen-limit-reached": "The door was opened too often. Please call us.",
    "no-compartment-available": "No compartment of this size is free.",
    "hardware-failed": "This door cannot be opened. Please call us.",
}
#: What it says to a courier, who may be sent to a compartment that nobody called empty.
LOOK_FIRST = "If anything lies in it, close the door and enter the code again: you get another one."


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what can be done at a running simulator to the command line."""
    keypad = _command(commands, "keypad", _type, "type a code, and show what the display says")
    keypad.add_argument("code", help="eight digits, or a QR token")
    door = _command(commands, "door", _see_to, "look at a door, or do something at it")
    door.add_argument("compartment", type=int)
    door.add_argument("act", nargs="?", choices=["close", "put", "take", "done"], help="nothing: just look")
    door.add_argument("goods", nargs="*", help="what to put in")
    fault = _command(commands, "fault", _break, "let something fail: jam compartment=3")
    fault.add_argument("fault", nargs="+", help="a fault and its arguments, NAME=VALUE")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    act: Callable[[Hands, str, argparse.Namespace], Awaitable[int]],
    summary: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary)
    socket = Path(os.environ.get("LOCKERS_CONTROL", DEMO_SOCKET))
    parser.add_argument("--control", type=Path, default=socket, help="the simulator's socket (%(default)s)")
    parser.add_argument("--locker", help="its name, or a part; the only one need not be named")
    parser.set_defaults(run=lambda arguments: asyncio.run(_at_locker(arguments, act)))
    return parser


async def _at_locker(
    arguments: argparse.Namespace, act: Callable[[Hands, str, argparse.Namespace], Awaitable[int]]
) -> int:
    try:
        async with Hands(arguments.control) as hands:
            return await act(hands, await _locker(hands, arguments.locker), arguments)
    except (HandsError, BadFault) as error:
        print(error)
    except (FileNotFoundError, ConnectionRefusedError):
        print(f"no simulator listens at {arguments.control}")
    return 2


async def _locker(hands: Hands, wanted: str | None) -> str:
    """Return the only locker, or the one that is called so or has this in its name."""
    names = sorted(await hands.contents())
    exactly = [name for name in names if wanted in {None, name}]
    meant = exactly or [name for name in names if wanted is not None and wanted in name]
    if len(meant) != 1:
        raise HandsError(f"--locker is one of: {', '.join(meant or names)}")
    return meant[0]


async def _type(hands: Hands, locker: str, arguments: argparse.Namespace) -> int:
    answer = await hands.keypad(locker, arguments.code)
    print(on_display(answer))
    return 0 if answer.is_opening else 1


async def _see_to(hands: Hands, locker: str, arguments: argparse.Namespace) -> int:
    number = arguments.compartment
    match arguments.act:
        case "close":
            await hands.close(locker, number)
        case "put":
            await hands.put(locker, number, arguments.goods)
        case "take":
            print(f"taken: {', '.join(await hands.take(locker, number)) or 'nothing'}")
        case "done":
            await hands.done(locker, number)
    print(_described(await _door(hands, locker, number)))
    return 0


async def _break(hands: Hands, locker: str, arguments: argparse.Namespace) -> int:
    fault = fault_in(" ".join(arguments.fault))
    await hands.inflict(locker, fault.kind, **fault.arguments)
    return 0


async def _door(hands: Hands, locker: str, number: int) -> Door:
    for door in (await hands.contents(locker))[locker]:
        if door.compartment == number:
            return door
    raise HandsError(f"there is no compartment {number}")


def on_display(answer: KeypadAnswer) -> str:
    """Return what a locker's display says to an answer."""
    text = DISPLAY.get(answer.outcome, answer.outcome).format(**asdict(answer))
    if answer.is_deposit:
        return f"{text} {LOOK_FIRST}"
    return f"{text} Enter the code again for {answer.num_left} more." if answer.num_left else text


def _described(door: Door) -> str:
    state = "open" if door.is_open else "closed"
    return f"compartment {door.compartment} is {state} and holds {', '.join(door.goods) or 'nothing'}"
