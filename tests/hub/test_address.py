"""Where the api may listen: a hub that asks nobody who he is, on loopback only."""

import pytest

from hub.cli.address import Address
from hub.errors import NotTheHub
from hub.settings import Settings


def settings(**wanted: object) -> Settings:
    return Settings().model_copy(update=wanted)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_open_to_this_machine_alone(host: str) -> None:
    Address(host, 8000).permit(settings(auth="none"))


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "hub.example", "localhost.example", "127.0.0.1.nip"]
)
def test_nobody_is_let_in_unasked_from_elsewhere(host: str) -> None:
    """One clear line says so; and that it is meant has to be said."""
    with pytest.raises(NotTheHub, match=r"is not loopback and HUB_AUTH is none: .* set HUB_ALLOW_OPEN=true") as refused:
        Address(host, 8000).permit(settings(auth="none"))
    assert "\n" not in str(refused.value)
    Address(host, 8000).permit(settings(auth="none", allow_open=True))


@pytest.mark.parametrize("auth", ["keys", "smart"])
def test_whoever_is_asked_who_he_is_may_come_from_elsewhere(auth: str) -> None:
    Address("0.0.0.0", 8000).permit(settings(auth=auth))
