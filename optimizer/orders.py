"""Orders, where they may go, and what they claim there."""

from dataclasses import dataclass

from optimizer import checks
from optimizer.goods import Load, ParcelClass, Size, Temperature
from optimizer.places import LATEST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class CompartmentDemand:
    """
    A compartment that an order claims at a locker, of this size or larger.

    Parameters
    ----------
    low
        Only a low door will do; otherwise any does.
    """

    temperature: Temperature
    size: Size
    low: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOption:
    """
    A place that the resident accepts.

    Parameters
    ----------
    preference_penalty_cents
        How much worse it is than the place liked best.
    rank
        How the resident ranks it, 0 for the best; see :class:`RankLimit`.
    handling_s
        Time of handing over here, beyond that of each parcel.
    """

    place: str
    preference_penalty_cents: int = 0
    rank: int = 0
    handling_s: int = 0

    def __post_init__(self) -> None:
        checks.named("place", self.place)
        checks.whole("preference_penalty_cents", self.preference_penalty_cents, most=10**8)
        checks.whole("rank", self.rank, most=1000)
        checks.whole("handling_s", self.handling_s, most=LATEST_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankLimit:
    """At most ``most`` orders go to options of a worse rank than ``rank``."""

    rank: int
    most: int

    def __post_init__(self) -> None:
        checks.whole("rank", self.rank, most=1000)
        checks.whole("most", self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """
    What courier and resident were told of an order, for plans that change what was announced.

    Parameters
    ----------
    vehicle
        Vehicle shift that was to carry it.
    latest_s
        Start of the stop that delivers it, at the latest.
    """

    vehicle: str | None = None
    latest_s: int | None = None

    def __post_init__(self) -> None:
        checks.optional_whole("latest_s", self.latest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    Goods of one shop for one household: carried whole by one vehicle, or left out.

    Parameters
    ----------
    household
        Opaque key of who receives, for whoever reads the problem; planning does not look at it.
    ready_s, deadline_s
        Earliest start of the stop that picks up, latest start of the stop that delivers.
    compartments
        What the order claims if it goes to a locker: one entry for each bundle, by the rule of the caller.
    handling_s_per_parcel
        Time at the pickup, and again at the delivery, for each parcel.
    unserved_penalty_cents
        Cost of leaving the order for the next pool; the more urgent, the higher.
    skills
        What the vehicle must be able to do.
    vehicles
        The only vehicle shifts that may carry it; empty leaves the choice open.
    promise
        What was announced.
    transfer_place
        Hub at which the goods change vehicles: the order has two legs. Such orders are described, but not
        planned yet.

    Raises
    ------
    ProblemError
        If there are no parcels or options, an option appears twice, or the deadline precedes readiness.
    """

    id: str
    pickup_place: str
    ready_s: int
    deadline_s: int
    parcels: tuple[ParcelClass, ...]
    options: tuple[DeliveryOption, ...]
    unserved_penalty_cents: int
    household: str = ""
    compartments: tuple[CompartmentDemand, ...] = ()
    handling_s_per_parcel: int = 0
    skills: tuple[str, ...] = ()
    vehicles: tuple[str, ...] = ()
    promise: Promise | None = None
    transfer_place: str | None = None

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.whole("ready_s", self.ready_s, most=LATEST_S)
        checks.whole("deadline_s", self.deadline_s, most=LATEST_S)
        checks.require(self.ready_s <= self.deadline_s, "deadline_s", "lies before ready_s")
        checks.whole("unserved_penalty_cents", self.unserved_penalty_cents, most=10**8)
        checks.whole("handling_s_per_parcel", self.handling_s_per_parcel, most=LATEST_S)
        checks.require(bool(self.parcels), "parcels", "must not be empty")
        weight_g = sum(p.count * p.weight_g for p in self.parcels)
        volume_cm3 = sum(p.count * p.volume_cm3 for p in self.parcels)
        can_be_summed = max(weight_g, volume_cm3) <= checks.LARGEST
        checks.require(can_be_summed, "parcels", f"weigh or take more than {checks.LARGEST} together")
        checks.require(bool(self.options), "options", "must not be empty")
        checks.unique("options", [option.place for option in self.options])
        checks.unique("skills", self.skills)
        checks.unique("vehicles", self.vehicles)

    @property
    def num_parcels(self) -> int:
        """Number of single parcels."""
        return sum(parcels.count for parcels in self.parcels)

    @property
    def handling_s(self) -> int:
        """Time to load or unload the whole order."""
        return self.num_parcels * self.handling_s_per_parcel

    @property
    def temperatures(self) -> tuple[Temperature, ...]:
        """Temperatures that occur, in the order of the enumeration."""
        present = {parcels.temperature for parcels in self.parcels}
        return tuple(temperature for temperature in Temperature if temperature in present)

    def volume_of(self, temperature: Temperature) -> int:
        """Volume of all parcels of a temperature, in cm³."""
        return sum(p.count * p.volume_cm3 for p in self.parcels if p.temperature == temperature)

    @property
    def volume_cm3(self) -> int:
        """Volume of all parcels, whatever their temperature."""
        return sum(p.count * p.volume_cm3 for p in self.parcels)

    @property
    def load(self) -> Load:
        """What the order adds to the load of a vehicle."""
        return Load(
            weight_g=sum(p.count * p.weight_g for p in self.parcels),
            volume_cm3=self.volume_of(Temperature.AMBIENT),
            chilled_cm3=self.volume_of(Temperature.CHILLED),
            frozen_cm3=self.volume_of(Temperature.FROZEN),
        )
