"""What fits where: sizes, temperatures and heights of compartments."""

from collections.abc import Mapping

from django.db import models


class Size(models.TextChoices):
    """Inner size of a compartment; a larger one takes whatever a smaller one takes."""

    S = "S", "S"
    M = "M", "M"
    L = "L", "L"
    XL = "XL", "XL"

    @property
    def rank(self) -> int:
        """Return the place in the order of sizes, the smallest first."""
        return list(Size).index(self)

    @property
    def usable_cm3(self) -> int:
        """Return the volume that goods may take up."""
        return USABLE_CM3[self]


#: Usable volume of each size; three quarters of the inner volume, for goods are not sand.
USABLE_CM3: Mapping[Size, int] = {
    Size.S: 12_000,
    Size.M: 30_000,
    Size.L: 66_000,
    Size.XL: 150_000,
}


class Temperature(models.TextChoices):
    """How cold a compartment is kept; goods need theirs exactly."""

    AMBIENT = "ambient", "ambient"
    CHILLED = "chilled", "chilled"
    FROZEN = "frozen", "frozen"


class Height(models.TextChoices):
    """Where in the cabinet a door is; a low one can be reached from a wheelchair."""

    LOW = "low", "low"
    REACHABLE = "reachable", "reachable"
    HIGH = "high", "high"
