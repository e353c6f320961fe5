"""Rights taken back: a resident's code for another one, a device without a successor, an unused token."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from common.exceptions import InvalidTransition
from common.models import Event
from lockers.alarms import AlarmKind
from lockers.exceptions import BadProvisioningToken, LockerOffline, TokenUsed
from lockers.models import Alarm, CodeMask, Device, LockerCode, OpenCommand, ProvisioningToken
from lockers.services import allowlists, checks, codes, commands, devices, disputes, keypad
from lockers.services.checks import Finding
from lockers.services.disputes import Complaint
from lockers.services.keypad import Outcome
from lockers.sizes import Size
from lockers.states import CodeState, CommandState, LinkState
from tests.lockers.conftest import (
    a_cabinet,
    a_code,
    a_device,
    a_locker,
    a_reservation,
    bound,
    deposited,
    digits_of,
)

pytestmark = pytest.mark.django_db
OPERATOR = uuid4()


class Scene:
    """Goods of one resident behind one door, and more to come."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.locker = a_locker((Size.S, Size.S))
        self.cabinet = a_cabinet(self.locker, at)
        self.old = a_code(at)
        self.here = deposited(a_reservation(self.locker, at, code=self.old), self.cabinet)
        self.coming = a_reservation(self.locker, at, code=self.old)
        self.old.refresh_from_db()
        self.old_digits = digits_of(self.old, at)

    def replace(self) -> LockerCode:
        """Give the resident another code."""
        return codes.replace(self.old, by=OPERATOR, at=self.at)

    def type(self, digits: str) -> str:
        """Type a code, and return what it did."""
        return keypad.enter(self.locker, digits, at=self.at, real_at=self.at, request_id=uuid4()).outcome

    def listed(self) -> list[str]:
        """Return the codes that a list made now names for collections."""
        device = Device.objects.select_related("locker").get(locker=self.locker)
        Device.objects.filter(pk=device.pk).update(list_sent_at=None)
        told = allowlists.next_message(device, at=self.at, real_at=self.at)
        assert told is not None
        return [entry["entry_id"] for entry in told["entries"] if entry["purpose"] == "collect"]


# A resident's code.


def test_the_new_code_opens_what_the_old_one_did_and_the_old_one_nothing(noon: datetime) -> None:
    scene = Scene(noon)

    new = scene.replace()

    assert scene.type(scene.old_digits) == Outcome.CODE_UNKNOWN
    assert scene.type(digits_of(new, noon)) == Outcome.OPENING
    scene.coming.refresh_from_db()
    assert (scene.coming.code, new.valid_until) == (new, scene.old.valid_until)


def test_of_the_old_code_nothing_is_kept_that_tells_its_digits(noon: datetime) -> None:
    scene = Scene(noon)

    scene.replace()

    scene.old.refresh_from_db()
    assert (scene.old.state, scene.old.digest, scene.old.sealed) == (CodeState.REVOKED, "", "")
    assert not CodeMask.objects.filter(code=scene.old).exists()
    assert Event.objects.get(kind="code_replaced").facts["by"] == str(OPERATOR)


def test_the_list_of_the_device_names_the_new_code_instead(noon: datetime) -> None:
    scene = Scene(noon)
    before = scene.listed()

    new = scene.replace()

    assert (before, scene.listed()) == ([str(scene.old.pk)], [str(new.pk)])


@pytest.mark.parametrize("state", [CodeState.ISSUED, CodeState.ACTIVE, CodeState.IN_USE, CodeState.FROZEN])
def test_the_new_code_stands_as_the_old_one_did(noon: datetime, state: CodeState) -> None:
    scene = Scene(noon)
    LockerCode.objects.filter(pk=scene.old.pk).update(state=state)

    assert scene.replace().state == state


def test_a_new_code_in_place_of_a_frozen_one_thaws_with_the_check(noon: datetime) -> None:
    scene = Scene(noon)
    disputes.begin(scene.here, Complaint.DAMAGED, by=OPERATOR, role="resident", at=noon)

    digits = digits_of(scene.replace(), noon)
    frozen = scene.type(digits)
    checks.settle(bound(scene.here), Finding.AS_CLAIMED, by=OPERATOR, at=noon, real_at=noon)

    assert (frozen, scene.type(digits)) == (Outcome.CODE_FROZEN, Outcome.OPENING)


def test_the_codes_of_helpers_end_with_the_one_that_they_are_for(noon: datetime) -> None:
    scene = Scene(noon)
    digits = digits_of(codes.issue_for_helper(scene.old, helper=uuid4(), at=noon), noon)

    scene.replace()

    assert scene.type(digits) == Outcome.CODE_UNKNOWN


def test_only_a_residents_code_that_lives_is_replaced(noon: datetime) -> None:
    scene = Scene(noon)
    helper = codes.issue_for_helper(scene.old, helper=uuid4(), at=noon)
    codes.issue_for_deposits([scene.coming], at=noon)
    courier = scene.coming.deposit_code
    assert courier is not None

    for code in (helper, courier):
        with pytest.raises(InvalidTransition):
            codes.replace(code, by=OPERATOR, at=noon)
    scene.replace()
    with pytest.raises(InvalidTransition):
        scene.replace()

    assert LockerCode.objects.filter(holder=scene.old.holder).count() == 2


# A device.


def test_a_locker_whose_device_was_retired_is_offline_and_is_told_no_codes(noon: datetime) -> None:
    scene = Scene(noon)
    device = Device.objects.get(locker=scene.locker)
    allowlists.next_message(Device.objects.select_related("locker").get(), at=noon, real_at=noon)

    devices.retire_of(scene.locker, by=OPERATOR, at=noon, real_at=noon)

    device.refresh_from_db()
    assert (device.state, device.retired_at) == (LinkState.RETIRED, noon)
    with pytest.raises(LockerOffline, match="ask for help"):
        commands.open_for_collection(scene.here, at=noon, real_at=noon)
    assert not allowlists.due(real_at=noon + timedelta(hours=1)).exists()
    assert Event.objects.get(kind="device_retired").facts["by"] == str(OPERATOR)


def test_what_a_retired_device_was_not_told_to_open_yet_stays_shut(noon: datetime) -> None:
    scene = Scene(noon)
    command = commands.open_for_collection(scene.here, at=noon, real_at=noon)

    devices.retire_of(scene.locker, by=OPERATOR, at=noon, real_at=noon)

    command.refresh_from_db()
    assert command.state == CommandState.REFUSED
    assert not OpenCommand.objects.live().exists()


def test_the_alarm_of_a_device_ends_with_it_and_to_retire_it_again_is_harmless(noon: datetime) -> None:
    locker = a_locker()
    device = a_device(locker, noon)
    devices.hear(device, real_at=noon)
    later = noon + timedelta(minutes=5)
    devices.sweep(at=later, real_at=later)
    alarm = Alarm.objects.get(kind=AlarmKind.OFFLINE, ended_at=None)

    for _ in range(2):
        devices.retire_of(locker, by=OPERATOR, at=later, real_at=later)
    devices.sweep(at=later, real_at=later)

    alarm.refresh_from_db()
    assert alarm.ended_at is not None
    assert Event.objects.filter(kind="device_retired").count() == 1


def test_a_locker_whose_device_was_retired_takes_a_new_one(noon: datetime) -> None:
    scene = Scene(noon)
    devices.retire_of(scene.locker, by=OPERATOR, at=noon, real_at=noon)

    device = a_device(scene.locker, noon)

    assert Device.objects.in_service().get(locker=scene.locker) == device


# A token.


def test_a_token_that_was_taken_back_brings_nothing_into_service(noon: datetime) -> None:
    locker = a_locker()
    text = devices.issue_token(locker, real_at=noon)

    for _ in range(2):
        devices.withdraw_token(ProvisioningToken.objects.get(), by=OPERATOR, at=noon, real_at=noon)

    with pytest.raises(BadProvisioningToken):
        devices.provision(token=text, public_key="key", at=noon, real_at=noon)
    assert not Device.objects.filter(locker=locker).exists()
    assert Event.objects.filter(kind="token_withdrawn").count() == 1


def test_a_token_by_which_a_device_came_is_not_taken_back(noon: datetime) -> None:
    device = a_device(a_locker(), noon)

    with pytest.raises(TokenUsed):
        devices.withdraw_token(device.token, by=OPERATOR, at=noon, real_at=noon)

    assert Device.objects.in_service().get() == device
