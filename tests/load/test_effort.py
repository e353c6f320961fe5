"""What processes use of the processors is counted, also for those that have ended."""

import os
import subprocess
import sys

from tests.load.effort import seconds_of


def test_work_is_counted() -> None:
    before_s = seconds_of(os.getpid())

    while seconds_of(os.getpid()) <= before_s:
        sum(range(100_000))


def test_the_work_of_a_child_stays_when_it_has_ended() -> None:
    before_s = seconds_of(os.getpid())
    busy = "import time\nwhile time.process_time() < 0.3: pass"

    subprocess.run([sys.executable, "-c", busy], check=True)

    assert seconds_of(os.getpid()) - before_s > 0.2


def test_a_process_that_has_ended_has_used_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert seconds_of(ended.pid) == 0
