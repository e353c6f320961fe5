"""The five machines (door, compartment, open command, link, code) and the life of a reservation."""

from collections.abc import Mapping
from datetime import timedelta

from django.db import models


class DoorState(models.TextChoices):
    """What the device says about a door: physical facts, never intent."""

    UNKNOWN = "unknown"
    CLOSED = "closed"
    UNLOCKING = "unlocking"
    OPEN = "open"
    LEFT_OPEN = "left_open"
    JAMMED = "jammed"


_SEEN = frozenset({DoorState.UNKNOWN, DoorState.CLOSED, DoorState.OPEN, DoorState.JAMMED})

#: A snapshot may say anything of any door; the other moves follow pulses and the sensor.
DOOR_TRANSITIONS: Mapping[DoorState, frozenset[DoorState]] = {
    DoorState.UNKNOWN: _SEEN | {DoorState.UNLOCKING, DoorState.LEFT_OPEN},
    DoorState.CLOSED: _SEEN | {DoorState.UNLOCKING},
    DoorState.UNLOCKING: _SEEN,
    DoorState.OPEN: _SEEN | {DoorState.LEFT_OPEN},
    DoorState.LEFT_OPEN: _SEEN,
    DoorState.JAMMED: _SEEN | {DoorState.UNLOCKING},
}

#: Doors behind which nothing may be promised now.
UNUSABLE_DOORS = frozenset({DoorState.OPEN, DoorState.LEFT_OPEN, DoorState.UNLOCKING, DoorState.JAMMED})


class CompartmentState(models.TextChoices):
    """What a compartment is meant for: our intent, never a physical fact."""

    FREE = "free"
    RESERVED = "reserved"
    DEPOSITING = "depositing"
    OCCUPIED = "occupied"
    COLLECTING = "collecting"
    NEEDS_CHECK = "needs_check"
    OUT_OF_SERVICE = "out_of_service"


#: Out of use until someone has looked into it.
TROUBLE = frozenset({CompartmentState.NEEDS_CHECK, CompartmentState.OUT_OF_SERVICE})

COMPARTMENT_TRANSITIONS: Mapping[CompartmentState, frozenset[CompartmentState]] = {
    CompartmentState.FREE: TROUBLE | {CompartmentState.RESERVED},
    CompartmentState.RESERVED: TROUBLE | {CompartmentState.FREE, CompartmentState.DEPOSITING},
    CompartmentState.DEPOSITING: TROUBLE | {CompartmentState.FREE, CompartmentState.OCCUPIED},
    CompartmentState.OCCUPIED: TROUBLE | {CompartmentState.COLLECTING},
    CompartmentState.COLLECTING: TROUBLE | {CompartmentState.FREE, CompartmentState.OCCUPIED},
    CompartmentState.NEEDS_CHECK: frozenset(
        {CompartmentState.FREE, CompartmentState.OCCUPIED, CompartmentState.OUT_OF_SERVICE}
    ),
    CompartmentState.OUT_OF_SERVICE: frozenset(
        {CompartmentState.FREE, CompartmentState.OCCUPIED, CompartmentState.NEEDS_CHECK}
    ),
}


class ReservationState(models.TextChoices):
    """How far a bundle's claim has come."""

    RESERVED = "reserved"
    DEPOSITING = "depositing"
    DEPOSITED = "deposited"
    COLLECTING = "collecting"
    COLLECTED = "collected"
    OVERDUE = "overdue"
    MISSING = "missing"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


RESERVATION_TRANSITIONS: Mapping[ReservationState, frozenset[ReservationState]] = {
    ReservationState.RESERVED: frozenset(
        {ReservationState.DEPOSITING, ReservationState.CANCELLED, ReservationState.EXPIRED}
    ),
    ReservationState.DEPOSITING: frozenset(
        {ReservationState.RESERVED, ReservationState.DEPOSITED, ReservationState.MISSING}
    ),
    ReservationState.DEPOSITED: frozenset(
        {ReservationState.COLLECTING, ReservationState.OVERDUE, ReservationState.MISSING}
    ),
    ReservationState.COLLECTING: frozenset(
        {ReservationState.COLLECTED, ReservationState.DEPOSITED, ReservationState.MISSING}
    ),
    ReservationState.OVERDUE: frozenset(
        {ReservationState.COLLECTING, ReservationState.DEPOSITED, ReservationState.MISSING}
    ),
    ReservationState.COLLECTED: frozenset(),
    ReservationState.MISSING: frozenset(),
    ReservationState.CANCELLED: frozenset(),
    ReservationState.EXPIRED: frozenset(),
}
#: States in which a reservation may have a door of its own.
HOLDING = frozenset(
    {
        ReservationState.RESERVED,
        ReservationState.DEPOSITING,
        ReservationState.DEPOSITED,
        ReservationState.COLLECTING,
        ReservationState.OVERDUE,
    }
)
#: States in which the resident's code still has something to open.
AWAITING_COLLECTION = HOLDING - {ReservationState.OVERDUE}


#: States in which goods lie behind a door for their resident.
WITHIN_REACH = frozenset({ReservationState.DEPOSITED, ReservationState.COLLECTING})


class CommandState(models.TextChoices):
    """What is known of one attempt to open one door."""

    CREATED = "created"
    SENT = "sent"
    PULSED = "pulsed"
    OPENED = "opened"
    ALREADY_OPEN = "already_open"
    JAMMED = "jammed"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


_OUTCOMES = frozenset(
    {CommandState.OPENED, CommandState.ALREADY_OPEN, CommandState.JAMMED, CommandState.UNVERIFIED}
)
_ANSWERS = _OUTCOMES | {
    CommandState.PULSED,
    CommandState.REFUSED,
    CommandState.FAILED,
    CommandState.UNKNOWN,
}

#: When two answers disagree, the one further left in this order stands: opened > already_open > … > unknown.
COMMAND_TRANSITIONS: Mapping[CommandState, frozenset[CommandState]] = {
    CommandState.CREATED: _ANSWERS | {CommandState.SENT},
    CommandState.SENT: _ANSWERS,
    CommandState.PULSED: _OUTCOMES | {CommandState.UNKNOWN},
    CommandState.UNKNOWN: _ANSWERS - {CommandState.UNKNOWN},
    CommandState.FAILED: _OUTCOMES | {CommandState.PULSED, CommandState.REFUSED},
    CommandState.REFUSED: _OUTCOMES | {CommandState.PULSED},
    CommandState.UNVERIFIED: frozenset({CommandState.OPENED, CommandState.ALREADY_OPEN}),
    CommandState.JAMMED: frozenset({CommandState.OPENED, CommandState.ALREADY_OPEN}),
    CommandState.ALREADY_OPEN: frozenset({CommandState.OPENED}),
    CommandState.OPENED: frozenset(),
}
#: Commands that a device may still receive.
OFFERABLE = frozenset({CommandState.CREATED, CommandState.SENT})
#: Commands whose outcome is being waited for.
LIVE = OFFERABLE | {CommandState.PULSED}
#: Outcomes by which no lock was driven, as far as is known.
UNOPENED = frozenset({CommandState.REFUSED, CommandState.FAILED, CommandState.UNKNOWN})

#: An unlock is executed within this time of real seconds or never.
COMMAND_LIFE = timedelta(seconds=20)
#: So long after the deadline an answer may still be on its way; then the outcome is unknown.
ANSWER_GRACE = timedelta(seconds=5)
#: So long the device watches for the door to move after a pulse.
OPENING_TIME = timedelta(seconds=10)


class Purpose(models.TextChoices):
    """What a door is opened for."""

    DEPOSIT = "deposit"
    COLLECT = "collect"
    OPERATOR = "operator"


class LinkState(models.TextChoices):
    """Whether a device can be reached."""

    UNKNOWN = "unknown"
    ONLINE = "online"
    OFFLINE = "offline"
    RETIRED = "retired"


class Transport(models.TextChoices):
    """What carries a device's envelopes in its present connection."""

    HTTPS = "https"
    MQTT = "mqtt"


class Profile(models.TextChoices):
    """What a device speaks, and so what may be promised of it."""

    #: Signed envelopes with epochs, deadlines and numbers.
    FULL = "full"
    #: An unmodified Open-Locker client: none of these. It can open a door late, and works only online.
    BASIC = "basic"


LINK_TRANSITIONS: Mapping[LinkState, frozenset[LinkState]] = {
    LinkState.UNKNOWN: frozenset({LinkState.ONLINE, LinkState.RETIRED}),
    LinkState.ONLINE: frozenset({LinkState.OFFLINE, LinkState.RETIRED}),
    LinkState.OFFLINE: frozenset({LinkState.ONLINE, LinkState.RETIRED}),
    LinkState.RETIRED: frozenset(),
}

#: A device speaks at least this often, in real time.
HEARTBEAT_INTERVAL = timedelta(seconds=15)
#: After three missed heartbeats it is offline.
OFFLINE_AFTER = 3 * HEARTBEAT_INTERVAL
#: It is sent no command after two: who would press in vain is told to use the code.
REACHABLE_FOR = 2 * HEARTBEAT_INTERVAL
#: A basic device is told to speak this often, and watches for so long whether a door opens.
BASIC_HEARTBEAT_INTERVAL = OPENING_TIME
#: A basic device cannot tell an old command from a new one: it is sent none after two missed heartbeats.
BASIC_REACHABLE_FOR = 2 * BASIC_HEARTBEAT_INTERVAL
#: A device whose broker says that it has gone may come back within this time before it counts as offline.
SUSPECT_FOR = timedelta(seconds=10)


class CodeState(models.TextChoices):
    """Life of a locker code."""

    ISSUED = "issued"
    ACTIVE = "active"
    IN_USE = "in_use"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FROZEN = "frozen"


_CODE_ENDS = frozenset({CodeState.EXPIRED, CodeState.REVOKED, CodeState.FROZEN})

CODE_TRANSITIONS: Mapping[CodeState, frozenset[CodeState]] = {
    CodeState.ISSUED: _CODE_ENDS | {CodeState.ACTIVE},
    CodeState.ACTIVE: _CODE_ENDS | {CodeState.IN_USE},
    CodeState.IN_USE: _CODE_ENDS | {CodeState.USED},
    CodeState.FROZEN: frozenset({CodeState.ACTIVE, CodeState.IN_USE, CodeState.REVOKED, CodeState.EXPIRED}),
    CodeState.USED: frozenset(),
    CodeState.EXPIRED: frozenset(),
    CodeState.REVOKED: frozenset(),
}
#: Codes that may not be given to anyone else; a frozen one is live, for it may thaw.
LIVE_CODES = frozenset({CodeState.ISSUED, CodeState.ACTIVE, CodeState.IN_USE, CodeState.FROZEN})
#: Codes that open a door.
OPENING_CODES = frozenset({CodeState.ACTIVE, CodeState.IN_USE})

#: How long a resident may open the same compartment again, in business time, and how often.
COLLECTION_WINDOW = timedelta(minutes=10)
MAX_REOPENINGS = 3
#: A closed door without the courier's word becomes a case for a check after this business time.
CONFIRMATION_WINDOW = timedelta(minutes=10)
#: So many jams in a row put a compartment out of service.
MAX_JAMS = 3
#: Who cannot reach goods because their compartment is out of use has at least so long, in business time,
#: once it is back.
REACH_GUARANTEED = timedelta(hours=24)

#: Lists of codes follow each other no faster, in real time; a device that was silent on one gets it again.
LIST_EVERY = timedelta(seconds=15)
LIST_AGAIN_AFTER = timedelta(seconds=20)
#: After so long a list says anew up to where the device's reports are known, even if it is the same.
LIST_RENEWED_AFTER = timedelta(minutes=10)
#: A gap in a device's reports that lasts so long is asked about, and again after as long, in real time.
GAP_MAY_LAST = timedelta(seconds=10)
SYNC_EVERY = timedelta(seconds=10)
