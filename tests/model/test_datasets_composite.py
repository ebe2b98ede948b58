"""The MEGC2019 composite, the plain manifest and `dataset check`, on trees that the tests build."""

from collections import Counter
from pathlib import Path

import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from bowam_model.cli.dataset import app
from bowam_model.datasets import FlowImage, Frames, Video, load_composite, load_manifest
from bowam_model.datasets.composite import COUNTS, read_list
from bowam_model.errors import DatasetError, OptionError
from bowam_model.labels import MEGC2019

EMOTIONS = {"negative": "Disgust", "positive": "Happiness", "surprise": "Surprise"}
SUBJECTS = {"casme2": "sub{:02d}", "samm": "{:03d}", "smic": "s{:02d}"}
ON_DISK = {
    "casme2": "CASME2/Cropped/{subject}/{clip}/reg_img{number}.jpg",
    "samm": "SAMM/SAMM/{subject}/{clip}/{subject}_{number:05d}.jpg",
    "smic": "SMIC/SMIC_all_cropped/HS/{subject}/micro/{label}/{clip}/reg_image{number:06d}.bmp",
}


def entries() -> list[tuple[str, str, str, str]]:
    """(data set, subject, clip, label) with the composite's counts; everybody has at least one clip."""
    made = []
    for dataset, (_, subjects, counts) in COUNTS.items():
        labels = [label for label, count in zip(MEGC2019, counts, strict=True) for _ in range(count)]
        for index, label in enumerate(labels):
            subject = SUBJECTS[dataset].format(index % subjects + 1)
            made.append((dataset, subject, f"{subject}_{label[:2]}_{index:02d}", label))
    return made


def write_list(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    path.write_text("".join(f"{one},{two},{three},{MEGC2019.index(label)}\n" for one, two, three, label in rows))


@pytest.fixture(scope="module")
def composite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the list and the three sets, each with one more clip that the list leaves out."""
    root = tmp_path_factory.mktemp("megc")
    rows = entries()
    write_list(root / "combined_3class_gt.csv", rows)
    for other in ("CAS(ME)^2", "CASME II long", "SAMM long videos"):  # names that only look like the composite's
        (root / other).mkdir()
    more = [("casme2", "sub01", "EP99_01f", "negative"), ("samm", "001", "001_9_9", "negative")]
    for dataset, subject, clip, label in [*rows, *more]:
        shown = {"subject": subject, "clip": clip, "label": label}
        if dataset == "smic":  # the release's own padding differs from the list's
            shown |= {"subject": f"s{int(subject[1:])}", "clip": clip.replace("s0", "s")}
        for number in range(10, 15):
            path = root / ON_DISK[dataset].format(**shown, number=number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    heads = {
        "casme2": (
            "Subject",
            "Filename",
            "OnsetFrame",
            "ApexFrame",
            "OffsetFrame",
            "Action Units",
            "Estimated Emotion",
        ),
        "samm": (
            "Subject",
            "Filename",
            "Onset Frame",
            "Apex Frame",
            "Offset Frame",
            "Action Units",
            "Estimated Emotion",
        ),
    }
    for dataset, name in (
        ("casme2", "CASME2/CASME2-coding-20140508.xlsx"),
        ("samm", "SAMM/SAMM_Micro_FACS_Codes_v2.xlsx"),
    ):
        book = Workbook()
        book.active.append(heads[dataset])
        for one, subject, clip, label in [*rows, *more]:
            if one == dataset:
                number = int(subject.removeprefix("sub"))
                book.active.append([number, clip, 10, 12, 14, "4", EMOTIONS[label]])
        book.save(root / name)
    return root


def test_the_composite_has_442_samples_of_68_people_from_the_official_list(composite: Path) -> None:
    """Clips that the list leaves out stay out; subjects of two sets are two people though both are number one."""
    corpus = load_composite(composite)
    assert len(corpus.samples) == 442
    assert len(corpus.subjects()) == 68
    assert corpus.labels() == Counter(negative=250, positive=109, surprise=83)
    for dataset, (samples, subjects, counts) in COUNTS.items():
        mine = [sample for sample in corpus.samples if sample.dataset == dataset]
        labels = Counter(sample.label for sample in mine)
        assert (len(mine), len({sample.subject for sample in mine})) == (samples, subjects)
        assert tuple(labels[label] for label in MEGC2019) == counts
    assert not corpus.findings
    assert [(sample.subject, sample.label) for sample in corpus.samples] == [(row[1], row[3]) for row in entries()]
    assert all(path.is_file() for sample in corpus.samples for path in sample.triple())


def test_a_listed_clip_that_is_not_on_disk_is_said(composite: Path, tmp_path: Path) -> None:
    """A list of the right counts whose first clip has another name."""
    rows = entries()
    rows[0] = (*rows[0][:2], "EP77_07f", rows[0][3])
    write_list(tmp_path / "mine.csv", rows)
    corpus = load_composite(composite, listed=tmp_path / "mine.csv")
    assert len(corpus.samples) == 441
    (finding,) = corpus.findings
    assert (finding.action, finding.where, finding.what) == ("missing", "list line 1", "sub01 EP77_07f")


def test_a_list_with_other_counts_is_refused(tmp_path: Path) -> None:
    """One sample too few, one of another class, one subject for another, one unknown class."""
    rows, path = entries(), tmp_path / "list.csv"
    dataset, subject, clip, label = rows[3]
    assert label == "negative"
    for wrong in ([], [(dataset, subject, clip, "surprise")], [(dataset, "sub99", clip, label)]):
        write_list(path, [*rows[:3], *wrong, *rows[4:]])
        with pytest.raises(DatasetError, match=r"not the official list: casme2 should have 145 samples of 24"):
            read_list(path)
    path.write_text("casme2,sub01,EP02_01f,1\ncasme2,sub01,EP02_02f,7\n")
    with pytest.raises(DatasetError, match=r"line 2 of .* is not"):
        read_list(path)
    with pytest.raises(DatasetError, match="official list"):
        load_composite(tmp_path)


def test_a_composite_without_one_of_its_sets_says_which(tmp_path: Path) -> None:
    write_list(tmp_path / "combined_3class_gt.csv", entries())
    with pytest.raises(DatasetError, match=r"no folder of casme2 in .* found combined_3class_gt\.csv"):
        load_composite(tmp_path)


HEAD = (
    "dataset,subject,clip,label,onset_path,apex_path,offset_path,video_path,onset_frame,apex_frame,offset_frame,"
    "flow_path,fps,aus,cropped,kind\n"
)


def test_a_manifest_holds_images_videos_and_flows_and_names_each_bad_row(tmp_path: Path) -> None:
    for name in ("1.png", "5.png", "9.png", "a.mp4", "flow.png"):
        (tmp_path / name).touch()
    rows = [
        "mine,p1,c1,positive,1.png,5.png,9.png,,,,,,60,12+L4,yes,",
        "mine,p1,c2,positive,1.png,,9.png,,,,,,,,,",
        "mine,p2,c3,negative,,,,a.mp4,10,,30,,29.97,,no,macro",
        "mine,p2,c4,negative,,,,,,,,flow.png,,,,",
        "",
        "mine,p2,c4,negative,,,,,,,,flow.png,,,,",
        "mine,p3,c5,negative,,,,,,,,gone.png,,,,",
        "mine,p3,c6,negative,1.png,,9.png,,,,,flow.png,,,,",
        "mine,p3,c7,negative,,,,a.mp4,30,,10,,,,,",
        "mine,p3,c8,negative,,,,a.mp4,10,40,30,,,,,",
        "mine,,c9,negative,,,,,,,,flow.png,,,,",
        "mine,p3,c10,negative,,,,,,,,flow.png,fast,,,",
        "mine,p3,c11,negative,,,,,,,,flow.png,,,,frown",
        "mine,p3,c12,negative,1.png,,,,,,,,,,,",
    ]
    path = tmp_path / "manifest.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n")
    corpus = load_manifest(path)
    first, second, third, fourth = corpus.samples
    assert isinstance(first.media, Frames)
    assert [one.name for one in first.triple()] == ["1.png", "5.png", "9.png"]
    assert (first.onset, first.apex, first.offset, first.fps, first.aus, first.cropped) == (
        0,
        1,
        2,
        60,
        ("12", "L4"),
        True,
    )
    assert (second.apex, second.middle, second.cropped) == (None, 1, False)
    assert third.media == Video(path=tmp_path / "a.mp4")
    assert (third.onset, third.apex, third.offset, third.kind, third.fps) == (10, None, 30, "macro", 29.97)
    assert fourth.media == FlowImage(path=tmp_path / "flow.png")
    assert (fourth.onset, fourth.offset) == (None, None)
    with pytest.raises(TypeError, match="has no images"):
        fourth.triple()
    assert [(one.action, one.where, one.reason) for one in corpus.findings] == [
        ("skipped", "row 7", "the same clip stands in row 5 already"),
        ("missing", "row 8", "gone.png is not on disk"),
        ("skipped", "row 9", "2 of onset_path, video_path, flow_path are given; it takes one"),
        ("skipped", "row 10", "onset_frame and offset_frame are not two ascending frame numbers"),
        ("skipped", "row 11", "apex_frame 40 is not after 10 and up to 30"),
        ("skipped", "row 12", "no subject"),
        ("skipped", "row 13", "fps 'fast' is no frame rate"),
        ("skipped", "row 14", "kind is micro, macro or blink; cropped is yes or no"),
        ("skipped", "row 15", "no offset_path"),
    ]


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "dataset,subject,clip,label\n", "dataset,subject,clip,label,flow_path,x\n"]
)
def test_a_table_that_is_no_manifest_is_refused_with_its_columns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"looked for the columns dataset, subject, clip, label and either"):
        load_manifest(path)
    with pytest.raises(DatasetError, match="is no file"):
        load_manifest(tmp_path)


def test_check_prints_counts_beside_the_published_ones_and_every_row(composite: Path) -> None:
    """By class, by subject, then what was kept, repaired, skipped and missing."""
    shown = CliRunner().invoke(app, ["check", "megc2019", str(composite)], catch_exceptions=False).output
    lines = [line.split() for line in shown.splitlines()]
    assert ["samples", "442", "442"] in lines
    assert ["subjects", "68", "68"] in lines
    assert ["positive", "109", "109"] in lines
    assert ["subject", *MEGC2019, "all"] in lines
    assert ["casme2", "sub01", "4", "1", "2", "7"] in lines
    shown = (
        CliRunner().invoke(app, ["check", "casme2", str(composite), "--classes", "3"], catch_exceptions=False).output
    )
    assert ["samples", "146", "150"] in [line.split() for line in shown.splitlines()]
    shown = CliRunner().invoke(app, ["check", "smic", str(composite)], catch_exceptions=False).output
    assert ["negative", "70", "70"] in [line.split() for line in shown.splitlines()]
    manifest = composite / "manifest.csv"
    manifest.write_text("dataset,subject,clip,label,flow_path\nmine,p1,c1,happy,gone.png\n")
    shown = CliRunner().invoke(app, ["check", "manifest", str(manifest)], catch_exceptions=False).output
    assert "missing: 1\n  row 2: mine p1 c1: gone.png is not on disk" in shown
    with pytest.raises(OptionError, match="takes no --classes"):
        CliRunner().invoke(app, ["check", "manifest", str(manifest), "--classes", "3"], catch_exceptions=False)


@pytest.mark.media
def test_the_published_flows_load_through_the_manifest(media: Path) -> None:
    """442 ready flows of MEGC2019: the composite's counts, without any face."""
    corpus = load_manifest(media / "flows28" / "manifest.csv")
    assert not corpus.findings
    assert corpus.labels() == Counter(negative=250, positive=109, surprise=83)
    assert len(corpus.subjects()) == 68
    assert all(isinstance(sample.media, FlowImage) for sample in corpus.samples)
