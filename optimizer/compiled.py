"""How functions are compiled, and random numbers for compiled functions."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: State of a generator of random numbers, shape ``(1,)``.
Generator = NDArray[np.uint64]


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
