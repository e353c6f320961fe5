"""The server's key is replaced while lockers stand in their villages: they follow it, and no one else's."""

import base64
import functools
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from pytest_django import Settings

from common.clock import real_now
from lockers import exchange, keys, link, wire
from lockers.api import threads, views, waiting
from lockers.device import https_link, identity, simulator
from lockers.device.controller import Controller
from lockers.device.hands import Hands
from lockers.device.identity import Identity
from lockers.device.journal import FileLog, Journal
from lockers.device.link import Backoff, LinkKind
from lockers.device.mqtt_link import MqttLink
from lockers.device.mqtt_session import Rhythm
from lockers.exceptions import StaleEpoch
from lockers.models import Device, Locker
from lockers.services import commands
from lockers.states import Transport
from tests.lockers.bench import DEVICE_ID, NOW, Locks
from tests.lockers.conftest import a_code, a_device, a_locker, a_reservation, digits_of, serving
from tests.lockers.test_end_to_end import a_village, becomes
from tests.lockers.workbench import Workbench

OLD, NEXT = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2))


def kid(key: Ed25519PrivateKey) -> str:
    """Return the name of a key."""
    return wire.key_id(key.public_key())


def named(*known: Ed25519PrivateKey) -> dict[str, str]:
    """Return public keys by name, as a greeting's answer has them."""
    return {kid(key): wire.public_text(key.public_key()) for key in known}


# The device.


class Disk:
    """Keeps identities, as long as there is room."""

    def __init__(self) -> None:
        self.kept: list[set[str]] = []
        self.is_full = False

    def keep(self, changed: Identity) -> None:
        if self.is_full:
            raise OSError
        self.kept.append(set(changed.server_keys))


class Standing:
    """A device that has greeted, and knows the old key."""

    def __init__(self, directory: Path) -> None:
        self.disk, self.locks = Disk(), Locks()
        self.device = Controller(
            identity=Identity(
                device_id=DEVICE_ID,
                locker="dorf",
                key=Ed25519PrivateKey.generate(),
                server_keys={kid(OLD): OLD.public_key()},
            ),
            journal=Journal(FileLog(directory / "journal.jsonl")),
            hardware=self.locks,
            monotonic=lambda: 1_000.0,
            wall_clock=lambda: NOW,
            keep_identity=self.disk.keep,
        )
        self.device.boot()

    def greets_and_hears(self, signer: Ed25519PrivateKey, **data: object) -> wire.Envelope:
        """Let the device greet, and be answered; return the answer."""
        greeting = self.device.hello()
        answer = a_message(signer, in_reply_to=greeting["message_id"], data={"accepted": {}, **data})
        self.hears(answer)
        return answer

    def hears(self, message: wire.Envelope) -> None:
        """Let the device hear something while it asks for something else."""
        self.device.hear([message], request=self.device.poll(), sent_s=1_000.0, received_s=1_000.0)

    def obeys(self) -> set[str]:
        """Return the names of the keys that the device obeys."""
        return set(self.device.identity.server_keys)


def a_message(signer: Ed25519PrivateKey, **fields: object) -> wire.Envelope:
    """Return an answer to a greeting, signed by a key of the server's."""
    whole = {"action": "hello_accepted", "device_id": DEVICE_ID, **fields}
    return wire.seal(whole, key=signer, kid=kid(signer), timestamp=NOW)


@pytest.fixture
def standing(tmp_path: Path) -> Standing:
    return Standing(tmp_path)


def test_a_device_obeys_the_keys_that_the_answer_to_its_greeting_names_and_keeps_them(
    standing: Standing,
) -> None:
    standing.greets_and_hears(OLD, server_keys=named(OLD, NEXT))
    assert standing.obeys() == {kid(OLD), kid(NEXT)}

    standing.greets_and_hears(NEXT, server_keys=named(NEXT))

    assert standing.obeys() == {kid(NEXT)}
    assert standing.disk.kept == [{kid(OLD), kid(NEXT)}, {kid(NEXT)}]
    assert not standing.device.is_genuine(a_message(OLD))


def test_the_same_keys_again_are_not_written_again(standing: Standing) -> None:
    for _ in range(2):
        standing.greets_and_hears(OLD, server_keys=named(OLD))

    assert standing.disk.kept == []


def test_an_answer_to_an_earlier_greeting_brings_no_dropped_key_back(standing: Standing) -> None:
    early = standing.greets_and_hears(OLD, server_keys=named(OLD, NEXT))
    late = standing.greets_and_hears(NEXT, server_keys=named(OLD, NEXT))
    standing.greets_and_hears(NEXT, server_keys=named(NEXT))

    for replayed in (early, late):
        standing.hears(replayed)
        standing.device.hello()
        standing.hears(replayed)

    assert standing.obeys() == {kid(NEXT)}


def test_of_two_answers_to_one_greeting_the_first_counts(standing: Standing) -> None:
    greeting = standing.device.hello()
    for known in ((OLD,), (OLD, NEXT)):
        standing.hears(
            a_message(
                OLD,
                in_reply_to=greeting["message_id"],
                data={"accepted": {}, "server_keys": named(*known)},
            )
        )

    assert standing.obeys() == {kid(OLD)}


@pytest.mark.parametrize("action", ["poll_answered", "messages_accepted", "heartbeat_answered"])
def test_no_other_message_changes_the_keys(standing: Standing, action: str) -> None:
    greeting = standing.device.hello()
    data = {"accepted": {}, "server_keys": named(OLD, NEXT)}
    standing.hears(a_message(OLD, action=action, in_reply_to=greeting["message_id"], data=data))

    assert standing.obeys() == {kid(OLD)}


@pytest.mark.parametrize(
    "server_keys",
    [
        named(NEXT),
        {},
        {**named(OLD), kid(NEXT): "no key"},
        {**named(OLD), kid(NEXT): 7},
        {**named(OLD), "0123456789abcdef": wire.public_text(NEXT.public_key())},
        [wire.public_text(OLD.public_key())],
    ],
)
def test_keys_without_the_one_that_signed_or_that_cannot_be_read_are_refused(
    standing: Standing, server_keys: object
) -> None:
    standing.greets_and_hears(OLD, server_keys=server_keys)

    assert standing.obeys() == {kid(OLD)}
    assert standing.disk.kept == []


def test_who_signs_with_a_key_never_heard_of_is_not_believed(standing: Standing) -> None:
    standing.greets_and_hears(NEXT, server_keys=named(OLD, NEXT))

    assert standing.obeys() == {kid(OLD)}
    assert not standing.device.is_greeted


def test_while_the_disk_is_full_new_keys_are_obeyed_and_kept_with_the_next_greeting(
    standing: Standing,
) -> None:
    standing.disk.is_full = True
    standing.greets_and_hears(OLD, server_keys=named(OLD, NEXT))
    assert (standing.obeys(), standing.disk.kept) == ({kid(OLD), kid(NEXT)}, [])

    standing.disk.is_full = False
    standing.greets_and_hears(OLD, server_keys=named(OLD, NEXT))

    assert standing.disk.kept == [{kid(OLD), kid(NEXT)}]


# The server.


@pytest.fixture
def sign_with(settings: Settings) -> Iterator[Callable[..., None]]:
    """Let the server sign with a key, and have devices obey others beside it."""

    def change(signer: Ed25519PrivateKey, *beside: Ed25519PrivateKey) -> None:
        settings.LOCKER_KNOWN_KEYS = [wire.public_text(key.public_key()) for key in beside]
        settings.LOCKER_SIGNING_KEY = base64.b64encode(signer.private_bytes_raw()).decode()
        _forget_keys()

    change(OLD)
    yield change
    # The settings are put back later, and read again when the next test asks for a key.
    _forget_keys()


def _forget_keys() -> None:
    keys.server_key.cache_clear()
    keys.server_kid.cache_clear()


@pytest.mark.django_db
def test_a_device_that_was_told_of_other_keys_has_to_greet_anew(sign_with: Callable[..., None]) -> None:
    device = a_device(a_locker(), real_now())
    envelope = {"link_epoch": device.link_epoch}
    link.require_epoch(envelope, device)

    sign_with(OLD, NEXT)
    with pytest.raises(StaleEpoch):
        link.require_epoch(envelope, device)

    # Which of them signs makes no difference to who is to be obeyed.
    device.keys_told = keys.name_of_known()
    sign_with(NEXT, OLD)
    link.require_epoch(envelope, device)


@pytest.mark.django_db
def test_a_locker_serves_by_its_list_though_the_key_that_signed_it_was_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noon: datetime, sign_with: Callable[..., None]
) -> None:
    bench = Workbench(a_locker(), tmp_path, monkeypatch, noon)
    code = a_code(noon)
    a_reservation(bench.locker, noon, code=code)
    bench.converse()
    for signer, *beside in ((OLD, NEXT), (NEXT,)):
        sign_with(signer, *beside)
        bench.poll()
    assert set(bench.device.identity.server_keys) == {kid(NEXT)}

    bench.pull_cable()
    assert bench.enter(digits_of(code, noon)).outcome == "code-not-active"


@pytest.mark.django_db
def test_a_list_of_any_version_replaces_one_whose_signer_was_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noon: datetime, sign_with: Callable[..., None]
) -> None:
    bench = Workbench(a_locker(), tmp_path, monkeypatch, noon)
    a_reservation(bench.locker, noon)
    bench.converse()
    genuine = bench.row.list_version
    forged = a_list(bench, OLD, version=genuine + 1_000)
    bench.device.take(forged)
    bench.device.take(a_list(bench, OLD, version=genuine + 1))
    assert bench.device.hello()["data"]["list_version"] == genuine + 1_000

    sign_with(OLD, NEXT)
    bench.connect()
    sign_with(NEXT)
    bench.connect()
    assert bench.device.hello()["data"]["list_version"] == 0
    bench.device.take(a_list(bench, NEXT, version=genuine + 1))

    assert bench.device.hello()["data"]["list_version"] == genuine + 1


def a_list(bench: Workbench, signer: Ed25519PrivateKey, *, version: int) -> wire.Envelope:
    """Return an empty list of codes for a device."""
    fields = {"action": "put_allowlist", "device_id": bench.device.identity.device_id, "in_reply_to": None}
    as_of = {"boot_id": "", "seq": 0}
    data = {"version": version, "as_of": as_of, "claims": [], "entries": []}
    return wire.seal(fields | {"data": data}, key=signer, kid=kid(signer), timestamp=bench.at)


@pytest.mark.django_db
def test_the_command_draws_a_new_key_each_time_and_names_the_present_one(
    capsys: pytest.CaptureFixture[str], sign_with: Callable[..., None]
) -> None:
    drawn = []
    for _ in range(2):
        call_command("locker_key")
        seed, public, present = (line.split(": ")[1].strip() for line in capsys.readouterr().out.splitlines())
        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed))
        assert public == wire.public_text(key.public_key())
        assert present == wire.public_text(OLD.public_key())
        drawn.append(seed)

    assert drawn[0] != drawn[1]


@pytest.mark.django_db
def test_the_command_names_the_lockers_that_are_yet_to_hear_of_a_key(
    capsys: pytest.CaptureFixture[str], sign_with: Callable[..., None]
) -> None:
    told, untold = a_locker(), a_locker()
    key = Ed25519PrivateKey.generate()
    device = a_device(told, real_now(), key=key)
    a_device(untold, real_now())
    sign_with(OLD, NEXT)
    hello = wire.seal(
        {
            "event": "hello",
            "link_epoch": "an-epoch-with-the-keys",
            "data": {"boot_id": "00000001-0123456789abcdef", "num_hellos": 2},
        },
        key=key,
        kid=str(device.pk),
        timestamp=real_now(),
    )
    exchange.hello(hello, transport=Transport.HTTPS)

    call_command("locker_key", "--untold")

    said = capsys.readouterr().out
    assert untold.slug in said
    assert told.slug not in said.replace(untold.slug, "")
    assert "1 of 2 lockers" in said


# Both, over the real links.


@pytest.fixture(params=LinkKind)
def kind(request: pytest.FixtureRequest, sign_with: Callable[..., None]) -> Iterator[LinkKind]:
    """Return what carries the envelopes, with a link process beside it where one is needed."""
    chosen: LinkKind = request.param
    if chosen == LinkKind.HTTPS:
        yield chosen
        return
    request.getfixturevalue("broker_of_tests")
    with serving():
        yield chosen


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let server and device say often what they say at intervals."""
    retry_after_s = (0.1,)
    rhythm = Rhythm(heartbeat_s=0.2, silence_s=1.0, retry_after_s=retry_after_s)
    monkeypatch.setattr(views, "LONGEST_POLL_S", 0.2)
    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(simulator, "MqttLink", functools.partial(MqttLink, rhythm=rhythm))
    monkeypatch.setattr(https_link, "Backoff", functools.partial(Backoff, retry_after_s))


def keys_on_disk(directory: Path, locker: Locker) -> set[str]:
    """Return the names of the keys that a locker would obey after a restart."""
    known = identity.known(directory / locker.slug)
    assert known is not None
    return set(known[0].server_keys)


def is_told() -> bool:
    """Tell whether the locker has greeted since the keys are what they are."""
    return Device.objects.filter(keys_told=keys.name_of_known()).exists()


async def door_opens(hands: Hands, locker: Locker, *, within_s: float = 5.0) -> bool:
    """Tell whether a door opens when the server says so."""
    number = await threads.run(_open, locker)
    return await hands.wait_open(locker.slug, number, timeout_s=within_s)


def _open(locker: Locker) -> int:
    reservation = a_reservation(locker, real_now())
    return commands.open_for_deposit(reservation, at=real_now(), real_at=real_now()).compartment.number


def is_obeyed(directory: Path, locker: Locker, wanted: set[str]) -> bool:
    """Tell whether these are the keys that a locker obeys."""
    return keys_on_disk(directory, locker) == wanted


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("in_one_thread", "in_haste")
async def test_a_locker_goes_from_one_key_to_the_next_without_anyones_coming(
    tmp_path: Path, kind: LinkKind, sign_with: Callable[..., None]
) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        for signer, *beside in ((OLD, NEXT), (NEXT, OLD), (NEXT,)):
            sign_with(signer, *beside)
            wanted = {kid(signer), *map(kid, beside)}
            await becomes(functools.partial(is_obeyed, tmp_path, locker, wanted))

        assert await door_opens(hands, locker)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("in_one_thread", "in_haste")
async def test_a_locker_that_never_heard_of_a_key_obeys_nobody_who_signs_with_it(
    tmp_path: Path, kind: LinkKind, sign_with: Callable[..., None]
) -> None:
    async with a_village(tmp_path, kind) as (locker, hands):
        sign_with(NEXT)
        await becomes(is_told)
        assert not await door_opens(hands, locker, within_s=1.0)
        assert keys_on_disk(tmp_path, locker) == {kid(OLD)}

        sign_with(OLD)
        await becomes(is_told)
        assert await door_opens(hands, locker)
