"""`hub explain`: what it says of files, by its exit code and in words, with no hub and no Redis anywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.cli import COMMANDS, parse
from hub.cli.explain import run
from hub.settings import Settings
from tests.fhir import immunization, observation
from tests.processes import subscription
from tests.subscriptions.topics import TOPICS, resource

Json = dict[str, Any]
Explain = Callable[..., tuple[int, list[str], list[str]]]

TOPIC = TOPICS / "immunisation-administered.json"
ADMINISTERED = {"criteria": resource("immunisation-administered")["url"]}


def wanted(*filters: str, type_: str = "Immunization") -> Json:
    return subscription("https://ward.example/hook", type_, *filters)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes files, named by keyword, into the working directory: resources, or what is no JSON."""
    monkeypatch.chdir(tmp_path)

    def write(**contents: Json | str) -> None:
        for name, content in contents.items():
            Path(name).write_text(content if isinstance(content, str) else json.dumps(content))

    return write


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Explain:
    """Runs the command; returns its exit code and the lines of its output and of its errors."""

    def called(*argv: str) -> tuple[int, list[str], list[str]]:
        code = run(parse(["explain", *argv]), Settings())
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return called


def test_each_clause_is_told_with_what_was_wanted_and_found(files: Callable[..., None], explain: Explain) -> None:
    """The verdict is the first line."""
    files(s=wanted("patient=Patient/example", "lot-number=2", "series=x"), r=immunization("a"))
    assert explain("s", "r") == (
        1,
        [
            "not told: create of Immunization/a, since 2 of 3 filters do not match",
            "",
            "✓ trigger  the topic has a trigger for create of Immunization",
            "✓ wanted   patient=Patient/example",
            '  found    Immunization.patient: {"reference":"Patient/example"}',
            "✗ wanted   lot-number=2",
            '  found    Immunization.lotNumber: "1"',
            "✗ wanted   series=x",
            "  found    nothing",
        ],
        [],
    )


def test_whoever_would_be_told_is_said_to_be(files: Callable[..., None], explain: Explain) -> None:
    files(s=wanted("lot-number=1"), r=immunization())
    code, said, _ = explain("s", "r")
    assert (code, said[0]) == (0, "told: create of Immunization")


def test_a_topic_of_a_file_is_told_test_by_test(files: Callable[..., None], explain: Explain) -> None:
    """What it says of an update, of a delete, and where the version before isn't given."""
    files(s=wanted() | ADMINISTERED, r=immunization("a"), planned=immunization("a", status="not-done"))
    topic = ("--topic", str(TOPIC))
    code, said, _ = explain("s", "r", "--previous", "planned", *topic)
    assert (code, said[0]) == (0, "told: update of Immunization/a")
    assert said[2:] == [
        "✓ trigger  the topic has a trigger for update of Immunization",
        "           previous `status:not=completed` passes",
        "           current `status=completed` passes",
        "           both have to pass",
    ]
    code, said, _ = explain("s", "r", "--previous", "r", *topic)
    assert (code, said[0]) == (1, "not told: update of Immunization/a, since no trigger fires")
    code, said, _ = explain("s", "r", "--interaction", "delete", *topic)
    assert (code, said[0]) == (1, "not told: delete of Immunization/a, since no trigger fires")
    code, said, _ = explain("s", "r", "--interaction", "update", *topic)
    assert (code, said[-1]) == (2, "Give the version before with --previous.")
    assert said[0].startswith("can't be said: update of Immunization/a, since the version")


def test_a_bundle_of_topics_is_a_file_too(files: Callable[..., None], explain: Explain) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource("immunisation-administered")}]}
    files(s=wanted() | ADMINISTERED, r=immunization("a"), t=bundle)
    assert explain("s", "r", "--topic", "t")[0] == 0


def test_a_value_set_that_a_filter_names_is_a_file_too(files: Callable[..., None], explain: Explain) -> None:
    include = {"system": "http://hl7.org/fhir/sid/cvx", "concept": [{"code": "207"}]}
    value_set = {
        "resourceType": "ValueSet",
        "url": "urn:x:covid",
        "status": "active",
        "compose": {"include": [include]},
    }
    files(s=wanted("vaccine-code:in=urn:x:covid"), r=immunization("a"), v=value_set)
    assert explain("s", "r", "--topic", "v")[0] == 0
    assert explain("s", "r")[0] == 2


def test_criteria_that_are_a_search(files: Callable[..., None], explain: Explain) -> None:
    """And a Subscription as a hub gave it: in `error`, its end in the past."""
    given = wanted() | {"criteria": "Observation?status=final", "status": "error", "end": "2020-01-01T00:00:00Z"}
    del given["channel"]["_payload"]
    files(s=given, r=observation("o"), i=immunization("a"))
    assert explain("s", "r")[0] == 0
    code, said, _ = explain("s", "i")
    assert code == 1
    assert "✗ type     The filters name other resource types than that of the change" in "\n".join(said)


def test_what_only_a_hub_knows_is_not_said(files: Callable[..., None], explain: Explain) -> None:
    """Unless it doesn't matter: another clause says no already."""
    files(s=wanted("patient._in=Group/1"), other=wanted("patient._in=Group/1", "lot-number=2"), r=immunization("a"))
    code, said, _ = explain("s", "r")
    assert (code, said[-1]) == (2, "Ask the hub that holds them: POST Subscription/$explain.")
    assert said[0].startswith("can't be said: create of Immunization/a, since Immunization.patient._in")
    assert said[3:5] == ["? wanted   patient._in=Group/1", f"  error    {said[0].partition('since ')[2]}"]
    code, said, _ = explain("other", "r")
    assert (code, said[0].partition(",")[0]) == (1, "not told: create of Immunization/a")


def test_the_answer_of_the_operation(files: Callable[..., None], explain: Explain) -> None:
    """With `--json`."""
    files(s=wanted("lot-number=2"), r=immunization("a"))
    code, said, _ = explain("s", "r", "--json")
    answer = json.loads("\n".join(said))
    assert (code, answer["resourceType"]) == (1, "Parameters")
    assert [each["name"] for each in answer["parameter"]] == ["matched", "trigger", "filter"]


@pytest.mark.parametrize(
    ("contents", "argv", "faults"),
    [
        pytest.param(
            {"s": wanted("ward=7", "patient=") | {"status": "on"}, "r": {"resourceType": "Immunization", "id": "a"}},
            [],
            [
                "s: Subscription.status: The status must be",
                "s: Subscription.criteria.extension[1]: `patient=`",
                "s: Subscription.criteria.extension[0]: `ward=7`",
                "r: Immunization.patient: patient is missing",
                "r: Immunization.vaccineCode: vaccineCode is missing",
            ],
            id="all-at-once",
        ),
        pytest.param(
            {"s": wanted() | ADMINISTERED, "r": immunization("a")},
            [],
            ["s: Subscription.criteria: The topic https://topics.example/"],
            id="no-topic",
        ),
        pytest.param(
            {"s": wanted(), "r": immunization("a"), "t": resource("immunisation-administered") | {"status": "new"}},
            ["--topic", "t"],
            ["t: SubscriptionTopic.status: "],
            id="topic",
        ),
        pytest.param(
            {
                "s": wanted(),
                "r": immunization("a"),
                "t": resource("immunisation-administered") | {"url": wanted()["criteria"]},
            },
            ["--topic", "t"],
            ["t: SubscriptionTopic.url: "],
            id="topic-of-another",
        ),
        pytest.param(
            {"s": wanted(), "r": immunization("a"), "t": resource("immunisation-administered") | {"ward": 7}},
            ["--topic", "t"],
            ["t: SubscriptionTopic.ward: "],
            id="topic-with-more-than-topics-have",
        ),
        pytest.param(
            {"s": wanted(), "r": immunization("a"), "t": '{"resourceType": "Bundle", "entry": 5}'},
            ["--topic", "t"],
            ["t: Bundle.entry: "],
            id="bundle-of-nothing",
        ),
        pytest.param(
            {"s": wanted(), "r": immunization("a"), "t": {"resourceType": "ValueSet", "status": "active"}},
            ["--topic", "t"],
            ["t: ValueSet.url: the ValueSet has no url"],
            id="value-set-that-nobody-can-name",
        ),
        pytest.param({"s": "{", "r": immunization("a")}, [], ["s: Not JSON"], id="no-json"),
        pytest.param({"s": wanted()}, [], ["r: No such file or directory"], id="no-file"),
        pytest.param(
            {"s": immunization("a"), "r": immunization("a")},
            [],
            ["s: Subscription.resourceType: A Subscription is expected."],
            id="no-subscription",
        ),
        pytest.param(
            {"s": wanted(), "r": immunization("a"), "p": immunization("b")},
            ["--previous", "p"],
            ["previous: It is no version of the same resource."],
            id="another-resource",
        ),
        pytest.param(
            {"s": wanted(), "r": immunization("a")},
            ["--previous", "r", "--interaction", "create"],
            ["previous: Before a create there is no version."],
            id="create-with-previous",
        ),
        pytest.param(
            {"s": wanted(), "r": immunization("a")},
            ["--previous", "r", "--interaction", "delete"],
            ["previous: Of a delete only the last version is given."],
            id="delete-with-two",
        ),
    ],
)
def test_what_is_wrong_is_a_line_for_each_reason(
    files: Callable[..., None], explain: Explain, contents: Json, argv: list[str], faults: list[str]
) -> None:
    """The file and the element are named, and nothing is explained."""
    files(**contents)
    code, said, errors = explain("s", "r", *argv)
    assert (code, said) == (2, [])
    for error, fault in zip(errors, faults, strict=True):
        assert error.startswith(f"hub explain: {fault}"), error


def test_it_is_a_command_that_needs_nothing_else(files: Callable[..., None]) -> None:
    """It says so in `hub --help`; and where no Redis is it answers all the same."""
    files(s=wanted("lot-number=1"), r=immunization("a"))
    environment = os.environ | {"HUB_REDIS_URL": "redis://127.0.0.1:1"}
    command = [sys.executable, "-m", "hub", "explain", "s", "r"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("told: create of Immunization/a\n")
    assert "Subscription" in COMMANDS["explain"].help


def test_a_topic_that_is_missing_is_named_where_r5_has_it(files: Callable[..., None], explain: Explain) -> None:
    on = {"resourceType": "Subscription", "status": "requested", "topic": "https://topics.example/t"}
    to = {"channelType": {"code": "rest-hook"}, "endpoint": "https://ward.example/hook"}
    files(s={**on, **to}, r=immunization("a"))
    _, _, errors = explain("s", "r", "--version", "r5")
    text = "The topic https://topics.example/t is not built in: give its file with --topic."
    assert errors == [f"hub explain: s: Subscription.topic: {text}"]
