"""The alerts and the dashboard are about metrics that there are, and each alert says what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hub.families import FAMILIES
from tests.guide import OPERATOR, ROOT, anchors
from tests.hub.api.server import Hub
from tests.hub.conftest import BASE
from tests.processes import subscription

MONITORING = ROOT / "hub" / "monitoring"
[GROUP] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana" / "dashboards" / "hub.json").read_text())

#: A metric, with what is said of its labels.
_METRIC = re.compile(r"\b(hub_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_BY = re.compile(r"\bby \(([^)]*)\)")


def expressions() -> Iterator[str]:
    """All that are asked of Prometheus."""
    yield from (rule["expr"] for rule in ALERTS.values())
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])


@pytest.fixture
async def metrics(hub: Hub) -> dict[str, set[str]]:
    """The labels of each metric that a hub with a Subscription shows, by the name that Prometheus has."""
    made = await hub.client.post("/Subscription", json=subscription("http://127.0.0.1:9/hook"))
    assert made.status_code == 201
    answer = await hub.client.get(f"{BASE}/metrics")
    assert answer.status_code == 200
    labels = {
        f"{family.metric}{ending}": {*family.labels, *more}
        for family in FAMILIES
        for ending, more in ((("_bucket", ["le"]), ("_sum", []), ("_count", [])) if family.timed else (("_total", []),))
    }
    for shown in text_string_to_metric_families(answer.text):
        for sample in shown.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


async def test_each_metric_and_label_is_there(metrics: dict[str, set[str]]) -> None:
    lost = []
    for expression in expressions():
        named = _METRIC.findall(expression)
        assert named, expression
        for name, matched in named:
            if (
                not set(_LABEL.findall(matched)) <= metrics.get(name, {"?"} if matched else set())
                or name not in metrics
            ):
                lost.append(f"{name}{{{matched}}}")
        by = {label.strip() for labels in _BY.findall(expression) for label in labels.split(",")}
        if not by <= set().union(*(metrics.get(name, set()) for name, _ in named)):
            lost.append(expression)
    assert lost == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name: str) -> None:
    """How bad it is, what it is, and where in the operator's page it goes on."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "{{ $externalLabels.hub_url }}/guide/operator"
    assert anchor in anchors(OPERATOR)


async def test_texts_use_labels_that_the_alert_has(metrics: dict[str, set[str]]) -> None:
    """Else there would be a hole in them."""
    for name, rule in ALERTS.items():
        texts = " ".join(rule["annotations"].values())
        used = set(re.findall(r"\$labels\.(\w+)", texts))
        grouped = [{label.strip() for label in labels.split(",")} for labels in _BY.findall(rule["expr"])]
        whole = [metrics[metric] for metric, _ in _METRIC.findall(rule["expr"])]
        assert used <= set.intersection(*(grouped or whole)), name


def test_the_dashboard_is_one_grid() -> None:
    """No panel lies over another one, or beyond the 24 columns."""
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"]) > 10


def test_each_file_is_in_the_package() -> None:
    assert {path.suffix for path in MONITORING.rglob("*") if path.is_file()} == {".json", ".yml"}
    assert '"monitoring/**"' in Path(ROOT / "pyproject.toml").read_text()
