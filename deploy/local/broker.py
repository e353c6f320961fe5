"""
A real Mosquitto on any machine, as root and as ordinary user.

It is taken from its URL in the environment if one is given; else the one found on the machine is
started; else that of Debian's package, which is unpacked below ``var`` and not installed.

It speaks TLS only. Its dynamic security plugin keeps the accounts. At first there is one, ``dorfbote``, which
makes those of the devices. An account may have several connections at once unless it was made with a
``clientid``: then it can use no other, so that no device can take another's place.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.certificates import certify_localhost
from deploy.local.debian import PackageError, libraries, unpacked
from deploy.local.parts import VAR
from deploy.local.probes import free_port, tls_answers
from deploy.local.servers import MissingServerError
from deploy.local.supervisor import Part, Supervisor

_ACCOUNT = "dorfbote"
#: The first with the dynamic security plugin.
_OLDEST_MOSQUITTO = 2
_PACKAGES = VAR / "packages"
#: Where a machine has it, besides ``PATH``.
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
_PLUGIN = "mosquitto_dynamic_security.so"
#: What the plugin takes itself; the password is no word that could be guessed.
_HASH_ROUNDS = 101


@contextmanager
def broker_server(directory: Path) -> Iterator[Mapping[str, str]]:
    """Yield the environment for a broker that lives as long as the context; see ``start_broker``."""
    with Supervisor(directory / "log") as supervisor:
        yield start_broker(supervisor, directory)


def start_broker(supervisor: Supervisor, directory: Path) -> Mapping[str, str]:
    """
    Return the environment in which our programs find a Mosquitto, started as a part if none is given.

    Raises
    ------
    MissingServerError
        If there is none.
    """
    if os.environ.get("MQTT_URL"):
        return {name: os.environ[name] for name in ("MQTT_URL", "MQTT_CA_FILE") if name in os.environ}
    port = free_port()
    supervisor.start(broker_part(directory, port))
    return broker_environment(directory, port)


def broker_part(directory: Path, port: int) -> Part:
    """
    Return the broker of a run.

    Its certificate, accounts and messages stay in the run's folder: a part made for the same folder and port
    takes the place of one that was killed.

    Raises
    ------
    MissingServerError
        If there is none.
    """
    program = _program()
    files = _Files(directory / "mosquitto")
    files.make()
    files.configuration.write_text(_configuration(files, program, port))
    return Part(
        name="mosquitto",
        command=[str(program.path), "-c", str(files.configuration)],
        environment=program.environment,
        directory=files.folder,
        ready=tls_answers(port, files.ca),
        ready_within_s=20,
    )


def broker_environment(directory: Path, port: int) -> Mapping[str, str]:
    """Return the environment in which our programs find the broker of a run."""
    files = _Files(directory / "mosquitto")
    return {
        "MQTT_URL": f"mqtts://{_ACCOUNT}:{files.password.read_text()}@localhost:{port}",
        "MQTT_CA_FILE": str(files.ca),
    }


@dataclass(frozen=True, slots=True)
class _Program:
    """A Mosquitto that runs here."""

    path: Path
    plugin: Path
    environment: Mapping[str, str]


def _program() -> _Program:
    path = os.pathsep.join([*os.get_exec_path(), *_SYSTEM_FOLDERS])
    found = shutil.which("mosquitto", path=path)
    if found and (program := _usable(Path(found), {})):
        return program
    try:
        folder = unpacked("mosquitto", _PACKAGES)
    except PackageError as error:
        raise MissingServerError(f"No Mosquitto here, and Debian's cannot be had: {error}") from error
    if program := _usable(folder / "usr/sbin/mosquitto", {"LD_LIBRARY_PATH": libraries(folder)}):
        return program
    raise MissingServerError(
        f"The Mosquitto in {folder} does not run here or is too old; without the folder it is fetched again."
    )


def _usable(path: Path, environment: Mapping[str, str]) -> _Program | None:
    """Return the program if it runs, is new enough and has its plugin."""
    try:
        said = subprocess.run(
            [path, "-h"], env=os.environ | environment, capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return None
    version = re.match(r"mosquitto version (\d+)", said)
    folder = path.resolve().parents[1] / "lib"
    plugin = next((found for pattern in ("", "*/") for found in folder.glob(pattern + _PLUGIN)), None)
    if plugin and version and int(version[1]) >= _OLDEST_MOSQUITTO:
        return _Program(path, plugin, environment)
    return None


@dataclass(frozen=True, slots=True)
class _Files:
    """What a broker keeps in its run's folder."""

    folder: Path

    @property
    def configuration(self) -> Path:
        """Return where it is told what to do."""
        return self.folder / "mosquitto.conf"

    @property
    def ca(self) -> Path:
        """Return the certificate of the authority, for those who connect."""
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Return its own certificate."""
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        """Return its own key."""
        return self.folder / "key.pem"

    @property
    def accounts(self) -> Path:
        """Return where its plugin keeps the accounts."""
        return self.folder / "accounts.json"

    @property
    def password(self) -> Path:
        """Return the password of our own account."""
        return self.folder / "password"

    def make(self) -> None:
        """Write what is not there yet."""
        if self.accounts.exists():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        certify_localhost(self.ca, self.certificate, self.key)
        password = secrets.token_urlsafe(32)
        for file, text in ((self.password, password), (self.accounts, json.dumps(_accounts(password)))):
            file.touch(mode=0o600)
            file.write_text(text)


def _configuration(files: _Files, program: _Program, port: int) -> str:
    settings = {
        "log_dest": "stdout",
        "log_timestamp_format": "%Y-%m-%dT%H:%M:%S",
        "sys_interval": "0",
        "set_tcp_nodelay": "true",
        "allow_anonymous": "false",
        "plugin": str(program.plugin),
        "plugin_opt_config_file": str(files.accounts),
        "persistence": "true",
        "persistence_location": str(files.folder),
        "autosave_interval": "2",
        # Beyond its usual limit of 1000 it drops messages without a word.
        "max_queued_messages": "100000",
        "max_inflight_messages": "1000",
        "listener": f"{port} 127.0.0.1",
        "certfile": str(files.certificate),
        "keyfile": str(files.key),
    }
    if os.geteuid() == 0:
        # It would go on as a user to whom the run's folder may be closed.
        settings = {"user": "root"} | settings
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def _accounts(password: str) -> Mapping[str, Any]:
    """Return the plugin's first state: our own account, which may make others and talk to all lockers."""
    salt = secrets.token_bytes(12)
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _HASH_ROUNDS)
    client = {
        "username": _ACCOUNT,
        "password": base64.b64encode(hashed).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": _HASH_ROUNDS,
        "roles": [{"rolename": _ACCOUNT}],
    }
    acls = [
        {"acltype": acl_type, "topic": topic, "allow": True}
        for topic in ("$CONTROL/dynamic-security/#", "locker/#")
        for acl_type in ("publishClientSend", "publishClientReceive", "subscribePattern")
    ]
    # A shared subscription is judged by its whole text.
    acls.append({"acltype": "subscribePattern", "topic": "$share/+/locker/#", "allow": True})
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [client],
        "groups": [],
        "roles": [{"rolename": _ACCOUNT, "acls": acls}],
    }
