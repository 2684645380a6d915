"""A Subscription is kept without its headers, and is whole again with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.versions.forms import FORMS

FIXTURES = Path(__file__).parents[2] / "fixtures" / "r4"
restore, withhold = FORMS[FhirVersion.R4].restore, FORMS[FhirVersion.R4].withhold


@pytest.mark.parametrize("name", ["Subscription-example", "Subscription-example-error"])
def test_hl7s_own_come_back_as_they_were(name: str) -> None:
    sent = (FIXTURES / f"{name}.json").read_bytes()
    kept, headers = withhold(sent)
    assert json.loads(headers) == json.loads(sent)["channel"]["header"]
    assert b"Bearer" not in kept
    assert restore(kept, headers) == restore(*withhold(restore(kept, headers)))
    assert json.loads(restore(kept, headers)) == json.loads(sent)
    assert list(json.loads(restore(kept, headers))["channel"]) == list(json.loads(sent)["channel"])


def test_other_members_keep_their_bytes() -> None:
    sent = rb'{"criteria":"caf\u00e9","channel":{"header":["A: \u0041"],"extension":[{"valueDecimal":1.50}]},"n":1e400}'
    kept, headers = withhold(sent)
    assert (kept, headers) == (sent.replace(rb'["A: \u0041"]', b"[]"), rb'["A: \u0041"]')
    assert restore(kept, headers) == sent


@pytest.mark.parametrize("channel", [{}, {"header": []}, {"header": None}, {"type": "rest-hook"}])
def test_where_there_are_none_nothing_is_changed(channel: dict[str, Any]) -> None:
    sent = json.dumps({"channel": channel}).encode()
    assert withhold(sent) == (sent, b"")
    assert restore(sent, b"") == sent


def test_in_r5_they_are_parameters() -> None:
    sent = b'{"topic":"t","parameter":[{"name":"Authorization","value":"Bearer a"}],"maxCount":1}'
    r5 = FORMS[FhirVersion.R5]
    kept, headers = r5.withhold(sent)
    assert (kept, headers) == (
        b'{"topic":"t","parameter":[],"maxCount":1}',
        b'[{"name":"Authorization","value":"Bearer a"}]',
    )
    assert r5.restore(kept, headers) == sent
    assert r5.withhold(b'{"topic":"t"}') == (b'{"topic":"t"}', b"")
