"""How much goes wrong in a story: the chance of each mishap, every time that it could happen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """Chances between 0 and 1; nothing goes wrong that is not named."""

    # The network between device and server.
    loss: float = 0
    doubling: float = 0
    #: That a message arrives another time.
    delay: float = 0
    #: That what an earlier life of the device has to report arrives another time.
    old_reports_wait: float = 0
    #: That the device begins a new connection.
    new_connection: float = 0
    darkness: float = 0
    #: That the network dies between a pulse and its report.
    darkness_at_the_door: float = 0
    #: That it dies after an answer, before the door is reported to have opened.
    darkness_after_an_answer: float = 0
    dark_s: Sequence[float] = (8, 30, 90, 400)

    # The device.
    power_cut: float = 0
    power_cut_after_a_pulse: float = 0
    slow_disk: float = 0
    broken_lock: float = 0

    # Doors.
    jam: float = 0
    #: That a door does not open because what lies behind it is in its way.
    stuck: float = 0
    blind_sensor: float = 0
    opens_by_itself: float = 0

    # Claims and couriers.
    short_claim: float = 0
    cancelled_claim: float = 0
    deposit_code: float = 0.5
    impatience: float = 0
    misfit: float = 0
    #: That a courier closes an open door and goes back for something.
    second_thoughts: float = 0
    early_word: float = 0
    late_word: float = 0
    lost_word: float = 0
    #: That who used the keypad says so by phone, too.
    word_by_phone: float = 0
    door_left_open: float = 0

    # Residents and operators.
    only_looks: float = 0
    leaves_something: float = 0
    no_button: float = 0
    #: That somebody opens once more to put something back.
    puts_back: float = 0
    blocked_door: float = 0

    # Time.
    sweep: float = 0.06
    #: How long it was until then.
    pause_s: Sequence[float] = (1, 30, 400, 700)
    #: How long a claim lives that nobody comes for; the short ones end while somebody stands at the door.
    long_life: timedelta = timedelta(hours=8)
    short_life: timedelta = timedelta(minutes=4)


#: A little of everything.
EVERYDAY = Luck(
    loss=0.12,
    doubling=0.15,
    delay=0.2,
    old_reports_wait=0.3,
    new_connection=0.02,
    darkness=0.03,
    darkness_at_the_door=0.15,
    power_cut=0.002,
    power_cut_after_a_pulse=0.05,
    slow_disk=0.01,
    broken_lock=0.01,
    jam=0.02,
    blind_sensor=0.005,
    opens_by_itself=0.005,
    short_claim=0.3,
    cancelled_claim=0.01,
    impatience=0.2,
    misfit=0.05,
    second_thoughts=0.1,
    early_word=0.3,
    late_word=0.3,
    lost_word=0.15,
    word_by_phone=0.3,
    door_left_open=0.1,
    only_looks=0.15,
    leaves_something=0.03,
    no_button=0.4,
    puts_back=0.1,
    blocked_door=0.005,
)
