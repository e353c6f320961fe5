"""An account is opened for one role, and a token signs it in."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIRequestFactory

from common.api.authentication import TokenAuthentication
from common.tasks import purge
from logistics.models import Role, User
from logistics.services import accounts, regions
from logistics.services.regions import LoadedRegion

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).parents[2] / "logistics" / "fixtures" / "hameln_pyrmont"


@pytest.fixture
def loaded() -> LoadedRegion:
    return regions.load(
        folder=FIXTURES,
        slug="hp",
        seed=1,
        first_day=date(2026, 3, 7),
        num_days=1,
        num_residents=2,
        at=datetime(2026, 3, 6, 12, tzinfo=UTC),
    )


def test_an_account_acts_for_what_its_role_names_and_nothing_else(loaded: LoadedRegion) -> None:
    shop = loaded.shops[0]

    user = accounts.open_account(username="clerk", role=Role.SHOP, region=loaded.region, shop=shop)

    assert user.principal.shops == {shop.pk}
    assert user.principal.regions == {loaded.region.pk}
    assert not (user.principal.dispatches or user.principal.residents or user.principal.couriers)
    assert not user.has_usable_password()


@pytest.mark.parametrize("role", [role for role in Role if role != Role.DISPATCHER])
def test_a_role_that_is_about_something_must_name_it(loaded: LoadedRegion, role: Role) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        accounts.open_account(username="someone", role=role, region=loaded.region)

    assert not User.objects.exists()


def test_a_token_signs_in_its_own_account(loaded: LoadedRegion) -> None:
    first, second = (
        accounts.open_account(username=name, role=Role.DISPATCHER, region=loaded.region) for name in "ab"
    )

    tokens = {user.pk: accounts.issue_token(user) for user in (first, second)}

    for pk, token in tokens.items():
        request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
        signed_in, _ = TokenAuthentication().authenticate(request)
        assert signed_in.pk == pk


def test_a_token_that_is_too_old_is_refused_and_later_deleted(loaded: LoadedRegion) -> None:
    user = accounts.open_account(username="a", role=Role.DISPATCHER, region=loaded.region)
    fresh, old = (accounts.issue_token(user) for _ in range(2))
    stale = AuthToken.objects.filter(token_key=old[:15])
    assert stale.update(expiry=datetime(2026, 3, 6, tzinfo=UTC)) == 1

    answers = [
        Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (fresh, old)
    ]
    purge()

    assert answers == [200, 401]
    assert AuthToken.objects.get().token_key == fresh[:15]


@pytest.mark.parametrize(
    "said", ["", "a", "ä\xff", "\x00", "{known}x", "{key}", "{key}0000", "{known} {known}"]
)
def test_what_is_no_token_signs_nobody_in(loaded: LoadedRegion, said: str) -> None:
    user = accounts.open_account(username="a", role=Role.DISPATCHER, region=loaded.region)
    known = accounts.issue_token(user)
    token = said.format(known=known, key=known[:15])

    answer = Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication-failed")
