"""
The only source of now.

Business time (cut-offs, windows, holding times, reminders) follows the wall clock unless ``CLOCK_FILE`` names
a file in which a demo says otherwise; real time (deadlines of unlocks, leases, heartbeats, lock-outs) always
follows the wall clock.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Course:
    """
    How business time runs: from ``business_s`` at the real moment ``real_s``, ``rate`` times as fast.

    Both moments are seconds since 1970 (UTC), the rate is business seconds per real second.
    """

    real_s: float
    business_s: float
    rate: float

    def at(self, real_s: float) -> float:
        """Return the business moment that belongs to a real one."""
        return self.business_s + (real_s - self.real_s) * self.rate


def real_now() -> datetime:
    """Return the moment of the wall clock."""
    return datetime.now(tz=UTC)


def now() -> datetime:
    """Return the moment of business time."""
    return told_by(Path(settings.CLOCK_FILE)) if settings.CLOCK_FILE else real_now()


def told_by(file: Path) -> datetime:
    """Return the moment of business time that a clock file tells; the real one until it is steered."""
    real = real_now()
    try:
        return datetime.fromtimestamp(_course(file).at(real.timestamp()), tz=UTC)
    except FileNotFoundError:
        return real


def real_moment(moment: datetime) -> datetime:
    """Return the real moment that belongs to one of business time, as far as its course is known now."""
    if not settings.CLOCK_FILE:
        return moment
    try:
        course = _course(Path(settings.CLOCK_FILE))
    except FileNotFoundError:
        return moment
    real_s = course.real_s + (moment.timestamp() - course.business_s) / (course.rate or 1)
    return datetime.fromtimestamp(round(real_s), tz=UTC)


def steer(file: Path, *, to: datetime | None = None, rate: float) -> None:
    """
    Let business time go on from ``to`` (default: from where it stands) at another rate.

    Raises
    ------
    ValueError
        If business time would run backwards.
    """
    real_s = real_now().timestamp()
    present_s = _course(file).at(real_s) if file.exists() else None
    target_s = to.timestamp() if to else (present_s if present_s is not None else real_s)
    if rate < 0 or (present_s is not None and target_s < present_s):
        raise ValueError("Business time cannot run backwards")
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(Course(real_s=real_s, business_s=target_s, rate=rate))))
    draft.replace(file)


_read: dict[Path, tuple[tuple[int, int], Course]] = {}


def _course(file: Path) -> Course:
    status = file.stat()
    # Two changes may carry the same moment, but then not the same file.
    version = (status.st_mtime_ns, status.st_ino)
    known = _read.get(file)
    if known and known[0] == version:
        return known[1]
    course = Course(**json.loads(file.read_text()))
    _read[file] = (version, course)
    return course
