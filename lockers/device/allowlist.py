"""
The list by which a locker knows codes when the server is away, and what it did since that list was made.

The list says where goods stood after a certain report of the device; whatever the device reported later, it
knows better itself. All of this follows from the list and the reports alone.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from lockers import wire
from lockers.device.messages import data_in, is_whole

#: Life of the device and number of the report in it; later reports sort later.
Place = tuple[str, int]
Purpose = Literal["deposit", "collect"]

#: What is not of these forms could not be reported back: the server takes no report that names it.
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BOOT_OR_NONE = re.compile(r"([0-9]{8}-[0-9a-f]{8,32})?")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    A bundle's goods: expected, being put behind door ``number``, or here, behind it.

    ``doors`` are those that a courier may use for them, the best first.
    """

    claim_id: str
    state: Literal["expected", "depositing", "here"]
    number: int | None
    num_openings: int
    doors: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A code: what it may open, and until when; its digits are known as a keyed digest only."""

    entry_id: str
    purpose: Purpose
    digest: str
    qr: str
    not_after: datetime
    claims: tuple[str, ...]
    one_visit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowlist:
    """One version of the list, made after the reports up to ``as_of`` had taken effect."""

    version: int
    as_of: Place
    claims: Mapping[str, Claim]
    entries: tuple[Entry, ...]


@dataclass(slots=True, kw_only=True)
class Use:
    """The last use of a door, by whom and since when on the monotonic clock."""

    claim_id: str | None
    purpose: str
    since_s: float
    #: Whether the device decided it, and the server is yet to hear of it.
    is_own: bool = False
    num_openings: int = 1
    is_done: bool = False


@dataclass(slots=True, kw_only=True)
class Sequel:
    """What happened since a list was made."""

    uses: dict[int, Use] = field(default_factory=dict)
    #: Doors that each entry was given by the device itself, and since when it comes.
    tried: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    visits: dict[str, float] = field(default_factory=dict)
    #: Doors that no courier is sent to: stuck, or opened by nobody knows whom.
    spoilt: set[int] = field(default_factory=set)
    #: Claims to which the device gave doors that were not seen to open since: the power may have failed.
    given: dict[int, str] = field(default_factory=dict)

    @property
    def has_decided(self) -> bool:
        """Tell whether the device has opened doors by itself that the server did not know of."""
        return bool(self.tried)

    def is_in_other_use(self, number: int, claim_id: str | None) -> bool:
        """Tell whether the device has let somebody in to a door for other goods, or may have."""
        use = self.uses.get(number)
        if number in self.given:
            return self.given[number] != claim_id
        return use is not None and use.is_own and use.claim_id != claim_id


@dataclass(frozen=True, slots=True)
class Errand:
    """What a door is opened for."""

    claim_id: str | None
    purpose: str
    is_own: bool = False


def sequel(
    allowlist: Allowlist,
    reports: Iterable[wire.Envelope],
    *,
    received_s: float,
    made_s: Callable[[wire.Envelope], float],
    errands: Mapping[str, Errand],
) -> Sequel:
    """
    Return what happened since a list was made, by the reports made since.

    On the monotonic clock, ``received_s`` says when the list came and ``made_s`` when a report was made;
    ``errands`` tell what the server's commands were for, as far as the device remembers.
    """
    happened = Sequel()
    for claim in allowlist.claims.values():
        if claim.number is not None and claim.num_openings:
            happened.uses[claim.number] = Use(
                claim_id=claim.claim_id,
                purpose="deposit" if claim.state == "depositing" else "collect",
                since_s=received_s,
                num_openings=claim.num_openings,
            )
    known = dict(errands)
    for report in reports:
        _follow(happened, report, known, made_s(report))
    return happened


def _follow(happened: Sequel, report: wire.Envelope, errands: dict[str, Errand], made_s: float) -> None:
    data, transaction_id = report["data"], str(report.get("transaction_id"))
    number = data.get("compartment_number")
    match report.get("event"):
        case "code_accepted":
            errands[transaction_id] = Errand(data["claim_id"], data["purpose"], is_own=True)
            happened.tried[data["entry_id"]].add(number)
            happened.given[number] = data["claim_id"]
            happened.visits.setdefault(data["entry_id"], made_s)
        case "compartment_open_failed" if data["error_code"] == "DOOR_JAMMED":
            happened.spoilt.add(number)
        case "compartment_open_detected" | "compartment_open_failed":
            # Behind a door without a sensor that works, whatever was to happen may have happened.
            _use(happened, number, errands.get(transaction_id, Errand(None, "")), made_s)
        case "compartment_uncommanded_open":
            happened.spoilt.add(number)
        case "compartments":
            # A door that stands open, and of whose use nothing is known: it may have been pulsed as the
            # power failed.
            stand_open = {
                row["compartment_number"] for row in data["compartments"] if row["door_state"] == "open"
            }
            happened.spoilt |= stand_open - happened.uses.keys()
        case "deposit_done" | "collection_done":
            if number in happened.uses:
                happened.uses[number].is_done = True


def _use(happened: Sequel, number: int, errand: Errand, made_s: float) -> None:
    happened.given.pop(number, None)
    use = happened.uses.pop(number, None)
    is_again = use is not None and (use.claim_id, use.purpose) == (errand.claim_id, errand.purpose)
    if use is not None and is_again and errand.claim_id is not None:
        use.num_openings += 1
        use.is_done = False
    else:
        use = Use(claim_id=errand.claim_id, purpose=errand.purpose, since_s=made_s, is_own=errand.is_own)
    # The door used last comes last.
    happened.uses[number] = use


def allowlist_in(message: wire.Envelope) -> Allowlist:
    """
    Read a list.

    Raises
    ------
    BadEnvelope
        If it does not keep to the contract.
    """
    data = data_in(message)
    try:
        claims = {claim.claim_id: claim for claim in map(_claim, _rows(data["claims"]))}
        return Allowlist(
            version=_whole(data["version"], least=1),
            as_of=(_text(data["as_of"]["boot_id"], _BOOT_OR_NONE), _whole(data["as_of"]["seq"])),
            claims=claims,
            entries=tuple(_entry(row, claims) for row in _rows(data["entries"])),
        )
    except (KeyError, TypeError) as error:
        raise wire.BadEnvelope("no list of codes") from error


def _claim(row: Mapping[str, Any]) -> Claim:
    number, state = row["compartment_number"], row["state"]
    if state not in {"expected", "depositing", "here"} or (number is None) != (state == "expected"):
        raise wire.BadEnvelope("goods are expected, being deposited or here")
    return Claim(
        claim_id=_text(row["claim_id"], _UUID),
        state=state,
        number=None if number is None else _door(number),
        num_openings=_whole(row["num_openings"]),
        doors=tuple(map(_door, _rows(row["doors"]))),
    )


def _entry(row: Mapping[str, Any], known: Container[str]) -> Entry:
    purpose, one_visit = row["purpose"], row["one_visit"]
    claims = tuple(_text(claim_id, _UUID) for claim_id in _rows(row["claims"]))
    if purpose not in {"deposit", "collect"} or not isinstance(one_visit, bool):
        raise wire.BadEnvelope("a code deposits or collects, on one visit or several")
    if not claims or (purpose == "deposit" and len(claims) > 1):
        raise wire.BadEnvelope("a code has goods, and one for a deposit those of one claim")
    if not all(claim_id in known for claim_id in claims):
        raise wire.BadEnvelope("goods that the list does not know")
    return Entry(
        entry_id=_text(row["entry_id"], _UUID),
        purpose=purpose,
        digest=_text(row["digest"], _DIGEST),
        qr=_text(row["qr"], _DIGEST),
        not_after=wire.parse_moment(row["not_after"]),
        claims=claims,
        one_visit=one_visit,
    )


def _rows(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise wire.BadEnvelope("no list")
    return value


def _text(value: object, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise wire.BadEnvelope("a text of another form")
    return value


def _door(value: object) -> int:
    return _whole(value, least=1, most=999)


def _whole(value: object, *, least: int = 0, most: int = wire.LARGEST_WHOLE) -> int:
    if not is_whole(value) or not least <= value <= most:
        raise wire.BadEnvelope("no whole number, or too large")
    return value
