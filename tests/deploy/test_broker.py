"""A real Mosquitto starts and stops, lets in whom it should, and keeps devices apart."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from queue import Empty
from ssl import SSLCertVerificationError
from urllib.parse import urlsplit

import pytest

from deploy.local import broker, servers
from deploy.local.broker import broker_environment, broker_part, broker_server
from deploy.local.certificates import certify_localhost
from deploy.local.debian import PackageError
from deploy.local.parts import PROJECT
from deploy.local.probes import free_port
from deploy.local.servers import MissingServerError
from deploy.local.supervisor import Supervisor
from tests.deploy.mqtt_client import (
    GRANTED,
    NOBODY_LISTENS,
    NOT_AUTHORIZED,
    SUCCESS,
    THROWN_OUT,
    Administration,
    Connection,
)

ONE, OTHER = "8f0e6a", "2b77c1"
SECRET = "only for tests"


@pytest.fixture(autouse=True)
def _nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the broker that the suite itself runs on."""
    monkeypatch.delenv("MQTT_URL", raising=False)
    monkeypatch.delenv("MQTT_CA_FILE", raising=False)


@pytest.fixture
def _program() -> None:
    """Skip where there is no Mosquitto."""
    try:
        broker._program()
    except MissingServerError as missing:
        pytest.skip(f"needs Mosquitto: {missing}")


@pytest.fixture
def environment(_program: None, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """Return where a running broker is."""
    with broker_server(tmp_path) as environment:
        yield environment


@pytest.fixture
def administration(environment: Mapping[str, str]) -> Iterator[Administration]:
    """Return a connection of our own account to a broker that knows two devices."""
    with Administration(environment) as administration:
        administration.make_device(ONE, SECRET)
        administration.make_device(OTHER, SECRET)
        yield administration


def _listens(environment: Mapping[str, str]) -> bool:
    address = urlsplit(environment["MQTT_URL"])
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", int(address.port or 0))) == 0


@pytest.mark.usefixtures("_program")
def test_the_broker_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    with broker_server(tmp_path) as environment, Connection(environment) as service:
        assert service.accepted == SUCCESS

    assert not _listens(environment)


@pytest.mark.usefixtures("_program")
def test_nobody_else_can_read_what_a_broker_keeps(tmp_path: Path) -> None:
    broker_part(tmp_path, free_port())

    assert (tmp_path / "mosquitto").stat().st_mode & 0o077 == 0
    assert all(
        (tmp_path / "mosquitto" / name).stat().st_mode & 0o077 == 0
        for name in ("key.pem", "password", "accounts.json")
    )


def test_a_broker_whose_authority_is_unknown_is_not_trusted(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    certify_localhost(tmp_path / "ca.pem", tmp_path / "certificate.pem", tmp_path / "key.pem")
    elsewhere = {**environment, "MQTT_CA_FILE": str(tmp_path / "ca.pem")}

    with pytest.raises(SSLCertVerificationError), Connection(elsewhere):
        pass


@pytest.mark.parametrize(("username", "password"), [("dorfbote", "guess"), ("stranger", "guess")])
def test_whoever_does_not_know_a_password_is_refused(
    environment: Mapping[str, str], username: str, password: str
) -> None:
    with Connection(environment, username, password) as connection:
        assert connection.accepted == NOT_AUTHORIZED


def test_whoever_gives_no_name_is_refused(environment: Mapping[str, str]) -> None:
    port = urlsplit(environment["MQTT_URL"]).port

    with Connection({**environment, "MQTT_URL": f"mqtts://localhost:{port}"}) as connection:
        assert connection.accepted == NOT_AUTHORIZED


def test_a_device_talks_to_the_service_and_hears_from_it(
    environment: Mapping[str, str], administration: Administration
) -> None:
    with Connection(environment) as service, Connection(environment, ONE, SECRET, client_id=ONE) as device:
        assert service.subscribe("locker/+/event") == GRANTED
        assert device.subscribe(f"locker/{ONE}/command") == GRANTED

        assert device.publish(f"locker/{ONE}/event", "hello") == SUCCESS
        assert service.publish(f"locker/{ONE}/command", "open") == SUCCESS

        assert service.message() == (f"locker/{ONE}/event", b"hello")
        assert device.message() == (f"locker/{ONE}/command", b"open")


@pytest.mark.parametrize(
    "topic",
    [
        f"locker/{OTHER}/event",
        f"locker/{ONE}/command",
        f"locker/{ONE}/answer",
        "locker/event",
        "$CONTROL/dynamic-security/v1",
    ],
)
def test_a_device_says_nothing_but_its_own(
    environment: Mapping[str, str], administration: Administration, topic: str
) -> None:
    with Connection(environment, ONE, SECRET, client_id=ONE) as device:
        assert device.publish(topic, "{}") == NOT_AUTHORIZED


@pytest.mark.parametrize(
    "topic",
    [
        f"locker/{OTHER}/command",
        "locker/+/command",
        f"locker/{ONE}/#",
        f"$share/all/locker/{OTHER}/command",
        "$share/all/locker/+/event",
        "$CONTROL/dynamic-security/v1/response",
        "$SYS/#",
        "#",
    ],
)
def test_a_device_hears_nothing_but_its_own(
    environment: Mapping[str, str], administration: Administration, topic: str
) -> None:
    with Connection(environment, ONE, SECRET, client_id=ONE) as device:
        assert device.subscribe(topic) == NOT_AUTHORIZED


@pytest.mark.parametrize("client_id", [OTHER, "service", ""])
def test_a_device_cannot_take_the_place_of_another(
    environment: Mapping[str, str], administration: Administration, client_id: str
) -> None:
    with (
        Connection(environment, OTHER, SECRET, client_id=OTHER) as other,
        Connection(environment, client_id="service") as service,
        Connection(environment, ONE, SECRET, client_id=client_id) as device,
    ):
        assert device.accepted == NOT_AUTHORIZED
        assert other.publish(f"locker/{OTHER}/event") == NOBODY_LISTENS
        assert service.publish(f"locker/{OTHER}/command") == NOBODY_LISTENS


def test_a_device_that_connects_again_takes_its_own_place(
    environment: Mapping[str, str], administration: Administration
) -> None:
    with (
        Connection(environment, ONE, SECRET, client_id=ONE) as before,
        Connection(environment, ONE, SECRET, client_id=ONE) as after,
    ):
        before.end()
        assert after.publish(f"locker/{ONE}/event") == NOBODY_LISTENS


def test_the_service_has_several_connections_at_once(environment: Mapping[str, str]) -> None:
    with Connection(environment) as one, Connection(environment) as other:
        assert one.subscribe("locker/+/event") == GRANTED
        assert other.publish("locker/1/event", "hello") == SUCCESS

        assert one.message() == ("locker/1/event", b"hello")


def test_a_shared_subscription_brings_each_message_to_one_connection(environment: Mapping[str, str]) -> None:
    with Connection(environment) as one, Connection(environment) as other, Connection(environment) as sender:
        for connection in (one, other):
            assert connection.subscribe("$share/link/locker/+/event") == GRANTED
        for number in range(4):
            assert sender.publish(f"locker/{number}/event") == SUCCESS

        # They take turns.
        heard = [connection.message()[0] for connection in (one, other) for _ in range(2)]
        assert sorted(heard) == [f"locker/{number}/event" for number in range(4)]
        for connection in (one, other):
            with pytest.raises(Empty):
                connection.message(within_s=0.1)


def test_a_deleted_device_is_thrown_out_and_refused(
    environment: Mapping[str, str], administration: Administration
) -> None:
    with Connection(environment, ONE, SECRET, client_id=ONE) as device:
        administration.do("deleteClient", username=ONE)
        administration.do("deleteRole", rolename=ONE)

        assert device.end() == THROWN_OUT
    with Connection(environment, ONE, SECRET, client_id=ONE) as device:
        assert device.accepted == NOT_AUTHORIZED


@pytest.mark.usefixtures("_program")
def test_a_broker_that_was_killed_comes_back_with_its_accounts(tmp_path: Path) -> None:
    port = free_port()
    part = replace(broker_part(tmp_path, port), stop_signal=signal.SIGKILL)
    environment = broker_environment(tmp_path, port)
    with Supervisor(tmp_path / "log") as supervisor:
        supervisor.start(part)
        with Administration(environment) as administration:
            administration.make_device(ONE, SECRET)

    with Supervisor(tmp_path / "log") as supervisor:
        supervisor.start(broker_part(tmp_path, port))

        assert broker_environment(tmp_path, port) == environment
        with Connection(environment, ONE, SECRET, client_id=ONE) as device:
            assert device.accepted == SUCCESS


def test_a_given_broker_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"MQTT_URL": "mqtts://someone:secret@elsewhere:8883", "MQTT_CA_FILE": "/etc/ca.pem"}
    monkeypatch.setenv("MQTT_URL", given["MQTT_URL"])

    with broker_server(tmp_path) as environment:
        assert environment == {"MQTT_URL": given["MQTT_URL"]}

    monkeypatch.setenv("MQTT_CA_FILE", given["MQTT_CA_FILE"])
    with broker_server(tmp_path) as environment:
        assert environment == given


def test_the_mosquitto_of_debian_serves_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide_the_machines_own(monkeypatch)
    monkeypatch.setattr(broker, "_PACKAGES", tmp_path / "packages")
    try:
        broker._program()
    except MissingServerError as missing:
        pytest.skip(f"needs Debian's packages: {missing}")

    with broker_server(tmp_path) as environment, Connection(environment) as service:
        assert service.accepted == SUCCESS
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == ["mosquitto", "mosquitto.lock"]


@pytest.mark.usefixtures("_program")
def test_an_ordinary_user_gets_a_broker(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from deploy.local.broker import broker_server\n"
        "assert os.geteuid() != 0\n"
        "with broker_server(Path(sys.argv[1])): print('a broker')"
    )
    ordinary = servers._IN_A_USER_NAMESPACE if os.geteuid() == 0 else ()

    said = subprocess.run(
        [*ordinary, sys.executable, "-c", script, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert said.stdout == "a broker\n", said.stderr


def test_a_machine_without_mosquitto_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_package: str, _packages: Path) -> Path:
        raise PackageError("apt-get failed: E: Unable to locate package")

    _hide_the_machines_own(monkeypatch)
    monkeypatch.setattr(broker, "unpacked", nowhere)

    with (
        pytest.raises(MissingServerError, match=r"No Mosquitto here.*Unable to locate"),
        broker_server(tmp_path),
    ):
        pass


def test_a_fetched_mosquitto_that_does_not_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hide_the_machines_own(monkeypatch)
    monkeypatch.setattr(broker, "_PACKAGES", tmp_path)
    (tmp_path / "mosquitto").mkdir()

    with (
        pytest.raises(MissingServerError, match=f"{tmp_path}/mosquitto does not run"),
        broker_server(tmp_path),
    ):
        pass


def _hide_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = broker._usable
    monkeypatch.setattr(
        broker, "_usable", lambda path, environment: found(path, environment) if environment else None
    )
