"""Processes that plan territories, and end with whoever started them."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor

#: How often a worker looks whether the process that started it is still there.
LOOK_S = 1.0


def processes(number: int) -> ProcessPoolExecutor:
    """
    Return an executor of some processes.

    They are started afresh rather than forked: whoever asks may have threads. Should the process that asks be
    killed, they notice within seconds.
    """
    return ProcessPoolExecutor(
        number,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with,
        initargs=(os.getpid(),),
    )


def _end_with(parent: int) -> None:
    """End this process once its parent is gone, whatever it is busy with."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
