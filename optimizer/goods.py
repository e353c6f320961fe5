"""What is carried: temperatures, sizes, parcels, and the load they make."""

from dataclasses import dataclass
from enum import StrEnum

from optimizer import checks


class Temperature(StrEnum):
    """How goods must be kept."""

    AMBIENT = "ambient"
    CHILLED = "chilled"
    FROZEN = "frozen"


class Size(StrEnum):
    """Size class of parcels and compartments; a larger compartment takes whatever a smaller one takes."""

    S = "S"
    M = "M"
    L = "L"
    XL = "XL"

    @property
    def rank(self) -> int:
        """Position in the order of sizes, 0 for the smallest."""
        return list(Size).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    Goods, or the room for them, in the four dimensions that are counted.

    Ambient goods take ``volume_cm3``; chilled and frozen goods take only the room of their own boxes, which
    is never part of ``volume_cm3``. The weight of all of them counts together.
    """

    weight_g: int
    volume_cm3: int
    chilled_cm3: int = 0
    frozen_cm3: int = 0

    def __post_init__(self) -> None:
        for name, value in zip(self.__dataclass_fields__, self.amounts, strict=True):
            checks.whole(name, value)

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """The four dimensions in a fixed order."""
        return self.weight_g, self.volume_cm3, self.chilled_cm3, self.frozen_cm3


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelClass:
    """
    Some equal parcels of an order.

    Parameters
    ----------
    volume_cm3, weight_g
        Of one parcel.
    """

    size: Size
    temperature: Temperature = Temperature.AMBIENT
    count: int = 1
    volume_cm3: int = 0
    weight_g: int = 0

    def __post_init__(self) -> None:
        checks.whole("count", self.count, least=1, most=10_000)
        checks.whole("volume_cm3", self.volume_cm3, most=10**8)
        checks.whole("weight_g", self.weight_g, most=10**7)
