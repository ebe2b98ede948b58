"""Each data set's description is read from a miniature tree with the release's column names, file names and quirks."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from subprocess import run

import pytest
import xlwt
from openpyxl import Workbook

from bowam_model.datasets import Corpus, Frames, describe, load
from bowam_model.datasets.loader import action_units
from bowam_model.datasets.sample import key
from bowam_model.errors import DatasetError, OptionError

Table = Sequence[Sequence[object]]


def xlsx(path: Path, *tabs: tuple[str, Table]) -> None:
    """A workbook with these tabs; None is an empty cell."""
    book = Workbook()
    book.remove(book.active)
    for name, table in tabs:
        tab = book.create_sheet(name)
        for row in table:
            tab.append(list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def xls(path: Path, *tabs: tuple[str, Table]) -> None:
    """The same in the format of Excel 97."""
    book = xlwt.Workbook()
    for name, table in tabs:
        tab = book.add_sheet(name)
        for y, row in enumerate(table):
            for x, cell in enumerate(row):
                tab.write(y, x, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(str(path))


def images(folder: Path, numbers: Iterable[int], name: str = "img{}.jpg") -> None:
    """Empty files with the names of frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / name.format(number)).touch()


def told(corpus: Corpus) -> list[tuple[str, str, str]]:
    """(action, subject and clip, reason) of all findings."""
    return [(finding.action, finding.what, finding.reason) for finding in corpus.findings]


def names(corpus: Corpus) -> list[str]:
    return [path.name for sample in corpus.samples for path in sample.triple()]


CASME2_HEAD = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion",
)  # fmt: skip


def casme2(root: Path, sheet: str = "CASME2-coding-20140508.xlsx") -> Path:
    xlsx(
        root / sheet,
        (
            "Sheet1",
            [
                CASME2_HEAD,
                ("01", "EP02_01f", None, 46, 59, 86, None, "12", "happiness"),
                ("04", "EP12_01f", None, 151, "/", 187, None, "4+L10", "others"),
                ("05", "EP09_05f", None, 4, 4, 39, None, "14", "happiness"),
                (6, "EP09f", None, 10, 30, 30, None, "4", "disgust"),
                ("26", "EP06_02_01", None, 5, 9, 20, None, "1", "fear"),
                ("07", "EP01_01", None, 1, 5, 9, None, "1", "surprise"),
                ("01", "EP02_02f", None, 1, 5, 9, None, "1", None),
            ],
        ),
    )
    cropped = root / "Cropped"
    images(cropped / "sub01/EP02_01f", range(46, 87), "reg_img{}.jpg")
    images(cropped / "sub04/EP12_01f", range(151, 188), "reg_img{}.jpg")
    images(cropped / "sub05/EP09_05f", range(4, 40), "reg_img{}.jpg")
    images(cropped / "sub06/EP09f", range(10, 31), "reg_img{}.jpg")
    images(cropped / "sub26/EP06_02_01", range(5, 21), "reg_img{}.jpg")
    images(root / "CASME2-RAW/sub01/EP02_01f", range(1, 120))
    (cropped / "sub01/EP02_01f/._reg_img46.jpg").touch()  # macOS leaves these
    return root


def test_casme2_reads_unpadded_numbers_odd_names_and_apexes_that_are_none(tmp_path: Path) -> None:
    """`/`, an apex at the onset and an apex at the offset are said; the subject is padded whether text or number."""
    corpus = load(describe("casme2"), casme2(tmp_path), classes="all")
    assert [(sample.subject, sample.clip, sample.onset, sample.apex, sample.offset) for sample in corpus.samples] == [
        ("sub01", "EP02_01f", 46, 59, 86),
        ("sub04", "EP12_01f", 151, None, 187),
        ("sub05", "EP09_05f", 4, None, 39),
        ("sub06", "EP09f", 10, 30, 30),
        ("sub26", "EP06_02_01", 5, 9, 20),
    ]
    assert names(corpus)[:6] == [f"reg_img{number}.jpg" for number in (46, 59, 86, 151, 169, 187)]
    assert corpus.samples[1].aus == ("4", "L10")
    assert all(sample.cropped and sample.fps == 200 and sample.kind == "micro" for sample in corpus.samples)
    assert told(corpus) == [
        ("repaired", "sub04 EP12_01f", "apex '/' is no frame; left open"),
        ("repaired", "sub05 EP09_05f", "apex 4 is the onset, without any movement; left open"),
        ("kept", "sub06 EP09f", "apex 30 is the offset too: the way back has no flow"),
        ("missing", "sub07 EP01_01", "no folder Cropped*/sub07/EP01_01"),
        ("skipped", "sub01 EP02_02f", "an empty cell is not among these classes"),
    ]
    assert corpus.findings[0].where == "CASME2-coding-20140508.xlsx row 3"
    assert (corpus.expected.samples, corpus.expected.subjects) == (247, 26)


def test_casme2_views_choose_classes_and_images(tmp_path: Path) -> None:
    """Five classes leave fear out and say so, three map it to negative; the raw frames are not cropped faces."""
    casme2(tmp_path)
    five = load(describe("casme2"), tmp_path)
    assert five.labels() == {"happiness": 2, "others": 1, "disgust": 1}
    assert ("skipped", "sub26 EP06_02_01", "'fear' is not among these classes") in told(five)
    assert load(describe("casme2"), tmp_path, classes="3").labels() == {"positive": 2, "negative": 2}
    raw = load(describe("casme2"), tmp_path, classes="all", layout="raw")
    assert [(sample.clip, sample.cropped) for sample in raw.samples] == [("EP02_01f", False)]
    assert names(raw) == ["img46.jpg", "img59.jpg", "img86.jpg"]
    media = raw.samples[0].media
    assert isinstance(media, Frames)
    assert media.numbers == tuple(range(46, 87))
    for wrong in ({"classes": "9"}, {"layout": "infrared"}):
        with pytest.raises(OptionError, match=r"cropped|5, 3, all"):
            load(describe("casme2"), tmp_path, **wrong)


def test_the_root_may_lie_above_or_be_the_folder_of_images_and_the_sheet_elsewhere(tmp_path: Path) -> None:
    """People unpack archives into each other, or name the innermost folder."""
    casme2(tmp_path / "a/b", "CASME2-coding-20190701.xlsx")
    assert len(load(describe("casme2"), tmp_path, classes="all").samples) == 5
    sheet = tmp_path / "a/b/CASME2-coding-20190701.xlsx"
    inner = load(describe("casme2"), tmp_path / "a/b/Cropped", classes="all", sheet=sheet)
    assert len(inner.samples) == 5
    assert all(sample.cropped for sample in inner.samples)


def test_the_247_rows_of_2014_come_before_the_255_of_2019(tmp_path: Path) -> None:
    casme2(tmp_path, "CASME2-coding-20190701.xlsx")
    casme2(tmp_path)
    assert load(describe("casme2"), tmp_path).sources[0].name == "CASME2-coding-20140508.xlsx"


SAMM_HEAD = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip


def test_samm_finds_its_header_in_row_14_and_pads_the_subject(tmp_path: Path) -> None:
    """Subjects are numbers in the sheet and three digits on disk; the padding of images varies; apexes lie outside."""
    prose = [("SAMM micro-expressions",)] + [(None,)] * 12
    rows = [
        (6, "006_1_2", 1, 5562, 5588, 5632, 71, "Micro", "AU4", "Anger", 2, None),
        (6, "006_1_3", 1, 30, 900, 60, 31, "Micro", "AU12A + AU14A", "Happiness", 1, None),
        (37, "037_3_1", 3, 12, 20, 40, 29, "Micro", "AU1", "Other", 7, None),
    ]
    xlsx(tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx", ("SAMM", [*prose, SAMM_HEAD, *rows]))
    images(tmp_path / "SAMM/006/006_1_2", range(5560, 5640), "006_{:05d}.jpg")
    images(tmp_path / "SAMM/006/006_1_3", range(25, 70), "006_{:04d}.jpg")
    images(tmp_path / "SAMM/037/037_3_1", range(10, 50), "037_{}.jpg")
    corpus = load(describe("samm"), tmp_path)
    assert [(sample.subject, sample.label, sample.apex, sample.aus) for sample in corpus.samples] == [
        ("006", "negative", 5588, ("4",)),
        ("006", "positive", None, ("12", "14")),
    ]
    assert names(corpus)[:3] == ["006_05562.jpg", "006_05588.jpg", "006_05632.jpg"]
    assert told(corpus) == [
        ("repaired", "006 006_1_3", "apex 900 lies outside 30 to 60; left open"),
        ("skipped", "037 037_3_1", "'others' is not among these classes"),
    ]
    assert corpus.findings[0].where.endswith("row 16")
    assert corpus.expected.labels == (("negative", 92), ("positive", 26), ("surprise", 15))
    assert len(load(describe("samm"), tmp_path, classes="all").samples) == 3


def test_smic_without_a_sheet_is_read_from_its_folders(tmp_path: Path) -> None:
    """No apex: the middle stands in. `s01_ne_01` and `s1_ne_01` are one clip."""
    home = tmp_path / "SMIC_all_cropped/HS"
    images(home / "s1/micro/negative/s1_ne_01", range(36237, 36260), "reg_image{:06d}.bmp")
    images(home / "s20/micro/surprise/s20_sur_02", range(5, 16), "reg_image{:06d}.bmp")
    images(home / "s20/micro/positive/s20_po_01", (7, 8), "reg_image{:06d}.bmp")
    images(home / "s20/non_micro/s20_n_01", range(9), "reg_image{:06d}.bmp")
    for root in (tmp_path, tmp_path / "SMIC_all_cropped", home):
        corpus = load(describe("smic"), root)
        assert [(one.subject, one.clip, one.label, one.onset, one.apex, one.offset) for one in corpus.samples] == [
            ("s01", "s1_ne_01", "negative", 36237, None, 36259),
            ("s20", "s20_sur_02", "surprise", 5, None, 15),
        ]
        assert corpus.samples[1].middle == 10
        assert [finding.action for finding in corpus.findings] == ["missing"]
        assert corpus.samples[0].cropped == (root != home)
    assert names(corpus)[3:] == ["reg_image000005.bmp", "reg_image000010.bmp", "reg_image000015.bmp"]
    assert key("s01_ne_01") == key("s1_ne_01") != key("s10_ne_01")


def test_smic_e_takes_every_expression_of_a_long_clip(tmp_path: Path) -> None:
    """OnsetF, OffsetF, then Onset2F, Offset2F; images carry six digits."""
    head = (
        "Subject", "Filename", "OnsetF", "OffsetF", "TotalMF1", "Onset2F", "Offset2F", "TotalMF2", "Onset3F",
        "Offset3F", "TotalMF3", "Emotion", "FirstF", "LastF", "TotalVL",
    )  # fmt: skip
    rows = [
        (1, "s01_ne_01", 110, 140, 31, None, None, None, None, None, None, "negative", 100, 200, 101),
        (3, "s03_po_05", 20, 40, 21, 60, 80, 21, None, None, None, "positive", 10, 90, 81),
    ]
    xlsx(tmp_path / "SMIC-HS-E_annotation.xlsx", ("HS", [head, *rows]))
    images(tmp_path / "SMIC-HS-E/s01/s1_ne_01", range(100, 201), "image{:06d}.jpg")
    images(tmp_path / "SMIC-HS-E/s03/s03_po_05", range(10, 91), "image{:06d}.jpg")
    corpus = load(describe("smic-e"), tmp_path)
    assert [(one.subject, one.clip, one.recording, one.onset, one.offset, one.label) for one in corpus.samples] == [
        ("s01", "s01_ne_01", "s01_ne_01", 110, 140, "negative"),
        ("s03", "s03_po_05", "s03_po_05", 20, 40, "positive"),
        ("s03", "s03_po_05#2", "s03_po_05", 60, 80, "positive"),
    ]
    assert names(corpus)[0] == "image000110.jpg"
    assert not corpus.findings


CASME3_HEAD = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
CASME3_ROWS = [
    ("spNO.1", "b", 166, 175, 190, "4+R7", 2, "disgust"),
    ("spNo.1", "J", 28, 33, 60, "12", 1, "happy"),
    ("spNO.40", "e", 1812, 1820, 0, "1", 3, "Surprise"),
    ("spNO.40", "e", 2327, 2333, 23350, "1", 3, "surprise"),
    ("spNO.214", "c", 5, 9, 3, "1", 3, "Others"),
    ("spNO.214", "c", 5, 9, 3, "1", 3, "others"),
]


def casme3(root: Path) -> Path:
    xlsx(
        root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
        ("notes", [("see the other tab",)]),
        ("label", [CASME3_HEAD, *CASME3_ROWS]),
    )
    for folder, numbers in (
        ("spNO.1_b_166", range(166, 191)),
        ("spNO.1_j_28", range(28, 61)),
        ("spNO.40_e_1812", range(1812, 1840)),
        ("spNO.40_e_2327", range(2327, 2341)),
        ("spNO.214_c_5", range(5, 21)),
    ):
        images(root / "Part_A_ME_clip/frame" / folder, numbers, "{}.jpg")
    return root


def test_casme3_knows_one_person_by_one_name_and_mends_absurd_offsets_from_the_clip(tmp_path: Path) -> None:
    """`spNo.1` is `spNO.1`, `J` is `j`; an offset of 0, before the onset or minutes later becomes the clip's last."""
    corpus = load(describe("casme3"), casme3(tmp_path))
    assert [(one.subject, one.clip, one.emotion, one.offset) for one in corpus.samples] == [
        ("spNO.1", "b_166", "disgust", 190),
        ("spNO.1", "J_28", "happiness", 60),
        ("spNO.40", "e_1812", "surprise", 1839),
        ("spNO.40", "e_2327", "surprise", 2340),
        ("spNO.214", "c_5", "others", 20),
    ]
    assert names(corpus)[:3] == ["166.jpg", "175.jpg", "190.jpg"]
    assert told(corpus) == [
        ("repaired", "spNO.40 e", "offset '0' is no frame; last image of the clip, 1839, taken"),
        ("repaired", "spNO.40 e", "701 s from onset 2327 to offset 23350; last image of the clip, 2340, taken"),
        ("repaired", "spNO.214 c", "offset 3 is not after onset 5; last image of the clip, 20, taken"),
        ("repaired", "spNO.214 c", "offset 3 is not after onset 5; last image of the clip, 20, taken"),
        (
            "skipped",
            "spNO.214 c",
            "c_5 stands in cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx row 6 already",
        ),
    ]


def test_casme3_has_views_of_seven_four_and_three_classes(tmp_path: Path) -> None:
    casme3(tmp_path)
    four = load(describe("casme3"), tmp_path, classes="4")
    assert four.labels() == {"negative": 1, "positive": 1, "surprise": 2, "others": 1}
    assert sum(count for _, count in four.expected.labels) == four.expected.samples == 860
    three = load(describe("casme3"), tmp_path, classes="3")
    assert set(three.labels()) == {"negative", "positive", "surprise"}
    assert sum(count for _, count in three.expected.labels) == three.expected.samples == 699


def test_casme3_long_expressions_have_no_duration_gate_and_a_video_cannot_mend_an_offset(tmp_path: Path) -> None:
    """Two thirds last longer than half a second: kept. A whole video has no last image of the expression: skipped."""
    rows = [("spNO.1", "b", 166, 175, 240, "4", 2, "disgust"), ("spNO.40", "e", 12, 20, 0, "1", 3, "fear")]
    xlsx(tmp_path / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", ("label", [CASME3_HEAD, *rows]))
    images(tmp_path / "spNO.1/b/color", range(300), "{}.jpg")
    images(tmp_path / "spNO.1/b/depth", range(300), "{}.png")
    images(tmp_path / "spNO.40/e/color", range(300), "{}.jpg")
    corpus = load(describe("casme3"), tmp_path)
    assert [(one.onset, one.offset) for one in corpus.samples] == [(166, 240)]
    assert names(corpus) == ["166.jpg", "175.jpg", "240.jpg"]
    assert told(corpus) == [("skipped", "spNO.40 e", "offset '0' is no frame")]


def test_casme3_blinks_and_macros_come_from_the_two_tabs_of_an_old_xls(tmp_path: Path) -> None:
    head = (*CASME3_HEAD[:6], "Objective class", "Expression type", "emotion")
    xls(
        tmp_path / "CAS(ME)3_part_A_v2.xls",
        ("AU+Emotion", [head, ("spNO.1", "b", 10, 20, 100, "4", 2, "Macro-expression", "disgust")]),
        ("eye blink", [("Subject", "Filename", "Onset", "Offset"), ("spNO.1", "b", 120, 133)]),
    )
    images(tmp_path / "spNO.1/b/color", range(150), "{}.jpg")
    corpus = load(describe("casme3-long"), tmp_path)
    assert [(one.kind, one.label, one.onset, one.offset) for one in corpus.samples] == [
        ("macro", "disgust", 10, 100),
        ("blink", "blink", 120, 133),
    ]
    assert dict(corpus.expected.kinds) == {"blink": 841}


@pytest.mark.parametrize(
    "head",
    [
        ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Emotion"),
        ("subject", "file name", "OnsetFrame", "Apex_Frame", "OFFSET FRAME", "AUs", "Label"),
    ],
)
def test_dfme_headers_match_tolerantly_and_both_sheets_count(tmp_path: Path, head: Sequence[str]) -> None:
    xlsx(
        tmp_path / "training_full_with_AU.xlsx",
        ("a", [head, (3, "sub0003_01", 109, 120, 150, "4", "Disgust"), (3, "sub0003_02", 1, 5, 9, "1", "others")]),
    )
    xlsx(tmp_path / "testB_full_with_AU.xlsx", ("a", [head, (12, "sub0012_01", 1, 5, 20, "12", "Happiness")]))
    images(tmp_path / "part_A/sub0003_01", range(109, 151), "{:05d}.png")
    images(tmp_path / "part_B/sub0012_01", range(1, 21), "{:05d}.png")
    corpus = load(describe("dfme"), tmp_path)
    assert [(one.subject, one.clip, one.label, one.apex, one.fps) for one in corpus.samples] == [
        ("sub0003", "sub0003_01", "disgust", 120, None),
        ("sub0012", "sub0012_01", "happiness", 5, None),
    ]
    assert names(corpus)[0] == "00109.png"
    assert told(corpus) == [("skipped", "sub0003 sub0003_02", "'others' is not among these classes")]


def test_dfme_of_the_challenge_has_ids_and_no_frames_so_the_clip_bounds_them(tmp_path: Path) -> None:
    """The alphabetical reading of the ids is an inference, so each row says it."""
    sheet = tmp_path / "ccac2024.csv"
    sheet.write_text("Filename,Subject,EmotionId\nsub0003_01,sub0003,4\nsub0003_02,sub0003,9\n")
    images(tmp_path / "sub0003_01", range(7, 30), "{:05d}.png")
    corpus = load(describe("dfme"), tmp_path, sheet=sheet)
    assert [(one.subject, one.label, one.onset, one.apex, one.offset) for one in corpus.samples] == [
        ("sub0003", "happiness", 7, None, 29)
    ]
    assert [(action, reason.split(":")[0]) for action, _, reason in told(corpus)] == [
        ("repaired", "emotion 4 read as happiness"),
        ("skipped", "emotion 9 has no name"),
    ]


def test_casme_square_finds_folders_by_its_second_and_third_tab(tmp_path: Path) -> None:
    """Subject 1 is s15, video disgust1 is 0101; macros without an offset, and a misspelt word, are said."""
    xlsx(
        tmp_path / "CAS(ME)^2code_final(Updated).xlsx",
        (
            "CASFEcode_final",
            [
                (1, "disgust1_1", 2, 6, 12, "4+9", "negative", "micro-expression", "disgust"),
                (1, "disgust1_2", 20, 30, 60, "12", "positive", "macro-expression", "happyiness"),
                (1, "disgust1_3", 70, 80, 0, "4", "negative", "macro-expression", "anger"),
                (7, "happy2_1", 5, 9, 15, "12", "positive", "micro-expression", "happiness"),
            ],
        ),
        ("naming rule1", [("15", "someone", 1), ("23", "somebody", 7)]),
        ("naming rule2", [("0101", "disgust1"), ("0502", "happy2")]),
    )
    images(tmp_path / "rawpic/s15/15_0101disgustingteeth", range(1, 100), "img{:03d}.jpg")
    images(tmp_path / "rawpic/s19/23_0502funnyerrors", range(1, 30), "img{:03d}.jpg")  # not below s23 in one release
    corpus = load(describe("casme-square"), tmp_path)
    assert [(one.subject, one.clip, one.recording, one.kind, one.label, one.emotion) for one in corpus.samples] == [
        ("s15", "disgust1_1", "15_0101", "micro", "negative", "disgust"),
        ("s15", "disgust1_2", "15_0101", "macro", "positive", "happiness"),
        ("s23", "happy2_1", "23_0502", "micro", "positive", "happiness"),
    ]
    assert names(corpus)[:3] == ["img002.jpg", "img006.jpg", "img012.jpg"]
    assert told(corpus) == [
        ("repaired", "s15 disgust1_2", "'happyiness' read as happiness"),
        ("skipped", "s15 disgust1_3", "offset '0' is no frame"),
    ]
    assert dict(corpus.expected.kinds) == {"macro": 300, "micro": 57}


def test_samm_long_videos_have_an_open_apex_an_onset_of_zero_and_a_header_in_row_10(tmp_path: Path) -> None:
    head = (
        "Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units",
        "Notes",
    )  # fmt: skip
    rows = [
        (6, "006_1_1", 1, 0, 12, 40, 41, "Micro - 1/2", "AU4", None),
        (6, "006_1_2", 1, 60, -1, 90, 31, "Macro", "AU12", None),
        (7, "007_2_1", 2, 5, 9, 20, 16, "Other", "AU1", None),
    ]
    xlsx(tmp_path / "SAMM_LongVideos_V2_Release.xlsx", ("FACS", [*[("prose",)] * 9, head, *rows]))
    images(tmp_path / "SAMM_longvideos/006_1", range(1, 120), "006_1_{:04d}.jpg")
    images(tmp_path / "SAMM_longvideos/007_2", range(1, 120), "007_2_{:04d}.jpg")
    corpus = load(describe("samm-lv"), tmp_path)
    assert [(one.subject, one.clip, one.recording, one.kind, one.onset, one.apex) for one in corpus.samples] == [
        ("006", "006_1_1", "006_1", "micro", 1, 12),
        ("006", "006_1_2", "006_1", "macro", 60, None),
    ]
    assert names(corpus)[1] == "006_1_0012.jpg"
    assert told(corpus) == [
        ("repaired", "006 006_1_1", "onset 0 is not on disk; 1 taken"),
        ("repaired", "006 006_1_2", "apex -1 lies outside 60 to 90; left open"),
        ("skipped", "007 007_2_1", "'Other' is no kind of expression"),
    ]
    assert corpus.expected.samples == sum(count for _, count in corpus.expected.kinds) == 502


def test_mmew_says_each_bad_row(tmp_path: Path) -> None:
    """Frames beyond the folder: one or two are forgiven, more are not; a clip without a folder is missing."""
    head = (
        "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
    )  # fmt: skip
    rows = [
        (1, "S01-01-001", 1, 12, 20, "4", "disgust", None),
        (1, "S01-01-002", 1, 12, 22, "4", "disgust", None),
        (1, "S01-01-003", 1, 12, 90, "4", "disgust", None),
        (2, "S02-01-001", 1, 12, 20, "4", "fear", "bad"),
        (None, None, None, None, None, None, None, "a remark"),
    ]
    xlsx(tmp_path / "MMEW_Micro_Exp.xlsx", ("a", [head, *rows]))
    for clip in ("S01-01-001", "S01-01-002", "S01-01-003"):
        images(tmp_path / "Micro_Expression/disgust" / clip, range(1, 21), "{}.jpg")
    corpus = load(describe("mmew"), tmp_path)
    assert [(one.subject, one.clip, one.offset, one.fps) for one in corpus.samples] == [
        ("S01", "S01-01-001", 20, 90),
        ("S01", "S01-01-002", 20, 90),
    ]
    assert names(corpus)[:3] == ["1.jpg", "12.jpg", "20.jpg"]
    assert [finding.reason for finding in corpus.findings] == [
        "offset 22 is not on disk; 20 taken",
        "offset 90 is not on disk (1 to 20 are)",
        "no folder Micro_Expression*/fear/S02-01-001",
    ]


def test_4dme_drops_the_suffix_of_action_units_and_says_empty_cells(tmp_path: Path) -> None:
    """A person spelt in two ways is one person, whom a fold leaves out as a whole; lost frames are counted."""
    head = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")
    rows = [("S1", "S1_02", "Positive", 5, 9, 20, "6(k)+12"), ("s1", "S1_03", "Surprise", 5, None, None, None)]
    xlsx(tmp_path / "4DME_Labelling_Micro_release v1.xlsx", ("a", [head, *rows]))
    images(tmp_path / "gray_micro/S1/S1_02", range(5, 21), "{}.jpg")
    images(tmp_path / "gray_micro/S1/S1_03", (5, 6, 8, 11), "{}.jpg")
    corpus = load(describe("4dme"), tmp_path, classes="3")
    assert [(one.subject, one.clip, one.label, one.apex, one.offset, one.aus) for one in corpus.samples] == [
        ("S1", "S1_02", "positive", 9, 20, ("6", "12")),
        ("S1", "S1_03", "surprise", None, 11, ()),
    ]
    assert names(corpus)[3:] == ["5.jpg", "8.jpg", "11.jpg"]
    assert not corpus.samples[0].cropped
    assert told(corpus) == [
        ("repaired", "S1 S1_03", "offset '' is no frame; last image of the clip, 11, taken"),
        ("repaired", "S1 S1_03", "apex '' is no frame; left open"),
        ("kept", "S1 S1_03", "3 frames from 5 to 11 are not on disk"),
    ]


def test_a_wrong_folder_is_told_what_was_looked_for_and_what_was_found(tmp_path: Path) -> None:
    """No folder, no sheet, a sheet with other columns, a damaged sheet, no images: each in one line."""
    with pytest.raises(DatasetError, match="is no folder"):
        load(describe("casme2"), tmp_path / "nowhere")
    (tmp_path / "holiday.txt").touch()
    with pytest.raises(DatasetError, match=r"looked for CASME2-coding-20140508.* found holiday\.txt"):
        load(describe("casme2"), tmp_path)
    sheet = tmp_path / "CASME2-coding-20140508.xlsx"
    xlsx(sheet, ("a", [("Name", "Age"), ("x", 1)]))
    with pytest.raises(DatasetError, match=r"20140508\.xlsx lacks the columns subject, filename, onset"):
        load(describe("casme2"), tmp_path)
    xlsx(sheet, ("a", [CASME2_HEAD, ("01", "EP02_01f", None, 46, 59, 86, None, "12", "happiness")]))
    with pytest.raises(DatasetError, match=r"looked for Cropped\*.* such as Cropped\*/sub01/EP02_01f; found CASME2"):
        load(describe("casme2"), tmp_path)
    sheet.write_bytes(b"PK not a workbook")
    with pytest.raises(DatasetError, match=r"cannot read .*save it again"):
        load(describe("casme2"), tmp_path)
    with pytest.raises(DatasetError, match="no images of SMIC-HS"):
        load(describe("smic"), tmp_path)
    with pytest.raises(OptionError, match="choose from casme2, samm"):
        describe("casme4")


def test_action_units_keep_the_side_and_drop_the_strength() -> None:
    assert action_units("4+L10") == ("4", "L10")
    assert action_units("AU12A or AU14") == ("12", "14")
    assert action_units("R7(k);25") == ("R7", "25")
    assert action_units("-") == ()


def test_data_sets_are_read_without_torch() -> None:
    """Preparing data on a laptop does not load the network's libraries."""
    code = "import sys, bowam_model.datasets, bowam_model.cli.dataset; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
