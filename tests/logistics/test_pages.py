"""The overview says what anyone may know, and the admin keeps its hands off rows with a state."""

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from common.admin import ReadOnly
from logistics import models
from logistics.models import User
from tests.logistics.builders import Village
from tests.logistics.solving import SolverHere, released

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _solver_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logistics.services.plans.SolverProcess", SolverHere)


def test_before_the_first_pool_the_overview_says_so(client: Client) -> None:
    assert "Noch keine Sammelfahrt" in client.get("/").content.decode()


def test_the_overview_shows_the_runs_on_a_map_and_in_a_table(client: Client) -> None:
    village = Village()
    village.order()
    released(village)

    page = client.get("/").content.decode()

    assert page.count("<polyline") == 1
    # Numbers of pictures have a point, whatever the language of the page.
    assert re.findall(r'<rect class="point" x="[0-9]+\.[0-9]+" y="[0-9]+\.[0-9]+"', page)
    assert "eingeplant" in page
    assert village.shift.vehicle.name in page


def test_the_overview_names_no_person(client: Client) -> None:
    village = Village()
    village.order()
    released(village)

    page = client.get("/").content.decode()

    assert village.resident.name not in page
    assert village.resident.card_number not in page
    assert village.shift.courier.name not in page


@pytest.fixture
def administrator(client: Client) -> Client:
    """Somebody who administers the installation."""
    client.force_login(User.objects.create_superuser("admin", password="correct horse battery"))
    return client


def test_every_admin_page_opens(administrator: Client) -> None:
    village = Village()
    village.order()
    released(village)

    for model in admin.site._registry:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert administrator.get(page).status_code == 200, page


STATEFUL = (models.Pool, models.Order, models.Parcel, models.Bundle, models.Plan, models.Run, models.Stop)


@pytest.mark.parametrize("model", STATEFUL)
def test_rows_with_a_state_can_be_read_but_not_changed(
    administrator: Client, model: type[models.Pool]
) -> None:
    village = Village()
    village.order()
    released(village)
    row = model.objects.first()
    assert row is not None
    page = reverse(f"admin:logistics_{model._meta.model_name}_change", args=[row.pk])

    assert isinstance(admin.site._registry[model], ReadOnly)
    assert administrator.get(page).status_code == 200
    assert administrator.post(page, {"state": "done"}).status_code == 403
    assert administrator.get(reverse(f"admin:logistics_{model._meta.model_name}_add")).status_code == 403


def test_a_shop_outside_its_municipality_is_refused(administrator: Client) -> None:
    village = Village()
    shop = village.shop
    page = reverse("admin:logistics_shop_change", args=[shop.pk])
    form = {
        "municipality": shop.municipality_id,
        "slug": shop.slug,
        "name": shop.name,
        "kind": shop.kind,
        "village": shop.village,
        "opens": "06:00",
        "closes": "18:00",
    }

    inside = administrator.post(page, form | {"latitude": "52.11", "longitude": "9.4"})
    outside = administrator.post(page, form | {"latitude": "48.1", "longitude": "11.6"})

    assert (inside.status_code, outside.status_code) == (302, 200)
    shop.refresh_from_db()
    assert (shop.latitude, shop.longitude) == (52.11, 9.4)
