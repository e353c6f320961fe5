"""The brake on guessing at a keypad, the same for server and device; plain Python."""

from dataclasses import dataclass, replace
from datetime import timedelta

#: So many wrong codes in a row lock a keypad, for longer each time, in real time.
WRONG_CODES_ALLOWED = 5
LOCK_OUTS = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
#: A keypad that could be used for so long, and was given no wrong code, starts from the beginning.
FORGOTTEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Wrong codes since the last lock-out, and lock-outs before."""

    num_failures: int = 0
    num_lock_outs: int = 0

    def after_another(self, *, usable_for: timedelta) -> tuple["Failures", timedelta | None]:
        """
        Return the count after one more wrong code, and for how long the keypad is locked now, if it is.

        ``usable_for`` is the time since the last wrong code, or since the end of the lock-out after it.
        """
        past = Failures() if usable_for > FORGOTTEN_AFTER else self
        if past.num_failures + 1 < WRONG_CODES_ALLOWED:
            return replace(past, num_failures=past.num_failures + 1), None
        step = min(past.num_lock_outs, len(LOCK_OUTS) - 1)
        return Failures(num_lock_outs=past.num_lock_outs + 1), LOCK_OUTS[step]
