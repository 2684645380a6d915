"""A Subscription is kept without its headers, and is whole again with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
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


def r4(*headers: str) -> bytes:
    return json.dumps({"channel": {"header": list(headers)}}).encode()


def r5(*headers: dict[str, Any]) -> bytes:
    return json.dumps({"parameter": list(headers)}).encode()


def test_their_names_are_shown() -> None:
    """In order, with repetitions; and of what has no name nothing."""
    sent = r4("Authorization: Bearer a:b", "X-Ward:7", "X-Ward: 9", "nonsense")
    shown = FORMS[FhirVersion.R4].redact(sent)
    names = ["Authorization: ********", "X-Ward: ********", "X-Ward: ********", "********"]
    assert json.loads(shown) == {"channel": {"header": names}}
    assert FORMS[FhirVersion.R4].redact(shown) == shown
    parameters = r5({"name": "Authorization", "value": "Bearer a", "extension": [{"url": "x", "valueString": "a"}]})
    assert json.loads(FORMS[FhirVersion.R5].redact(parameters)) == {
        "parameter": [{"name": "Authorization", "value": "********"}]
    }


def test_who_gave_them_sees_them() -> None:
    """However it wrote them; who wrote others that are not there any more does not."""
    form, held = FORMS[FhirVersion.R4], r4("A: 1", "B: 2")
    for own in (held, held.replace(b": [", b":  ["), r4("A: ********", "B: 2")):
        assert json.loads(form.redact(held, own)) == json.loads(own)
    for others in (r4("A: 1"), r4("A: 1", "B: 3"), b'{"channel":{}}', b"{}"):
        assert json.loads(form.redact(held, others)) == json.loads(r4("A: ********", "B: ********"))


@pytest.mark.parametrize(
    ("sent", "filled"),
    [
        pytest.param(("A: ********", "B: ********", "B: ********"), ("A: 1", "B: 2", "B: 3"), id="as-read"),
        pytest.param(("b:  ******** ", "a:********", "B: ********"), ("B: 2", "A: 1", "B: 3"), id="in-another-order"),
        pytest.param(("A: ********",), ("A: 1",), id="some-taken-out"),
        pytest.param(("B: ********", "B: new"), ("B: 2", "B: new"), id="one-of-a-name-replaced"),
        pytest.param(("A: new", "A: ********"), ("A: new", "A: 1"), id="one-of-a-name-added"),
        pytest.param(("A: *******", "B: new"), ("A: *******", "B: new"), id="none-redacted"),
    ],
)
def test_what_came_redacted_stays(sent: tuple[str, ...], filled: tuple[str, ...]) -> None:
    _, held = withhold(r4("A: 1", "B: 2", "B: 3"))
    assert json.loads(FORMS[FhirVersion.R4].refill(r4(*sent), held)) == json.loads(r4(*filled))


@pytest.mark.parametrize("sent", [("C: ********",), ("B: ********",), ("A: 0", "B: 1", "B: 2", "B: ********")])
def test_what_can_not_be_told_is_refused(sent: tuple[str, ...]) -> None:
    """A name that there is not, or of which there are others."""
    _, held = withhold(r4("A: 1", "B: 2", "B: 3"))
    with pytest.raises(Rejected) as caught:
        FORMS[FhirVersion.R4].refill(r4(*sent), held)
    (issue,) = caught.value.issues
    assert issue.expression == f"Subscription.channel.header[{len(sent) - 1}]"
    with pytest.raises(Rejected):
        FORMS[FhirVersion.R4].refill(r4("A: ********"), b"")


def test_in_r5_what_else_a_parameter_has_stays_too() -> None:
    """Unless it is replaced; other parameters keep their bytes."""
    form, extension = FORMS[FhirVersion.R5], [{"url": "x", "valueString": "y"}]
    _, held = form.withhold(r5({"name": "A", "value": "1", "extension": extension, "id": "a"}))
    sent = b'{"parameter":[{"name":"A","value":"********","id":"b"},{"name":"B","value":"2","x":1.50}]}'
    filled = form.refill(sent, held)
    assert json.loads(filled)["parameter"][0] == {"name": "A", "value": "1", "extension": extension, "id": "b"}
    assert b'{"name":"B","value":"2","x":1.50}' in filled
