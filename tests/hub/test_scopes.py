"""Scopes as operators write them."""

import argparse

import pytest

from hub.cli.scopes import scopes
from subscriptions.scopes import ADMIN, Scopes


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"system/*.rs system/AuditEvent.rs {ADMIN}", id="every-type"),
        pytest.param("system/Subscription.cruds system/SubscriptionTopic.r system/Basic.r", id="the-hub's"),
        pytest.param("system/Media.r system/Transport.c", id="of-one-version"),
    ],
)
def test_types_that_there_are(text: str) -> None:
    assert scopes(text) == Scopes.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("system/Patient.r system/Immunisation.r", "Immunisation is not a resource type", id="type"),
        pytest.param("patient/Immunization.r", "is no scope that the hub knows", id="scope"),
    ],
)
def test_what_would_grant_nothing(text: str, said: str) -> None:
    """It is refused where it is written, and not only missed in requests."""
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        scopes(text)
