"""The form of what comes in and goes out, by who uses it; rules live in the services."""

from logistics.api.serializers.accounts import (
    MembershipSerializer,
    MeSerializer,
    SignInSerializer,
    TokenSerializer,
)
from logistics.api.serializers.compartments import (
    BlockSerializer,
    CompartmentContentSerializer,
    DifferenceSerializer,
    FindingSerializer,
    OverdueSerializer,
    SheetSerializer,
)
from logistics.api.serializers.courier import (
    DepositCodeSerializer,
    HandlingSerializer,
    OpenDoorInputSerializer,
    ReportAnswerSerializer,
    ReportInputSerializer,
    RunDetailSerializer,
    RunSerializer,
    StopSerializer,
    TapSerializer,
)
from logistics.api.serializers.dispatch import (
    DaySerializer,
    PlanInputSerializer,
    PlanSerializer,
    PoolInputSerializer,
    PoolSerializer,
)
from logistics.api.serializers.lockers import (
    AlarmFilterSerializer,
    AlarmSerializer,
    CompartmentSerializer,
    LockerSerializer,
    OpenCommandSerializer,
    OpenedDoorSerializer,
    ProvisioningTokenInputSerializer,
    ProvisioningTokenSerializer,
)
from logistics.api.serializers.orders import (
    OrderChangeSerializer,
    OrderInputSerializer,
    OrderSerializer,
    ParcelSerializer,
    ParcelSpecSerializer,
)
from logistics.api.serializers.region import (
    ShopSerializer,
    SupplyPointSerializer,
)
from logistics.api.serializers.resident import (
    BundleSerializer,
    CodeSerializer,
    ExtensionSerializer,
    HelperCodeSerializer,
)

__all__ = [
    "AlarmFilterSerializer",
    "AlarmSerializer",
    "BlockSerializer",
    "BundleSerializer",
    "CodeSerializer",
    "CompartmentContentSerializer",
    "CompartmentSerializer",
    "DaySerializer",
    "DepositCodeSerializer",
    "DifferenceSerializer",
    "ExtensionSerializer",
    "FindingSerializer",
    "HandlingSerializer",
    "HelperCodeSerializer",
    "LockerSerializer",
    "MeSerializer",
    "MembershipSerializer",
    "OpenCommandSerializer",
    "OpenDoorInputSerializer",
    "OpenedDoorSerializer",
    "OrderChangeSerializer",
    "OrderInputSerializer",
    "OrderSerializer",
    "OverdueSerializer",
    "ParcelSerializer",
    "ParcelSpecSerializer",
    "PlanInputSerializer",
    "PlanSerializer",
    "PoolInputSerializer",
    "PoolSerializer",
    "ProvisioningTokenInputSerializer",
    "ProvisioningTokenSerializer",
    "ReportAnswerSerializer",
    "ReportInputSerializer",
    "RunDetailSerializer",
    "RunSerializer",
    "SheetSerializer",
    "ShopSerializer",
    "SignInSerializer",
    "StopSerializer",
    "SupplyPointSerializer",
    "TapSerializer",
    "TokenSerializer",
]
