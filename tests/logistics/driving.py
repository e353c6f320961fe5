"""A released run, driven tap by tap."""

from datetime import datetime
from uuid import uuid4

from common.clock import real_now
from lockers.models import OpenCommand
from lockers.sizes import Size
from logistics.models import Bundle, Handling, Order, Parcel, ReportKind, Run, Stop
from logistics.services import runs
from logistics.services.taps import Tap
from tests.logistics.builders import Village, a_parcel, at
from tests.logistics.doors import Cabinet
from tests.logistics.solving import released


def open_door(stop: Stop, bundle: Bundle, *, when: datetime | None = None) -> OpenCommand:
    """Ask at a stop for a door for a bundle, at eleven if not said otherwise."""
    handling = Handling.objects.filter(stop=stop, parcel__bundle=bundle).order_by("is_void")[0]
    return runs.open_door(handling, at=when or at(11), real_at=real_now())


class Drive:
    """A released run with everything one needs to drive it."""

    def __init__(self, village: Village | None = None) -> None:
        self.village = village or Village()
        if not Order.objects.filter(shop=self.village.shop).exists():
            self.village.order(a_parcel(Size.S))
        locker = self.village.supply_point.locker
        self.cabinet = Cabinet(locker) if locker is not None else None
        released(self.village)
        self.run = Run.objects.get(pool=self.village.pool)
        self.shop_stop = self.run.stops.get(kind="shop")
        self.point_stop = self.run.stops.get(kind="supply_point")
        self.end = self.run.stops.get(kind="end")

    def start(self) -> "Drive":
        """Set out at half past nine."""
        runs.start(self.run, courier=self.run.courier, at=at(9, 30))
        return self

    def tap(self, kind: ReportKind, stop: Stop, *, made_at: datetime, **about: object) -> Tap:
        """Return a tap with a key of its own."""
        return Tap(key=uuid4(), kind=kind, stop_id=stop.pk, made_at=made_at, **about)  # type: ignore[arg-type]

    def report(self, *taps: Tap, received_at: datetime | None = None) -> int:
        """Hand taps in."""
        return runs.report(self.run, taps=taps, received_at=received_at or at(18)).num_new

    def load(self) -> "Drive":
        """Load everything at ten."""
        self.report(self.tap(ReportKind.LOADED, self.shop_stop, made_at=at(10)), received_at=at(10))
        return self

    def open(self, bundle: Bundle) -> None:
        """Open a door, put the goods in, and close it."""
        assert self.cabinet is not None
        command = open_door(self.point_stop, bundle)
        self.cabinet.open_and_close(command, at=at(11))

    def deposit(self) -> "Drive":
        """Deposit everything at eleven."""
        for bundle in Bundle.objects.filter(pool=self.village.pool, reservation__isnull=False):
            self.open(bundle)
        self.report(self.tap(ReportKind.DEPOSITED, self.point_stop, made_at=at(11)), received_at=at(11))
        return self

    @property
    def states(self) -> set[str]:
        """The states of all parcels."""
        return set(Parcel.objects.filter(order__pool=self.village.pool).values_list("state", flat=True))
