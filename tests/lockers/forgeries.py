"""
Forged and malformed messages, made from genuine ones, by chance but repeatable.

Whatever comes out must be refused: what still says the same as the genuine message is thrown away.
"""

import base64
import copy
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockers import wire

Envelope = dict[str, Any]

#: Number of points of Ed25519's group: adding it to a signature's second half is an old trick.
ORDER = 2**252 + 27742317777372353535851937790883648493
OTHER_CONTEXTS = (b"", b"dorfbote-link/1", b"dorfbote-link/1\r\n", b"dorfbote-link/2\n", b"DORFBOTE-LINK/1\n")
LITERALS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "1" * 400,
    "1" * 5_000,
    "01",
    "+1",
    "'x'",
    "undefined",
    "0x10",
)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**53, 10**20, 1e300, "", "x", "\n", "\0", "Ω", "\u202e", [], {}, [[]]),
    *([None] * 300, {"a": {"a": {"a": 1}}}, "9" * 5_000, "../../etc/passwd", "' OR 1=1 --", "{{7*7}}"),
)


@dataclass(frozen=True, slots=True)
class Forgery:
    """A message that must be refused; ``is_signed`` if its sender's own key signed what it may not say."""

    way: str
    body: bytes
    is_signed: bool = False


class Forger:
    """Makes forgeries of messages that are signed with a key."""

    def __init__(
        self,
        dice: random.Random,
        *,
        key: Ed25519PrivateKey,
        others: Sequence[tuple[str, Ed25519PrivateKey]],
        faults: Callable[[Envelope], object],
    ) -> None:
        self._dice = dice
        self._key = key
        self._others = others
        self._faults = faults

    def forge(self, genuine: Envelope) -> Forgery:
        """Return a forgery of a genuine message."""
        while True:
            way = self._dice.choice(WAYS)
            try:
                body = way(self, copy.deepcopy(genuine))
            except rfc8785.CanonicalizationError:
                continue
            if not says_the_same(body, genuine):
                return Forgery(way.__name__, body, is_signed=_is_signed(body, self._key))

    # The text is tampered with.

    def flipped_bits(self, genuine: Envelope) -> bytes:
        """Flip a bit or a few."""
        body = bytearray(text(genuine))
        for _ in range(self._dice.choice((1, 1, 1, 2, 5))):
            body[self._dice.randrange(len(body))] ^= 1 << self._dice.randrange(8)
        return bytes(body)

    def cut(self, genuine: Envelope) -> bytes:
        """Leave off an end, or a piece in the middle."""
        body = text(genuine)
        start, end = sorted(self._dice.choices(range(len(body) + 1), k=2))
        return self._dice.choice((body[:start], body[end:], body[:start] + body[end:]))

    def stuffed(self, genuine: Envelope) -> bytes:
        """Put bytes in that are no JSON, or no UTF-8."""
        body, at = text(genuine), self._dice.randrange(len(text(genuine)))
        foreign = self._dice.choice(
            (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\0", b"\x1b[2J", b"}", b'"', b",")
        )
        return body[:at] + foreign * self._dice.choice((1, 2, 100)) + body[at:]

    def said_twice(self, genuine: Envelope) -> bytes:
        """Name a field twice, first or last with another value."""
        holder = self._dice.choice(
            [genuine, *(part for part in genuine.values() if isinstance(part, dict) and part)]
        )
        name = self._dice.choice(list(holder))
        first = json.dumps({name: self._dice.choice((holder[name], *ODD))})[:-1]
        rest = json.dumps(holder)[1:]
        whole = f"{first}, {rest}"
        return (
            whole if holder is genuine else json.dumps(genuine).replace(json.dumps(holder), whole)
        ).encode()

    def literal(self, genuine: Envelope) -> bytes:
        """Write a number that is none, or is too large."""
        self._set(genuine, "\x00here\x00")
        return json.dumps(genuine).replace(json.dumps("\x00here\x00"), self._dice.choice(LITERALS)).encode()

    def surrogate(self, genuine: Envelope) -> bytes:
        """Write half a character."""
        lone = self._dice.choice(("\ud800", "\udfff", "x\ud83d", "\ude00\ud83d"))
        if self._dice.random() < 0.3:
            genuine[lone] = 1
        else:
            self._set(genuine, lone)
        return json.dumps(genuine).encode()

    def other_encoding(self, genuine: Envelope) -> bytes:
        """Write it in something else than UTF-8."""
        return json.dumps(genuine).encode(
            self._dice.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7"))
        )

    def no_object(self, genuine: Envelope) -> bytes:
        """Say something else than an object, or more than one."""
        body = text(genuine)
        noise = self._dice.randbytes(self._dice.choice((1, 50, 5_000)))
        quoted = json.dumps(body.decode()).encode()
        plain = self._dice.choice((b"", b" ", b"null", b"0", b"true", b"[]", b"{}"))
        return self._dice.choice(
            (plain, noise, quoted, b"[%b]" % body, body + body, body + b"x", b"/**/" + body)
        )

    def too_long(self, genuine: Envelope) -> bytes:
        """Say it with more bytes than are taken."""
        body = text(genuine)
        return body + b" " * (wire.MAX_BODY_BYTES + 1 - len(body))

    def nested(self, genuine: Envelope) -> bytes:
        """Nest a value so deep that reading it could break something."""
        depth = self._dice.choice((wire.MAX_DEPTH + 1, 100, 800, 990, 20_000))
        inside = self._dice.choice((("[", "]"), ('{"a":', "}")))
        self._set(genuine, "\x00here\x00")
        deep = inside[0] * depth + "1" + inside[1] * depth
        return json.dumps(genuine).replace(json.dumps("\x00here\x00"), deep).encode()

    # The content is tampered with, and the signature stays.

    def changed(self, genuine: Envelope) -> bytes:
        """Give a field another value."""
        self._set(genuine, self._dice.choice(ODD))
        return json.dumps(genuine).encode()

    def nudged(self, genuine: Envelope) -> bytes:
        """Change a value a little, so that it keeps its form."""
        holder, name = self._place(genuine)
        match holder[name]:
            case bool(value):
                holder[name] = not value
            case int(value):
                holder[name] = value + self._dice.choice((-1, 1, 10))
            case str(value) if value:
                at = self._dice.randrange(len(value))
                holder[name] = value[:at] + self._dice.choice("0123456789abcdefABCXYZ-_") + value[at + 1 :]
            case _:
                holder[name] = self._dice.choice(ODD)
        return json.dumps(genuine).encode()

    def stripped(self, genuine: Envelope) -> bytes:
        """Leave out a field or several."""
        for _ in range(self._dice.choice((1, 1, 2, 4))):
            holder, name = self._place(genuine)
            del holder[name]
        return json.dumps(genuine).encode()

    def added(self, genuine: Envelope) -> bytes:
        """Add a field."""
        holder = self._dice.choice((genuine, genuine.get("data", genuine)))
        holder[self._dice.choice(("admin", "", "Sig", "sig ", "__proto__", "ｓｉｇ", "data.seq"))] = 1
        return json.dumps(genuine).encode()

    def exchanged(self, genuine: Envelope) -> bytes:
        """Let two fields change their values."""
        one, other = self._dice.sample(list(genuine), 2)
        genuine[one], genuine[other] = genuine[other], genuine[one]
        return json.dumps(genuine).encode()

    def misnamed(self, genuine: Envelope) -> bytes:
        """Write an identity in another way."""
        name = self._dice.choice([name for name in ("kid", "device_id", "message_id") if name in genuine])
        genuine[name] = self._dice.choice(list(spellings(str(genuine[name]))))
        return json.dumps(genuine).encode()

    # The signature is tampered with, or is someone else's.

    def respelled_signature(self, genuine: Envelope) -> bytes:
        """Write the signature in another way, or a relative of it."""
        genuine["sig"] = self._dice.choice(list(relatives(genuine["sig"])))
        return json.dumps(genuine).encode()

    def foreign_key(self, genuine: Envelope) -> bytes:
        """Sign with another key, under the old name or that key's."""
        kid, key = self._dice.choice(self._others)
        if self._dice.random() < 0.3:
            genuine["kid"], key = kid, self._key
        return json.dumps(signed(genuine, key)).encode()

    def other_context(self, genuine: Envelope) -> bytes:
        """Sign the right content for another protocol, or something beside the content."""
        fields = {name: value for name, value in genuine.items() if name != "sig"}
        canonical = rfc8785.dumps(fields)
        said = self._dice.choice(
            (
                *(context + canonical for context in OTHER_CONTEXTS),
                wire.CONTEXT * 2 + canonical,
                wire.CONTEXT + canonical + b"\n",
                wire.CONTEXT + json.dumps(fields).encode(),
                wire.CONTEXT + rfc8785.dumps({**fields, "sig": ""}),
                wire.CONTEXT + rfc8785.dumps(fields.get("data", {})),
                hashlib.sha512(wire.CONTEXT + canonical).digest(),
            )
        )
        return json.dumps({**fields, "sig": base64.b64encode(self._key.sign(said)).decode()}).encode()

    # The sender itself signs what it may not say.

    def malformed(self, genuine: Envelope) -> bytes:
        """Sign what does not keep to the contract."""
        envelope = genuine
        for _ in range(50):
            envelope = copy.deepcopy(genuine)
            holder, name = self._place(envelope)
            if self._dice.random() < 0.3:
                del holder[name]
            elif isinstance(holder, dict) and self._dice.random() < 0.2:
                holder[self._dice.choice(("action", "event", "more"))] = self._dice.choice(ODD)
            else:
                holder[name] = self._dice.choice((*ODD, *spellings(str(holder[name]))))
            envelope.pop("sig", None)
            if self._faults({**envelope, "sig": genuine["sig"]}):
                return json.dumps(signed(envelope, self._key)).encode()
        return text(genuine)

    def _place(self, envelope: Envelope) -> tuple[Any, Any]:
        """Return what holds a value, and the value's name there."""
        return self._dice.choice(list(_places(envelope)))

    def _set(self, envelope: Envelope, value: Any) -> None:
        holder, name = self._place(envelope)
        holder[name] = value


#: All of them; malformed ones are many, for they get past the signature.
WAYS: Sequence[Callable[[Forger, Envelope], bytes]] = (
    *(Forger.flipped_bits, Forger.cut, Forger.stuffed, Forger.said_twice, Forger.literal, Forger.surrogate),
    *(Forger.other_encoding, Forger.no_object, Forger.too_long, Forger.nested, Forger.changed, Forger.nudged),
    *(Forger.stripped, Forger.added, Forger.exchanged, Forger.misnamed, Forger.respelled_signature),
    *(Forger.foreign_key, Forger.other_context, *(Forger.malformed,) * 6),
)


def signed(envelope: Mapping[str, Any], key: Ed25519PrivateKey) -> Envelope:
    """Return an envelope with a fresh signature."""
    fields = {name: value for name, value in envelope.items() if name != "sig"}
    return {**fields, "sig": base64.b64encode(key.sign(wire.CONTEXT + rfc8785.dumps(fields))).decode()}


def text(envelope: Mapping[str, Any]) -> bytes:
    """Write an envelope as devices do."""
    return json.dumps(envelope, separators=(",", ":")).encode()


def respelled(envelope: Mapping[str, Any], dice: random.Random) -> bytes:
    """Write an envelope in another way that means the same, and so must be taken."""
    names = list(envelope)
    dice.shuffle(names)
    content = {name: envelope[name] for name in names}
    written = json.dumps(content, indent=dice.choice((None, 1)), ensure_ascii=dice.random() < 0.5)
    if isinstance(envelope.get("seq"), int) and dice.random() < 0.3:
        written = written.replace(f'"seq": {envelope["seq"]}', f'"seq": {envelope["seq"]}.0')
    if dice.random() < 0.3:
        written = written.replace('"data"', '"\\u0064ata"')
    return dice.choice(("", " ", "\r\n\t")).encode() + written.encode()


def says_the_same(body: bytes, genuine: Envelope) -> bool:
    """Tell whether a text is nothing but another spelling of a message."""
    try:
        content = json.loads(body.decode(), object_pairs_hook=_without_repetition)
        return len(body) <= wire.MAX_BODY_BYTES and rfc8785.dumps(content) == rfc8785.dumps(genuine)
    except (ValueError, RecursionError):
        return False


def spellings(name: str) -> Iterator[str]:
    """Yield other ways to write an identity, some of which careless readers take for the same."""
    yield from (
        name.upper(),
        f"{{{name}}}",
        f"urn:uuid:{name}",
        name.replace("-", ""),
        f"{name}\n",
        f" {name}",
    )
    yield from (
        name.replace("0", "０"),
        name.replace("a", "а"),
        f"{name}\u200b",
        f"{name}\0",
        name[:-1],
        name * 2,
    )
    yield from (name.replace("-", "‐"), name.replace("-", "_"), f"+{name[1:]}", name[::-1])
    try:
        yield str(UUID(int=UUID(name).int ^ 1))
    except ValueError:
        yield "00000000-0000-0000-0000-000000000000"


def relatives(signature: str) -> Iterator[str | list[int] | int | None]:
    """Yield a signature in other spellings, and others that a careless verifier would take."""
    raw = base64.b64decode(signature)
    yield from (
        base64.urlsafe_b64encode(raw).decode() + " ",
        signature.rstrip("="),
        f"{signature}=",
        f"\n{signature}",
    )
    yield from (raw.hex(), signature.lower(), f"{signature[:40]}\n{signature[40:]}", f"{signature}\0")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    yield f"{signature[:-3]}{last[last.index(signature[-3]) + 1]}=="
    number = int.from_bytes(raw[32:], "little") + ORDER
    yield base64.b64encode(raw[:32] + number.to_bytes(32, "little")).decode()
    yield from (
        base64.b64encode(part).decode() for part in (bytes(64), raw[32:] + raw[:32], raw[:63], raw + b"\0")
    )
    yield base64.b64encode(bytes([1]) + bytes(63)).decode()
    yield from ("", "none", None, list(raw), 0)


def _is_signed(body: bytes, key: Ed25519PrivateKey) -> bool:
    try:
        content = json.loads(body)
        return isinstance(content, dict) and signed(content, key)["sig"] == content.get("sig")
    except (ValueError, RecursionError):
        return False


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, name
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)
