"""Running the paper's tables: which learner a row becomes, what is said of it, and the command from end to end."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from bowam_model.cli import app
from bowam_model.errors import OptionError
from bowam_model.evaluation import Estimate
from bowam_model.labels import MEGC2019
from bowam_model.learning import Examples, Learner
from bowam_model.preparation import PreparationSettings
from bowam_model.recipes import reproduce
from bowam_model.recipes.reproduce import ReproduceSettings, differences, learner_of, preparation_of, run_table
from bowam_model.recipes.table_report import write_report
from bowam_model.recipes.table_result import Measured, Pair, RowResult
from bowam_model.recipes.tables import TABLES, Row, Table, Task, find_table
from bowam_model.rivals.svm import SvmLearner

SIZE = (442, 68)  # clips and subjects of the composite


def toy(synthetic: bool = True, side: int = 24) -> Examples:
    """Six people of two data sets in whose expressions a corner of the face moves to three sides."""
    way = np.array([[2, 0], [0, 2], [-2, -2]], np.float16)
    labels = np.tile(np.arange(3), 6)
    flows = np.random.default_rng(0).normal(0, 0.2, (18, 1, side, side, 2)).astype(np.float16)
    flows[:, 0, : side // 3, : side // 3] += way[labels][:, None, None]
    people = tuple(f"{dataset}/s{number}" for dataset in ("samm", "smic") for number in range(3))
    subjects = np.repeat(np.arange(6), 3)
    return Examples(
        flows_NVHWC=flows,
        labels=labels,
        classes=MEGC2019,
        subjects=subjects,
        people=people,
        clips=tuple(f"{people[subject]}/{number}" for number, subject in enumerate(subjects)),
        fusion="add",
        synthetic=synthetic,
    )


def measured(size: tuple[int, int] = SIZE, synthetic: bool = False) -> Measured:
    half = Estimate(mean=0.5, std=0.0, lowest=0.5, highest=0.5, low=0.4, high=0.6)
    return Measured(
        columns={"overall": Pair(uf1=half, uar=half)}, oracle=None, epochs=100, samples_seen=1, clips=size[0],
        subjects=size[1], examples="", synthetic=synthetic, folder="runs/x",
    )  # fmt: skip


def told(settings: ReproduceSettings, table: str = "table6", run: Measured | None = None) -> tuple[str, ...]:
    rows = [RowResult(row=row, measured=run or measured(), cost=None) for row in find_table(table).rows]
    return differences(rows, settings)


def an_svm(row: Row, settings: ReproduceSettings) -> Learner:
    """Quick, and another one for each of Table 8's rows."""
    return SvmLearner(C=float(row.options.get("channel_ratio", 16)))


def test_the_recipe_is_the_papers_unless_something_else_is_asked_for() -> None:
    recipe = learner_of(find_table("table4").row("all"), ReproduceSettings()).recipe
    wanted = {"epochs": 100, "batch": 32, "learning_rate": 1e-4, "weight_decay": 1e-4, "schedule": "exponential"}
    assert recipe["architecture"] == "bowam"
    assert {name: recipe["training"][name] for name in wanted} == wanted
    assert (recipe["encoding"]["colours"], recipe["encoding"]["input_px"]) == ("hsv", 224)
    assert recipe["training"]["colour_jitter"] > 0
    preparation = preparation_of(find_table("table4").row("all"), ReproduceSettings())
    assert preparation == PreparationSettings(fusion="add", side_px=240, readings=5)


@pytest.mark.parametrize("name", ["table4", "table5", "table6", "table7", "table8", "table9", "table10", "table11"])
def test_no_two_rows_of_a_table_are_the_same_recipe(name: str) -> None:
    recipes = [
        (learner_of(row, ReproduceSettings()).recipe, row.rival, preparation_of(row, ReproduceSettings()))
        for row in find_table(name).rows
    ]
    assert all(one not in recipes[:index] for index, one in enumerate(recipes))


def test_rows_of_tables_6_to_9_differ_in_the_options_of_the_network_alone() -> None:
    for name in ("table6", "table7", "table8", "table9"):
        recipes = [learner_of(row, ReproduceSettings()).recipe for row in find_table(name).rows]
        assert len({json.dumps(recipe | {"options": {}}, sort_keys=True) for recipe in recipes}) == 1
        assert len({preparation_of(row, ReproduceSettings()) for row in find_table(name).rows}) == 1


def test_rows_of_table_5_differ_in_the_flow_alone() -> None:
    recipes = [learner_of(row, ReproduceSettings()).recipe for row in find_table("table5").rows]
    assert [recipe["encoding"].pop("fusion") for recipe in recipes] == ["add", "multiply", "concat"]
    assert recipes[0] == recipes[1] == recipes[2]


def test_rivals_see_traditional_flow_painted_for_the_network_or_as_numbers() -> None:
    rows = {row.name: row for row in find_table("table11").rows}
    assert {rows[name].fusion for name in ("bi-woof", "bi-woof-svm", "mdmo", "mdmo-svm")} == {"traditional"}
    for name in ("bi-woof", "mdmo"):
        encoding = learner_of(rows[name], ReproduceSettings()).recipe["encoding"]
        assert (encoding["fusion"], encoding["colours"]) == ("picture", "picture")
    assert [
        learner_of(rows[name], ReproduceSettings()).recipe["features"]["name"] for name in rows if "svm" in name
    ] == [
        "biwoof",
        "mdmo",
    ]


def test_a_smaller_input_is_cut_from_a_smaller_flow_in_the_papers_proportion() -> None:
    settings = ReproduceSettings(input_px=56)
    assert preparation_of(find_table("table5").rows[0], settings).side_px == 60
    encoding = learner_of(find_table("table5").rows[0], settings).recipe["encoding"]
    assert (encoding["input_px"], encoding["side_px"]) == (56, 60)


def test_the_papers_recipe_on_the_papers_data_differs_in_nothing() -> None:
    assert told(ReproduceSettings(pretrained=Path("convnext.safetensors"))) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 2}, "epochs: 2 instead of 100"),
        ({"architecture": "bowam-nano"}, "network: bowam-nano instead of bowam"),
        ({"input_px": 64}, "input: 64 px instead of 224"),
        ({"folds": 5}, "people: 5 folds instead of leaving one subject out"),
        ({"manifest": "mine.csv"}, "data: mine.csv instead of MEGC2019"),
        ({"pretrained": None}, "first weights: random"),
    ],
)
def test_each_departure_is_named_and_named_alone(change: dict, words: str) -> None:
    (line,) = told(replace(ReproduceSettings(pretrained=Path("convnext.safetensors")), **change))
    assert words in line


def test_other_data_are_named() -> None:
    settings = ReproduceSettings(pretrained=Path("convnext.safetensors"))
    assert told(settings, run=measured((441, 68))) == (
        "clips: 441 of 68 subjects instead of 442 of 68 (MEGC2019 composite, 3 classes)",
    )
    assert any("SYNTHETIC" in line for line in told(settings, run=measured(synthetic=True)))
    assert told(settings, "table3", measured((7526, 671))) == (
        "people: folds over all subjects instead of the official test set B of CCAC2024",
    )


def test_a_table_is_run_row_by_row_and_goes_on_where_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "learner_of", an_svm)
    opened: list[PreparationSettings] = []

    def open_toy(task: Task, preparation: PreparationSettings) -> Examples:
        opened.append(preparation)
        return toy()

    settings = ReproduceSettings(folds=3)
    heard: list[tuple[str, int, int]] = []
    result = run_table(
        find_table("table8"), settings, open_toy, tmp_path, rows=("8", "16"), on_progress=lambda *how: heard.append(how)
    )
    assert [one.row.name for one in result.rows] == ["8", "16"]
    assert len(opened) == 1
    assert heard[0] == ("ratio 8, folds", 0, 3)
    assert result.synthetic
    assert all(one.measured.columns["overall"].uf1.mean == 1 for one in result.rows)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/fold-*.json")}
    assert len(before) == 2 * 3
    next(iter(before)).unlink()
    more = run_table(find_table("table8"), settings, open_toy, tmp_path, rows=("16", "8"))
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/fold-*.json")}
    assert sum(after[path] != time for path, time in before.items()) == 1
    assert {one.row.name: one for one in more.rows} == {one.row.name: one for one in result.rows}
    assert run_table(find_table("table6"), settings, open_toy, tmp_path, rows=("shared",)).rows[0].measured == next(
        one.measured for one in result.rows if one.row.name == "16"
    ), "the same recipe on the same examples is one run for all tables"


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_stands_in_title_table_picture_and_json(
    synthetic: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "learner_of", an_svm)
    settings = ReproduceSettings(folds=2, oracle=True)
    result = run_table(find_table("table1"), settings, lambda *_: toy(synthetic), tmp_path / "runs", rows=("bowam",))
    texts = {path.suffix: path.read_text() for path in write_report(result, tmp_path)}
    plain, page, image = json.loads(texts[".json"]), texts[".md"], texts[".svg"]
    assert plain["synthetic"] == synthetic
    assert [("SYNTHETIC" in text) for text in (plain["title"], page.splitlines()[0], image)] == [synthetic] * 3
    assert ("It tells nothing of how a method does on people" in page) == synthetic
    assert plain["differs_from_the_paper"] == list(result.differences)
    assert all(line in page for line in result.differences)
    assert "clips: 18 of 6 subjects instead of 442 of 68" in image
    assert "best on each test subject" in page
    assert "leaks the test" in page
    assert plain["rows"][0]["oracle"] == {"uf1": 1.0, "uar": 1.0}
    ElementTree.fromstring(image)


def test_the_papers_figure_stands_beside_ours_with_difference_and_interval(tmp_path: Path) -> None:
    table = find_table("table5")
    rows = tuple(RowResult(row=row, measured=measured(), cost=None) for row in table.rows)
    result = reproduce.TableResult(table=table, rows=rows, differences=(), synthetic=False, settings={})
    paths = {path.suffix: path for path in write_report(result, tmp_path)}
    assert {path.name for path in tmp_path.iterdir()} == {"table5.json", "table5.md", "table5.svg"}
    assert "| multiply | overall | UF1 | 0.8646 | 0.5000 | 0.400 to 0.600 | -0.3646 |" in paths[".md"].read_text()
    assert "Differs from the paper" not in paths[".md"].read_text()
    row = json.loads(paths[".json"].read_text())["rows"][2]["columns"]["overall"]["uar"]
    assert (row["paper"], row["ours"], row["low"], row["high"]) == (0.8817, 0.5, 0.4, 0.6)
    assert row["difference"] == pytest.approx(0.5 - 0.8817)
    image = ElementTree.fromstring(paths[".svg"].read_text())
    circles = image.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 1 + 2 * 3, "a legend, and UF1 and UAR of three rows"
    assert len({circle.get("cx") for circle in circles[1:]}) == 2, "one score, one place on each axis"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["reproduce", *map(str, arguments)])
    if result.exception:
        raise result.exception
    return result.output


def test_list_shows_every_table_and_row_and_runs_nothing() -> None:
    lines = run("--list").splitlines()
    for table in TABLES.values():
        start = next(index for index, line in enumerate(lines) if line.startswith(f"{table.name} "))
        shown = [line.split()[0] for line in lines[start + 1 : start + 1 + len(table.rows)]]
        assert shown == [row.name for row in table.rows]


def test_bad_usage_is_one_clear_error_before_anything_is_done(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", "--data-root", tmp_path)
    with pytest.raises(OptionError, match="name a table and --data-root"):
        run("table4")
    with pytest.raises(OptionError, match="table12"):
        run("table12", *out)
    with pytest.raises(OptionError, match="'min'"):
        run("table5", "--rows", "add,min", *out)
    with pytest.raises(OptionError, match="instead of all"):
        run("all", "--rows", "add", *out)
    with pytest.raises(OptionError, match="bowam-tiny"):
        run("table5", "--architecture", "bowam-tiny", *out)
    assert not (tmp_path / "out").exists()


def test_all_runs_what_there_are_data_for_and_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def note(table: Table, *_: object) -> None:
        ran.append(table.name)

    monkeypatch.setattr(
        sys.modules["bowam_model.cli.reproduce"], "_reproduce", note
    )  # the package names its command so
    (tmp_path / "dfme").mkdir()
    output = run("all", "--data-root", tmp_path)
    assert ran == [name for name in TABLES if name != "table2"]
    assert "left out: table2" in output


def test_each_task_is_looked_for_in_a_folder_of_its_name_or_in_the_root_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Path, str | None]] = []

    def note(name: str, root: Path, settings: PreparationSettings, *, classes: str | None, **_: object) -> Examples:
        asked.append((name, root, classes))
        return toy()

    monkeypatch.setattr(sys.modules["bowam_model.cli.reproduce"], "open_examples", note)
    monkeypatch.setattr(reproduce, "learner_of", an_svm)
    (tmp_path / "data" / "dfme").mkdir(parents=True)
    places = ("--data-root", tmp_path / "data", "--out", tmp_path / "out", "--folds", 2)
    run("table3", *places)
    run("table2", "--rows", "4-class", *places)
    run("table6", "--rows", "shared", *places)
    assert asked == [
        ("dfme", tmp_path / "data" / "dfme", "7"),
        ("casme3", tmp_path / "data", "4"),
        ("megc2019", tmp_path / "data", None),
    ]
    assert "official test set B" in (tmp_path / "out" / "table3.md").read_text()


def write_manifest(folder: Path) -> Path:
    """Pictures of six smooth patterns that move to three sides and back."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(6):
        still = cv2.GaussianBlur(rng.integers(0, 256, (240, 240)).astype(np.float32), (0, 0), 3)
        still = cv2.normalize(still, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
        for label, (x, y) in zip(MEGC2019, ((2, 0), (0, 2), (-2, -2)), strict=True):
            moved = np.roll(still, (y, x), (0, 1))
            names = [f"{subject}-{label}-{moment}.png" for moment in ("onset", "apex", "offset")]
            for name, picture in zip(names, (still, moved, still), strict=True):
                cv2.imwrite(str(folder / name), picture)
            rows.append([("samm", "smic")[subject % 2], f"s{subject}", label, label, *names, "yes"])
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "subject", "clip", "label", "onset_path", "apex_path", "offset_path", "cropped"])
        writer.writerows(rows)
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_the_command_line_to_tables_5_and_11(tmp_path: Path) -> None:
    small = ("--architecture", "bowam-nano", "--epochs", 1, "--folds", 2, "--input-px", 64, "--oracle-epoch")
    places = ("--data-root", write_manifest(tmp_path), "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    for name in ("table5", "table11"):
        assert f"{name}.md" in run(name, *places, *small)
        plain = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert [row["name"] for row in plain["rows"]] == [row.name for row in find_table(name).rows]
        for row in plain["rows"]:
            assert (row["run"]["clips"], row["run"]["subjects"]) == (18, 6)
            scores = row["columns"]["overall"]["uf1"]
            assert 0 <= scores["low"] <= scores["ours"] <= scores["high"] <= 1
            assert row["oracle"]["uf1"] >= 0
        assert len(plain["differs_from_the_paper"]) == 7
        assert plain["settings"]["architecture"] == "bowam-nano"
    runs = sorted(path.name for path in (tmp_path / "out" / "runs").iterdir())
    assert len(runs) == 3 + 7 - 1, "BOWAM is a row of both tables and was run once"
