"""What each format says beside the times, as the programs that it is for understand it."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bidsschematools.rules import regexify_filename_rules
from bidsschematools.schema import load_schema
from praatio import textgrid
from pympi import Eaf

from bowam_stream.errors import ConfigError, EventFileError
from bowam_stream.events.judgements import Judgement
from bowam_stream.formats import bids, boris
from bowam_stream.formats.export import Wanted, files, select
from bowam_stream.formats.reading import Source
from bowam_stream.formats.rows import Row
from bowam_stream.messages import Event, Model, Moment
from tests.stream.format_readers import frame
from tests.stream.small_events import micro_event

UTC_NS = 1_768_212_000_250_499_999  # 2026-01-12T10:00:00.250, rounded


def story(**changes: Any) -> list[Row]:
    """A micro-expression at 100 frames per second, judged, and a withdrawn candidate."""
    found = micro_event(
        (120, 130, 150),
        "negative",
        100.0,
        probabilities={"negative": 0.81, "none": 0.19},
        confidence=0.81,
        quality=("low_frame_rate", "gap"),
        model=Model(name="bowam-nano", weights="sha256:00", backend="eager"),
        consent=True,
    )
    found = msgspec.structs.replace(found, **changes)
    gone = micro_event((300, 310, None), None, 100.0, kind=None, phase="retracted", reason="nod", seq=400)
    said = Judgement(
        event_id=found.event_id, verdict="false", label="surprise", note="=1+1\nspoke: „ja“, 笑 \x00", by="Ada"
    )
    source = Source(
        events=[found, gone],
        judgements={found.event_id: said},
        sources={("clip", "s"): "interview.mp4"},
    )
    return select(source, Wanted(retracted=True))[0]


def test_a_spreadsheet_computes_nothing_and_breaks_no_line() -> None:
    """What begins like a formula gets an apostrophe; pandas and csv see two lines, the same cells."""
    (content,) = files(story(), "csv").values()
    table = frame(content)
    lines = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert len(table) == len(lines) == 2
    first = lines[0]
    assert first["note"] == table.note[0] == "'=1+1 spoke: „ja“, 笑"
    assert (first["verdict"], first["judged_label"], first["judged_by"]) == ("false", "surprise", "Ada")
    assert first["judged_utc"] == "1970-01-01T00:00:00.000Z"
    assert (first["kind"], first["label"], first["confidence"], first["p_none"]) == (
        "micro",
        "negative",
        "0.81",
        "0.19",
    )
    assert (first["quality"], first["consent"], first["source"]) == ("low_frame_rate gap", "true", "interview.mp4")
    assert (first["onset_frame"], first["onset_ns"], first["onset_utc"]) == ("120", "1200000000", "")
    assert (lines[1]["phase"], lines[1]["reason"], lines[1]["offset_ms"], lines[1]["offset_frame"]) == (
        *("retracted", "nod"),
        *("", ""),
    )


@pytest.mark.parametrize("danger", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "＝1"])
@pytest.mark.parametrize("name", ["csv", "boris", "bids"])
def test_no_cell_of_any_table_is_a_formula(name: str, danger: str) -> None:
    """A label, a reason, a note: wherever a person or a stranger may have written."""
    rows = story(label=danger, camera=danger)
    content = next(iter(files(rows, name).values()))
    for line in csv.reader(io.StringIO(content.decode(), newline=""), delimiter="," if name == "csv" else "\t"):
        assert not [cell for cell in line if cell.startswith(("=", "+", "-", "@", "＝"))]


def test_moments_of_a_camera_have_a_date() -> None:
    """UTC with milliseconds, rounded as the times are."""
    onset = Moment(frame=3, t_ns=5 * 10**9, utc_ns=UTC_NS)
    table = frame(files(story(onset=onset, apex=onset, offset=onset), "csv")["events.csv"])
    assert table.onset_utc[table.kind == "micro"].item() == "2026-01-12T10:00:00.250Z"


def test_json_lines_hold_the_event_as_it_was_published() -> None:
    """Its own keys, unchanged, and three beside them."""
    rows = story()
    for row, line in zip(rows, files(rows, "jsonl")["events.jsonl"].splitlines(), strict=True):
        told = json.loads(line)
        judgement, recording, times = told.pop("judgement"), told.pop("recording"), told.pop("times")
        assert msgspec.convert(told, Event) == row.event
        assert recording == {"source": "interview.mp4", "zero_ns": 0, "zero_utc_ns": None}
        assert times["onset_ms"] == row.onset_ms
        assert judgement == (msgspec.to_builtins(row.judgement) if row.judgement else None)


def test_elan_opens_the_video_and_knows_what_a_verdict_may_be(tmp_path: Path) -> None:
    """Verdicts hang on the movement that they are about, in words that ELAN offers in a menu."""
    video = tmp_path / "an interview.mp4"
    video.touch()
    (tmp_path / "out").mkdir()
    ((name, content),) = files(story(), "elan", folder=tmp_path / "out", video=video).items()
    assert name == "clip_s.eaf"
    (tmp_path / name).write_bytes(content)
    eaf = Eaf(tmp_path / name)
    assert list(eaf.timeslots.values()) == sorted(eaf.timeslots.values())
    (link,) = eaf.media_descriptors
    assert link["MEDIA_URL"] == video.as_uri()
    assert link["RELATIVE_MEDIA_URL"] == "../an interview.mp4"
    assert link["MIME_TYPE"] == "video/mp4"
    assert eaf.get_annotation_data_for_tier("face 0 micro") == [(1200, 1500, "negative")]
    assert eaf.get_annotation_data_for_tier("face 0 retracted") == [(3000, 3100, "nod")]
    verdict = ("face 0 micro verdict", "face 0 micro note")
    assert [eaf.get_ref_annotation_data_for_tier(tier) for tier in verdict] == [
        [(1200, 1500, "false", "negative")],
        [(1200, 1500, "label surprise; =1+1 spoke: „ja“, 笑; by Ada", "negative")],
    ]
    kind = eaf.get_parameters_for_tier("face 0 micro verdict")["LINGUISTIC_TYPE_REF"]
    vocabulary = eaf.get_parameters_for_linguistic_type(kind)["CONTROLLED_VOCABULARY_REF"]
    words = [value for values, _ in eaf.get_cv_entries(vocabulary).values() for value, _, _ in values]
    assert words == ["true", "false", "unsure"]


def test_praat_shows_the_judgement_on_a_tier_of_its_own(tmp_path: Path) -> None:
    """In the same place as the movement."""
    (content,) = files(story(), "textgrid").values()
    (tmp_path / "a.TextGrid").write_bytes(content)
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False)
    assert grid.tierNames == (
        *("face 0 micro", "face 0 micro apex", "face 0 micro judgement"),
        *("face 0 retracted", "face 0 retracted apex"),
    )
    (said,) = grid.getTier("face 0 micro judgement").entries
    assert (said.start, said.end, said.label) == (1.2, 1.5, "false; label surprise; =1+1 spoke: „ja“, 笑; by Ada")
    (point,) = grid.getTier("face 0 retracted apex").entries
    assert point.time == 3.1


# The fields of `export_tabular_events` in BORIS 8 (boris/export_observation.py), with two modifiers.
BORIS_FIELDS = """
Observation id|Observation date|Description|Observation duration|Observation type|Source|Time offset (s)|
Media duration (s)|FPS|Subject|Behavior|Behavioral category|Modifier #1|Modifier #2|Behavior type|Time|
Media file name|Image index|Image file path|Comment
""".replace("\n", "").split("|")


def test_boris_finds_its_own_columns_and_words(tmp_path: Path) -> None:
    """States are paired by subject and behaviour, in order of time."""
    video = tmp_path / "v.mp4"
    video.touch()
    (content,) = files(story(), "boris", video=video).values()
    table = frame(content, sep="\t")
    assert list(table.columns) == list(boris.HEADER) == BORIS_FIELDS
    assert list(table["Behavior type"]) == ["START", "POINT", "STOP"] * 2
    assert list(table["Time"]) == sorted(table["Time"])
    assert list(table["Behavior"])[:3] == ["micro-expression", "micro-expression apex", "micro-expression"]
    assert set(table["Modifier #1"]) == {"negative", "nod"}
    assert set(table["Modifier #2"]) == {"false", ""}
    assert set(table["Media file name"]) == {str(video)}
    assert set(table["Source"]) == {f"player #1:{video}"}
    assert list(table["Image index"])[:3] == [120, 130, 150]


def test_bids_by_its_own_schema() -> None:
    """The name, the first columns, the types of all that the standard defines, and an explanation of every column."""
    schema = load_schema()
    made = files(story(), "bids", bids_prefix="sub-01_ses-2_task-talk")
    assert list(made) == ["sub-01_ses-2_task-talk_events.tsv", "sub-01_ses-2_task-talk_events.json"]
    patterns = regexify_filename_rules(schema.rules.files.raw.events, schema, level=1)
    for name in made:
        assert any(re.fullmatch(one["regex"], f"sub-01/ses-2/eeg/{name}") for one in patterns)
    table, sidecar = (made[f"sub-01_ses-2_task-talk_events{suffix}"] for suffix in (".tsv", ".json"))
    header, *lines = [line.split("\t") for line in table.decode().removesuffix("\n").split("\n")]
    rule = schema.rules.tabular_data.events.Events
    assert header[: len(rule.initial_columns)] == list(rule.initial_columns)
    assert {name for name, level in rule.columns.items() if level == "required"} <= set(header)
    for name, column in schema.objects.columns.items():
        if name in header:
            form = schema.objects.formats[column["type"]].pattern
            cells = [line[header.index(name)] for line in lines]
            assert all(cell == "n/a" or re.fullmatch(form, cell) for cell in cells)
    assert all(cell for line in lines for cell in line)
    assert [float(line[0]) for line in lines] == [1.2, 3.0]
    assert [line[1] for line in lines] == ["0.300", "n/a"]
    told = json.loads(sidecar)
    assert set(header) <= told.keys()
    assert all(told[name]["Description"] for name in header)
    for name in ("trial_type", "reason", "verdict"):
        assert {line[header.index(name)] for line in lines} - {"n/a"} <= told[name]["Levels"].keys()


@pytest.mark.parametrize(
    "wrong",
    [
        "interview",
        "sub-01",
        "sub-01_task-a_b",
        "task-a_sub-01",
        "sub-01_task-ä",
        "../sub-01_task-a",
        "sub-1_task-a_run-x",
    ],
)
def test_what_begins_no_bids_name_is_refused(wrong: str) -> None:
    """With one that does."""
    with pytest.raises(ConfigError, match="such as sub-01_task-interview"):
        bids.check_prefix(wrong)


def test_sessions_have_files_of_their_own() -> None:
    """One time line in each; sessions of one camera are runs of one subject."""
    sessions = [micro_event((10, 20, 30), "negative", 100.0, session=f"s/{n}", event_id=str(n), seq=n) for n in (1, 2)]
    other = micro_event((10, 20, 30), "negative", 100.0, camera="cam-2", event_id="3")
    rows, _ = select(Source(events=[*sessions, other]), Wanted())
    assert set(files(rows, "elan")) == {"cam-2_s.eaf", "clip_s_1.eaf", "clip_s_2.eaf"}
    assert {name.removesuffix("_events.tsv") for name in files(rows, "bids") if name.endswith("tsv")} == {
        *("sub-cam2_task-bowam", "sub-clip_task-bowam_run-1", "sub-clip_task-bowam_run-2"),
    }
    assert set(files(rows, "csv")) == {"events.csv"}
    with pytest.raises(ConfigError, match="choose it with --session"):
        files(rows, "elan", video=Path("v.mp4"))
    with pytest.raises(ConfigError, match="choose one with --session"):
        files(rows, "bids", bids_prefix="sub-1_task-a_run-1")


def test_no_session_takes_the_file_of_another() -> None:
    """Names that are the same once they are fit for a file."""
    keys = [("c", "a"), ("c", "/"), ("c", "_"), ("c", "_2"), ("c_", "")]
    events = [
        micro_event((10, 20, 30), "negative", 100.0, camera=camera, session=session, event_id=f"{n}", seq=n)
        for n, (camera, session) in enumerate(keys)
    ]
    rows, _ = select(Source(events=events), Wanted())
    for name in ("boris", "bids"):
        assert len([one for one in files(rows, name) if one.endswith(".tsv")]) == len(keys)


def test_a_date_beyond_all_calendars_is_no_date() -> None:
    """A file that a stranger wrote ends in no error of ours."""
    late = Moment(frame=0, t_ns=0, utc_ns=10**21)
    rows = story(onset=late, apex=late, offset=late)
    for name in ("elan", "boris", "bids"):
        assert files(rows, name)
    table = frame(files(rows, "csv")["events.csv"])
    assert table.onset_utc[table.kind == "micro"].item() == ""


def test_only_what_is_asked_for_comes() -> None:
    """By camera, session, kind and date; a name that is not there is an error that says what is."""
    live = Moment(frame=0, t_ns=0, utc_ns=UTC_NS)
    late = Moment(frame=9, t_ns=9, utc_ns=UTC_NS + 9)
    events = [
        micro_event((0, 1, 2), "negative", 100.0, event_id="1", seq=1, onset=live),
        micro_event((5, 6, 7), None, 100.0, event_id="2", seq=2, kind="blink", onset=late),
        micro_event((5, 6, 7), None, 100.0, event_id="3", camera="cam1", session="t"),
    ]
    source = Source(events=events)

    def names(**wanted: Any) -> list[str]:
        return [row.event.event_id for row in select(source, Wanted(**wanted))[0]]

    assert names(cameras=["clip"]) == ["1", "2"]
    assert names(sessions=["t"]) == ["3"]
    assert names(kinds=["blink", "macro"]) == ["2"]
    assert names(cameras=["clip"], since_utc_ns=UTC_NS + 9) == ["2"]
    with pytest.raises(EventFileError, match=r"camera cam7; there are of: cam1, clip"):
        names(cameras=["cam7"])
    with pytest.raises(EventFileError, match="session u"):
        names(sessions=["u"])
    with pytest.raises(EventFileError, match="have no date"):
        names(since_utc_ns=1)
    with pytest.raises(EventFileError, match="counts from its beginning"):
        names(cameras=["cam1"], zero_utc_ns=1)
