"""Public data that the project does not carry: where it lies, and tests that need it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

#: Instances and maps; the environment says where if they lie elsewhere.
SHARED_DATA = Path(os.environ.get("DORFBOTE_DATA", Path(__file__).parents[3] / "shared" / "data"))

Test = TypeVar("Test", bound=Callable[..., Any])


def needs_shared_data(test: Test) -> Test:
    """Mark a test as one that is left out where the data are absent."""
    absent = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"no public data in {SHARED_DATA}")
    marked: Test = pytest.mark.shared_data(absent(test))
    return marked
