"""How messages are written and read: one meaning for each text, one spelling for each key and signature."""

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} {}",
        b'{"seq": 1, "seq": 1}',
        b'{"data": {"a": 1, "\\u0061": 2}}',
        b"[NaN]",
        b"[-Infinity]",
        b"[1e999]",
        b"[" + b"9" * 5_000 + b"]",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b" " * wire.MAX_BODY_BYTES + b"1",
        b"[" * (wire.MAX_DEPTH + 1) + b"]" * (wire.MAX_DEPTH + 1),
        b'{"a":' * (wire.MAX_DEPTH + 1) + b"1" + b"}" * (wire.MAX_DEPTH + 1),
        b"[" * 900 + b"]" * 900,
        b"[" * 100_000,
    ],
    ids=repr,
)
def test_what_parsers_could_read_in_different_ways_is_not_read(body: bytes) -> None:
    with pytest.raises(wire.BadEnvelope):
        wire.read(body)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"[" * wire.MAX_DEPTH + b"]" * wire.MAX_DEPTH, None),
        (b'["' + b"[" * 900 + b'"]', ["[" * 900]),
        (b"[" + b",".join([b"[[]]"] * 900) + b"]", [[[]]] * 900),
        (b"[1.0, 1e2, -0.0, 20E-1]", [1, 100, 0, 2]),
        (b"[1.5, 1e300, 9007199254740993.0]", [1.5, 1e300, 9007199254740992.0]),
    ],
    ids=range(5),
)
def test_what_is_deep_enough_or_a_number_in_another_spelling_is_read(body: bytes, content: object) -> None:
    found = wire.read(body)

    assert content is None or found == content
    assert content is None or repr(found) == repr(content)


@pytest.mark.parametrize("written", ["{}", "7.0", "70e-1"])
def test_a_whole_number_means_the_same_to_reader_and_signature(written: str) -> None:
    envelope = wire.seal({"seq": 7}, key=KEY, kid="k", timestamp=NOON)
    body = json.dumps(envelope).replace('"seq": 7', f'"seq": {written}'.replace("{}", "7"))

    read = wire.read(body.encode())

    wire.check(read, KEY.public_key())
    assert isinstance(read["seq"], int)


@pytest.mark.parametrize(
    "text",
    [
        *(
            None,
            1,
            "",
            "now",
            "2026-11-24",
            "2026-11-24T11:00:00",
            "2026-11-24 11:00:00Z",
            "20261124T110000Z",
        ),
        *("2026-W48-2T11:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T11:00:60Z", "2026-02-30T11:00:00Z"),
        *(
            "2026-11-24T11:00:00+24:00",
            "2026-11-24T11:00:00Z\n",
            "２026-11-24T11:00:00Z",
            "2026-11-24T11:00Z",
        ),
        # In UTC these are no moments at all, or none that a database can keep.
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    ],
)
def test_a_moment_is_written_as_rfc_3339_says(text: object) -> None:
    with pytest.raises(wire.BadEnvelope):
        wire.parse_moment(text)


@pytest.mark.parametrize("text", ["2026-11-24T11:00:00Z", "2026-11-24T12:00:00.000+01:00", wire.moment(NOON)])
def test_a_moment_is_read_in_utc(text: str) -> None:
    at = wire.parse_moment(text)

    assert (at, at.tzinfo) == (NOON, UTC)


def test_a_public_key_is_written_in_one_way_only() -> None:
    text = wire.public_text(KEY.public_key())
    assert wire.public_key(text).public_bytes_raw() == KEY.public_key().public_bytes_raw()

    twin = text[:-2] + chr(ord(text[-2]) + 1) + "="
    assert base64.b64decode(twin) == base64.b64decode(text)
    for wrong in (twin, text + "\n", text[:-1], "", "ü", base64.b64encode(bytes(31)).decode()):
        with pytest.raises(wire.BadEnvelope):
            wire.public_key(wrong)
