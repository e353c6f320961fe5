"""What a caller of logistics may do wrong, each with a stable code."""

from common.exceptions import DomainError


class LogisticsError(DomainError):
    """A rule of orders, pools, plans or runs forbids what was asked."""


class UnknownShop(LogisticsError):
    """No such shop, or not one the caller lists for."""

    code = "unknown-shop"
    message = "You list no orders for a shop of this identifier."


class UnknownResident(LogisticsError):
    """No resident of the region carries this card."""

    code = "unknown-resident"
    message = "No resident of this region has this card number."


class ResidentWithoutSupplyPoint(LogisticsError):
    """Nobody knows where the resident collects."""

    code = "resident-without-supply-point"
    message = "The resident has not chosen a supply point yet."


class OrderTooHeavy(LogisticsError):
    """No vehicle of the region carries the order."""

    code = "order-too-heavy"
    message = "The order weighs {weight_g} g; the strongest vehicle carries {limit_g} g."


class ParcelTooLarge(LogisticsError):
    """No compartment of the resident's supply points takes the parcel, and none has a counter."""

    code = "parcel-too-large"
    message = "No compartment at {supply_point} takes a {temperature} parcel of size {size}."


class NoOpenPool(LogisticsError):
    """No pool takes orders."""

    code = "no-open-pool"
    message = "No pool of this region takes orders at present."


class CutoffPassed(LogisticsError):
    """The order's pool is closed to changes."""

    code = "cutoff-passed"
    message = "The pool's cut-off has passed; the order can no longer be changed."


class CutoffInThePast(LogisticsError):
    """A pool would be closed before it opened."""

    code = "cutoff-in-the-past"
    message = "The cut-off lies in the past."


class PoolExists(LogisticsError):
    """The region has a pool for that day."""

    code = "pool-exists"
    message = "The region has a pool for {delivery_date} already."


class WindowsOutOfOrder(LogisticsError):
    """Cut-off, loading and delivery do not follow each other."""

    code = "windows-out-of-order"
    message = "Cut-off, loading and delivery must follow each other on the delivery date."


class PoolStillOpen(LogisticsError):
    """A plan was asked to be released while orders may still come."""

    code = "pool-still-open"
    message = "The pool still takes orders; close it first."


class PoolReleased(LogisticsError):
    """The pool is on the road."""

    code = "pool-released"
    message = "A plan of this pool has been released; there is nothing left to plan."


class PlanInComputation(LogisticsError):
    """The pool has a plan that is being computed."""

    code = "plan-in-computation"
    message = "A plan for this pool is being computed."


class PlanOutdated(LogisticsError):
    """What was planned is no longer what the pool holds."""

    code = "plan-outdated"
    message = "Orders, lockers or the fleet have changed since this plan was computed; plan again."


class PlanInfeasible(LogisticsError):
    """The plan breaks a rule."""

    code = "plan-infeasible"
    message = "The plan breaks {count} rules, the first: {first}"


class TravelUnavailable(LogisticsError):
    """Roads are to be followed that cannot be read."""

    code = "travel-unavailable"
    message = "There are no roads to plan with: {detail}"


class RunTaken(LogisticsError):
    """The run belongs to another courier."""

    code = "run-taken"
    message = "This run is driven by another courier."


class CourierBusy(LogisticsError):
    """The courier has a run under way."""

    code = "courier-busy"
    message = "You have another run under way; finish it first."


class RunNotUnderWay(LogisticsError):
    """Reports belong to a run that is under way."""

    code = "run-not-under-way"
    message = "The run is {present}; only a run under way takes reports."


class NotOnThisStop(LogisticsError):
    """The report names goods that the stop does not handle."""

    code = "not-on-this-stop"
    message = "The stop does not handle what the report names."


class ReportFromTheFuture(LogisticsError):
    """The report claims to be made after it arrived."""

    code = "report-from-the-future"
    message = "A report cannot be made after it arrives."


class NothingToOpen(LogisticsError):
    """No locker door belongs to what was named."""

    code = "nothing-to-open"
    message = "These goods do not lie behind a locker door."


class ExtensionRefused(LogisticsError):
    """Goods may not wait longer; ``until`` says how long they may."""


class LongestHoldReached(ExtensionRefused):
    """Goods have been given all the time that there is."""

    code = "longest-hold-reached"
    message = "These goods cannot wait any longer than until {until}."


class CompartmentNeeded(ExtensionRefused):
    """Others count on the compartment."""

    code = "compartment-needed"
    message = "Others will need the compartment; these goods can wait until {until}."


class NotAtCounter(LogisticsError):
    """The goods cannot be handed over at a counter."""

    code = "not-at-counter"
    message = "These goods do not wait at this counter."


class OutsideRegion(LogisticsError):
    """Coordinates lie outside the municipality or the region."""

    code = "outside-region"
    message = "The coordinates lie outside {area}."


class RegionExists(LogisticsError):
    """A region was to be loaded over another."""

    code = "region-exists"
    message = "There is a region {slug} already."


class BadRegionData(LogisticsError):
    """A row of a region's files cannot be taken over."""

    code = "bad-region-data"
    message = "{row}: {reason}"
