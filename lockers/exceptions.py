"""What may go wrong with lockers; every error has a stable code."""

from common.exceptions import DomainError


class LockerError(DomainError):
    """Base of what this app refuses."""


class NoCompartmentAvailable(LockerError):
    """No compartment of the locker is free and fits."""

    code = "no-compartment-available"
    message = "Locker {locker} has no free {temperature} compartment of size {size} or larger."


class LockerOffline(LockerError):
    """The locker cannot be reached, so an unlock could come late."""

    code = "locker-offline"
    message = "Locker {locker} cannot be reached: use your code at the keypad."


class OfflineWithoutKeypad(LockerOffline):
    """The same of a locker with a basic device or none: there is no keypad to fall back on."""

    message = "Locker {locker} cannot be reached: try again in a minute, or ask for help."


class NoKeypad(LockerError):
    """The locker takes no codes: its doors are opened online."""

    code = "no-keypad"
    message = "Locker {locker} takes no codes: open it on the pages, or have it opened for you."


class BasicDevicesOff(LockerError):
    """Basic devices are not taken by this installation."""

    code = "basic-devices-off"
    message = "Basic devices are switched off in this installation."


class WiringDoesNotFit(LockerError):
    """The wiring is not that of this cabinet."""

    code = "wiring-does-not-fit"
    message = "Every compartment of locker {locker} needs one lock, and every lock one compartment."


class CommandPending(LockerError):
    """The door is being opened at this moment."""

    code = "command-pending"
    message = "Compartment {number} is being opened already."


class DoorNotOpened(LockerError):
    """A deposit was reported, but no door was ever opened for it."""

    code = "door-not-opened"
    message = "No compartment has been opened for this deposit."


class NotDeposited(LockerError):
    """There is nothing to collect, or not yet."""

    code = "not-deposited"
    message = "Nothing lies ready to be collected: the goods are {state}."


class HoldEnded(LockerError):
    """The holding time is over."""

    code = "hold-ended"
    message = "The goods were not collected in time."


class CompartmentUnavailable(LockerError):
    """The compartment waits for someone to look at it."""

    code = "compartment-unavailable"
    message = "Compartment {number} is out of order at present; please ask for help."


class CodeFrozen(LockerError):
    """The resident said that something is wrong with the goods; nobody has looked yet."""

    code = "code-frozen"
    message = "These goods are being checked; their code opens nothing until somebody has looked."


class CompartmentInUse(LockerError):
    """Operators open only what waits for a check or is out of service."""

    code = "compartment-in-use"
    message = "Compartment {number} is in use; report what is wrong with it first."


class GoodsClaimed(LockerError):
    """A claim says that goods lie where none are said to be."""

    code = "goods-claimed"
    message = "Goods should lie in compartment {number}: say that they are missing or were handed over."


class NothingClaimed(LockerError):
    """Nobody said that goods lie there."""

    code = "nothing-claimed"
    message = "No goods are known of in compartment {number}: say that it is empty or holds unclaimed goods."


class ReopenLimitReached(LockerError):
    """The compartment was opened again too often."""

    code = "reopen-limit-reached"
    message = "This compartment cannot be opened again; please ask for help."


class CodeNotRevealable(LockerError):
    """A code that is no longer valid is not shown again."""

    code = "code-not-revealable"
    message = "This code is {state} and is not shown again."


class NoCodeLeft(LockerError):
    """No code far enough from all others was found."""

    code = "no-code-left"
    message = "No further locker code can be issued in {namespace} at present."


class TokenUsed(LockerError):
    """A provisioning token cannot be taken back any longer."""

    code = "token-used"
    message = "A device came into service by this token: retire the device instead."


class UnknownCompartment(LockerError):
    """The locker has no such compartment."""

    code = "unknown-compartment"
    message = "Locker {locker} has no compartment {number}."


class LinkError(LockerError):
    """A device said something that is not accepted; nothing was written."""


class MalformedMessage(LinkError):
    """The message does not have the form of the contract."""

    code = "malformed-message"
    message = "The message does not keep to the contract: {reason}."


class BadSignature(LinkError):
    """The message was not signed by the device it names."""

    code = "bad-signature"
    message = "The signature does not belong to the message."


class UnknownDevice(LinkError):
    """No device in service has this identity."""

    code = "unknown-device"
    message = "No device in service has this identity."


class StaleEpoch(LinkError):
    """The message belongs to an earlier connection."""

    code = "stale-epoch"
    message = "The link has begun anew since; say hello first."


class BadProvisioningToken(LinkError):
    """The token is unknown, used or too old."""

    code = "bad-provisioning-token"
    message = "The provisioning token is unknown, used or too old."
