"""Addresses of the API, version 1."""

from django.urls import path

from logistics.api.views import (
    accounts,
    compartments,
    courier,
    devices,
    dispatch,
    openings,
    orders,
    region,
    resident,
)

app_name = "api"
#: A door is named as people name it.
COMPARTMENT = "lockers/<uuid:locker_id>/compartments/<int:number>/"

urlpatterns = [
    path("tokens/", accounts.TokensView.as_view(), name="tokens"),
    path("tokens/present/", accounts.PresentTokenView.as_view(), name="present-token"),
    path("me/", accounts.MeView.as_view(), name="me"),
    path("shops/", region.ShopsView.as_view(), name="shops"),
    path("supply-points/", region.SupplyPointsView.as_view(), name="supply-points"),
    path("orders/", orders.OrdersView.as_view(), name="orders"),
    path("orders/<uuid:order_id>/", orders.OrderView.as_view(), name="order"),
    path("orders/<uuid:order_id>/cancel/", orders.CancelOrderView.as_view(), name="cancel-order"),
    path("pools/", dispatch.PoolsView.as_view(), name="pools"),
    path("pools/<uuid:pool_id>/", dispatch.PoolView.as_view(), name="pool"),
    path("pools/<uuid:pool_id>/close/", dispatch.ClosePoolView.as_view(), name="close-pool"),
    path("pools/<uuid:pool_id>/day/", dispatch.PoolDayView.as_view(), name="pool-day"),
    path("pools/<uuid:pool_id>/plans/", dispatch.PoolPlansView.as_view(), name="pool-plans"),
    path("plans/<uuid:plan_id>/", dispatch.PlanView.as_view(), name="plan"),
    path("plans/<uuid:plan_id>/cancel/", dispatch.CancelPlanView.as_view(), name="cancel-plan"),
    path("plans/<uuid:plan_id>/release/", dispatch.ReleasePlanView.as_view(), name="release-plan"),
    path("lockers/", dispatch.LockersView.as_view(), name="lockers"),
    path("checks/", compartments.ChecksView.as_view(), name="checks"),
    path("overdue/", compartments.OverdueView.as_view(), name="overdue"),
    path("lockers/<uuid:locker_id>/sheet/", compartments.SheetView.as_view(), name="locker-sheet"),
    path(f"{COMPARTMENT}open/", compartments.OpenCompartmentView.as_view(), name="open-compartment"),
    path(f"{COMPARTMENT}settle/", compartments.SettleCompartmentView.as_view(), name="settle-compartment"),
    path(f"{COMPARTMENT}differences/", compartments.DifferencesView.as_view(), name="differences"),
    path(f"{COMPARTMENT}block/", compartments.BlockCompartmentView.as_view(), name="block-compartment"),
    path(f"{COMPARTMENT}unblock/", compartments.UnblockCompartmentView.as_view(), name="unblock-compartment"),
    path("alarms/", dispatch.AlarmsView.as_view(), name="alarms"),
    path("lockers/<uuid:locker_id>/tokens/", devices.LockerTokensView.as_view(), name="locker-tokens"),
    path(
        "lockers/<uuid:locker_id>/tokens/<int:token_id>/",
        devices.LockerTokenView.as_view(),
        name="locker-token",
    ),
    path("lockers/<uuid:locker_id>/device/", devices.LockerDeviceView.as_view(), name="locker-device"),
    path("runs/", courier.RunsView.as_view(), name="runs"),
    path("runs/<uuid:run_id>/", courier.RunView.as_view(), name="run"),
    path("runs/<uuid:run_id>/start/", courier.StartRunView.as_view(), name="start-run"),
    path("runs/<uuid:run_id>/reports/", courier.RunReportsView.as_view(), name="run-reports"),
    path("runs/<uuid:run_id>/deposit-codes/", courier.DepositCodesView.as_view(), name="deposit-codes"),
    path("runs/<uuid:run_id>/stops/<uuid:stop_id>/open/", courier.OpenDoorView.as_view(), name="open-door"),
    path("openings/<uuid:opening_id>/", openings.OpeningView.as_view(), name="opening"),
    path("bundles/", resident.BundlesView.as_view(), name="bundles"),
    path("bundles/<uuid:bundle_id>/code/", resident.BundleCodeView.as_view(), name="bundle-code"),
    path("bundles/<uuid:bundle_id>/code/replace/", resident.ReplaceCodeView.as_view(), name="replace-code"),
    path("bundles/<uuid:bundle_id>/helpers/", resident.HelpersView.as_view(), name="helpers"),
    path("bundles/<uuid:bundle_id>/helpers/<uuid:helper_id>/", resident.HelperView.as_view(), name="helper"),
    path("bundles/<uuid:bundle_id>/open/", resident.OpenBundleView.as_view(), name="open-bundle"),
    path("bundles/<uuid:bundle_id>/done/", resident.DoneView.as_view(), name="done"),
    path("bundles/<uuid:bundle_id>/problem/", resident.ComplaintView.as_view(), name="problem"),
    path("bundles/<uuid:bundle_id>/extend/", resident.ExtendBundleView.as_view(), name="extend-bundle"),
    path("bundles/<uuid:bundle_id>/hand-over/", resident.HandOverView.as_view(), name="hand-over"),
]
