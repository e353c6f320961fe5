"""Every error of the domain has its HTTP status, and everything that fails leaves as problem details."""

from collections.abc import Iterator

import pytest
from django.test import Client

from common.exceptions import DomainError
from config.problems import STATUS
from lockers.exceptions import LinkError, LockerError, UnknownCompartment
from logistics.exceptions import (
    BadRegionData,
    ExtensionRefused,
    LogisticsError,
    RegionExists,
    TravelUnavailable,
)
from logistics.solver import SolverFailed

#: What never reaches a caller of the REST API, and why.
INTERNAL = {
    LinkError: "the locker link has its own table",
    UnknownCompartment: "a device's report; noted on the report",
    SolverFailed: "noted on the plan",
    TravelUnavailable: "noted on the plan",
    RegionExists: "a command's error",
    BadRegionData: "a command's error",
    ExtensionRefused: "a base",
    LockerError: "a base",
    LogisticsError: "a base",
}


def all_errors(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    """Yield every domain error."""
    for error in base.__subclasses__():
        yield error
        yield from all_errors(error)


def test_every_domain_error_has_a_status_or_a_reason_why_not() -> None:
    unexplained = [
        error.__name__
        for error in all_errors()
        if error not in STATUS and error not in INTERNAL and not issubclass(error, LinkError)
    ]

    assert unexplained == []


def test_codes_of_errors_are_stable_words_and_unique() -> None:
    codes = [error.code for error in all_errors() if "code" in vars(error)]

    assert len(codes) == len(set(codes))
    assert all(code.replace("-", "").isalpha() and code.islower() for code in codes)


def test_an_address_that_nothing_has_is_a_problem_too(client: Client) -> None:
    answer = client.get("/api/v1/nothing/")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not-found"


@pytest.mark.django_db
def test_a_method_that_an_address_does_not_know_is_a_problem_too(client: Client) -> None:
    answer = client.put("/api/v1/tokens/")

    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
