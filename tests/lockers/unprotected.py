"""Devices and servers for the simulation of which each lacks one protection."""

from collections.abc import Callable, Iterable, Mapping

from lockers import wire
from lockers.device.controller import Controller
from lockers.device.journal import Journal, Record
from lockers.device.messages import Answer
from lockers.states import CompartmentState, ReservationState
from tests.lockers.compartment_rows import Claim, Door
from tests.lockers.server_claims import Claims
from tests.lockers.server_model import ServerModel

# Devices of which each lacks one protection.


class IgnoresDeadlines(Controller):
    def _is_late(self, command: wire.Envelope) -> bool:
        return False


class LooksAtTheDeadlineOnce(Controller):
    """Trusts that writing to disk took no time."""

    def _drive(self, command: wire.Envelope, command_id: str, number: int) -> None:
        self._is_late = lambda command: False  # type: ignore[method-assign]
        try:
            super()._drive(command, command_id, number)
        finally:
            del self._is_late


class TrustsItsWallClock(Controller):
    def _is_late(self, command: wire.Envelope) -> bool:
        return self._reporter._wall_clock() > wire.parse_moment(command["expires_at"])


class TakesAnswersForFresh(Controller):
    """Believes that it is as late as an answer says when it arrives, however long it was under way."""

    def learn_time(self, answer: wire.Envelope, *, sent_s: float, received_s: float) -> None:
        super().learn_time(answer, sent_s=received_s, received_s=received_s)


class IgnoresConnections(Controller):
    def _is_stale(self, command: wire.Envelope) -> bool:
        return False


class ForgetsWhatTheKeypadSettled(Controller):
    """Executes a command for a code that it has answered by itself meanwhile."""

    def _refusal(self, command: wire.Envelope, number: int) -> str | None:
        return super()._refusal({**command, "request_id": None}, number)


class ForgetsWhatItObeyed(Controller):
    """Answers a code by itself although it has executed the server's command for it."""

    def decide(self, code: str, *, instead_of: wire.Envelope | None = None) -> Answer:
        self._obeyed.clear()
        return super().decide(code, instead_of=instead_of)


class ForgetsCommands(Journal):
    """Does not know a command when it comes again."""

    def has_seen(self, command_id: str) -> bool:
        return False


class WritesTooLate(Journal):
    """Remembers a command only once it is answered, and so after the pulse."""

    def remember_seen(self, command_id: str) -> None:
        pass


class RemembersInMemory(Journal):
    """Knows a command when it comes again, until the power goes."""

    def remember_seen(self, command_id: str) -> None:
        self._take({"is": "seen", "command_id": command_id})


class PulsesThoughTheDiskIsFull(Journal):
    def remember_seen(self, command_id: str) -> None:
        self._write([{"is": "seen", "command_id": command_id}])


class ReportsOnce(Journal):
    """Does not wait for the server to accept what it was sent."""

    def unreported(self) -> list[Record]:
        reports = super().unreported()
        for report in reports:
            self.forget(report["boot_id"], report["seq"])
        return reports


class ForgetsTooMuch(Journal):
    """Forgets more than the server accepted."""

    def forget(self, boot_id: str, seq: int) -> None:
        super().forget(boot_id, seq + 3)


class ReportsFromMemory(Journal):
    """Has reports on disk only when it happens to be written anew."""

    def report(self, envelope: Record, *, answers: str | None = None, begins: str | None = None) -> None:
        answered = {} if answers is None else {"command_id": answers}
        self._take({"is": "report", "envelope": envelope, **answered})


class KeepsInterruptionsToItself(Journal):
    def interrupted(self) -> list[str]:
        return []


class DoesNotSayWhatCameBefore(Journal):
    """Lets the server take the reports of a new boot before it has those of the last one."""

    def _last_place(self) -> None:
        return None


class NamesABootThatSaidNothing(Journal):
    """Lets the server wait for a boot that had nothing to tell, instead of the one before."""

    def _last_place(self) -> tuple[str, int] | None:
        return None if self.boot_id is None else (self.boot_id, self.last_seq)


class DoesNotLookAtItsDoors(Controller):
    """Does not say after a start where the doors stand."""

    def boot(self) -> None:
        self._doors.report_all = lambda: None  # type: ignore[method-assign]
        super().boot()


class SaysRefusedAfterThePulse(Controller):
    """Finds only afterwards that a command was late, and says that it refused it."""

    def _respond(self, command_id: str, *, error_code: str | None = None) -> None:
        super()._respond(command_id, error_code=error_code or "EXPIRED")


class SaysFailedAfterThePulse(Controller):
    """Takes a lock that was driven for one that has no current."""

    def _respond(self, command_id: str, *, error_code: str | None = None) -> None:
        super()._respond(command_id, error_code=error_code or "HARDWARE_FAILED")


# Servers that lack one.


class AcceptsWithGaps(ServerModel):
    """Accepts a report although one before it is missing."""

    def receive(self, batch: Iterable[wire.Envelope]) -> Mapping[str, int]:
        reports = sorted(batch, key=lambda report: int(report["seq"]))
        super().receive(reports)
        return {report["boot_id"]: report["seq"] for report in reports}


class TakesReportsTwice(ServerModel):
    """Lets a report that comes again have its effect again."""

    def receive(self, batch: Iterable[wire.Envelope]) -> Mapping[str, int]:
        reports = list(batch)
        for report in reports:
            if report["seq"] <= self._applied.get(report["boot_id"], 0):
                self._apply(report)
        return super().receive(reports)


class TakesBootsAsTheyCome(ServerModel):
    def _follows(self, boot_id: str) -> bool:
        return True


class HandsOutUnnoticed(ServerModel):
    """Takes a command that was handed out for one that nobody can have executed."""

    def hand_out(self, command_id: str) -> None:
        pass


class ActsOnEveryCopy(ServerModel):
    """Does again what somebody said once, when it arrives again."""

    def hear_once(self, name: str, act: Callable[[], None]) -> None:
        act()


class FreesAtSilence(Claims):
    """Takes a command without an answer for one that was not executed."""

    def may_hold_goods(self, claim: Claim) -> bool:
        return claim.word_s is not None


class EndsClaimsWhileOpening(Claims):
    """Does not wait for what becomes of a command before it gives the door away."""

    def is_opening(self, door: Door | None) -> bool:
        return False


class ChecksNothing(Claims):
    """Frees a compartment into which somebody should look, for one reason."""

    reason = ""

    def demand_check(
        self, door: Door, reason: str, to: CompartmentState = CompartmentState.NEEDS_CHECK
    ) -> None:
        if reason != self.reason:
            super().demand_check(door, reason, to)
            return
        holder = self.holder(door)
        if holder is not None and holder.state in {ReservationState.RESERVED, ReservationState.DEPOSITING}:
            self.unbind(holder)
        if door.intent != CompartmentState.FREE:
            self.move(door, CompartmentState.FREE)


class FreesWhatJammed(ChecksNothing):
    """Takes a door that jammed for one that stays shut."""

    reason = "door_jammed"


class FreesHalfADeposit(ChecksNothing):
    """Takes a courier who said nothing for one who put nothing in."""

    reason = "half_confirmed_deposit"
