"""How functions are compiled, and random numbers for compiled functions."""

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: State of a generator of random numbers, shape ``(1,)``.
Generator = NDArray[np.uint64]


def _cache_dir() -> Path:
    """
    Return where compiled functions are kept: anew for each version of them.

    numba itself looks only at the file of a function, and would go on with what other files held before.
    """
    here = Path(__file__).parent
    files = sorted([Path(__file__), *here.glob("bound/*.py"), *here.glob("lns/*.py")])
    sources = b"".join(file.read_bytes() for file in files)
    kept = os.environ.get("NUMBA_CACHE_DIR") or here / "__pycache__"
    return Path(kept) / f"compiled-{sha256(sources).hexdigest()[:12]}"


CACHE_DIR = _cache_dir()
# numba reads its settings from the environment when it is imported, and its types do not know them.
config.CACHE_DIR = str(CACHE_DIR)  # type: ignore[attr-defined]


def forget_older_versions() -> None:
    """Delete what earlier versions of the compiled functions left behind."""
    for folder in CACHE_DIR.parent.glob("compiled-*"):
        if folder != CACHE_DIR:
            shutil.rmtree(folder, ignore_errors=True)


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, and keep what comes out for later runs."""
    return cast("Function", njit(cache=True, error_model="numpy")(function))


def generator(seed: int) -> Generator:
    """Return a generator for a seed."""
    # Neighbouring seeds would begin with nearly equal states; a large odd factor sets them far apart.
    return np.array([(seed * 2 + 1) * 0x9E3779B97F4A7C15 % 2**64 | 1], dtype=np.uint64)


@compiled
def uniform(random: Generator) -> float:
    """
    Return the next number of a generator, in [0, 1), by xorshift64* [1]_.

    References
    ----------
    .. [1] Vigna, S. (2016). An experimental exploration of Marsaglia's xorshift generators, scrambled.
           *ACM Transactions on Mathematical Software*, 42(4), 30. https://doi.org/10.1145/2845077
    """
    x = random[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    random[0] = x
    return float((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(11)) / 9007199254740992.0


@compiled
def below(random: Generator, end: int) -> int:
    """Return a random whole number of at least 0 and less than ``end``."""
    return min(int(uniform(random) * end), end - 1)
