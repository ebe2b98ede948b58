"""The dashboards ask for what our processes export, and for nothing else; Grafana finds them and the datasource."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promql import ROOT, exported, unknown

GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
DATASOURCE = "bowam-prometheus"
SCHEMA = 41  # of Grafana 11.6 and later; older ones are migrated by it as well
ROWS, COLUMNS = "row", 24

one_each = pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)


def board(file: Path) -> dict[str, Any]:
    """One dashboard."""
    return json.loads(file.read_text())  # type: ignore[no-any-return]


def panels(file: Path) -> list[dict[str, Any]]:
    """Its panels that show something."""
    return [panel for panel in board(file)["panels"] if panel["type"] != ROWS]


def expressions(file: Path) -> Iterator[str]:
    """Every expression of a dashboard: of panels, annotations and variables."""
    for panel in panels(file):
        yield from (target["expr"] for target in panel["targets"])
    yield from (note["expr"] for note in board(file)["annotations"]["list"])
    for variable in board(file)["templating"]["list"]:
        series, _, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rpartition(",")
        yield f"group by ({label.strip()}) ({series})"


@one_each
def test_every_expression_asks_for_series_and_labels_that_exist(file: Path) -> None:
    """As the registries of capture and worker and the recording rules give them."""
    known = exported()
    missing = {expression: found for expression in expressions(file) if (found := unknown(expression, known))}
    assert missing == {}


@one_each
def test_a_dashboard_fits_into_any_grafana(file: Path) -> None:
    """No number or datasource of somebody's installation; panels are numbered once and do not overlap."""
    content = board(file)
    assert content["id"] is None
    assert content["schemaVersion"] == SCHEMA
    assert content["uid"] == f"bowam-{file.stem}"
    used = {json.dumps(part["datasource"]) for part in _walk(content) if "datasource" in part}
    assert used == {json.dumps({"type": "prometheus", "uid": DATASOURCE})}
    assert len({panel["id"] for panel in content["panels"]}) == len(content["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in content["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        taken |= cells


@one_each
def test_a_panel_can_be_read_without_its_author(file: Path) -> None:
    """Title, description, unit, and a name for every line."""
    for panel in panels(file):
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["type"] == "table" or all(target["legendFormat"] for target in panel["targets"]), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), panel["title"]


@pytest.mark.parametrize(("title", "value"), [
    ("Frames per second", 23.9),
    ("Age of frames at the spotter", 0.15),
    ("Event latency, half", 0.06),
    ("Event latency, 99 in a hundred", 0.15),
    ("Memory", 500 * 2**20),
])  # fmt: skip
def test_the_overview_draws_the_service_objectives(title: str, value: float) -> None:
    """The thresholds are those of the alerts."""
    (panel,) = (panel for panel in panels(GRAFANA / "dashboards" / "overview.json") if panel["title"] == title)
    assert value in [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_links_between_dashboards_lead_somewhere() -> None:
    """A line of the overview's table opens its camera."""
    uids = {board(file)["uid"] for file in DASHBOARDS}
    urls = [part["url"] for file in DASHBOARDS for part in _walk(board(file)) if part.get("url")]
    assert urls
    assert {url.split("/d/")[1].split("?")[0] for url in urls} <= uids


def test_provisioning_names_the_datasource_and_the_folder() -> None:
    """The uid is the one that the dashboards ask for."""
    (datasource,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (datasource["uid"], datasource["type"]) == (DATASOURCE, "prometheus")
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert datasource["jsonData"]["timeInterval"] == scrape
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/bowam.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in compose


def _walk(part: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a JSON value."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _walk(inner)
