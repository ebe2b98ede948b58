"""The public data sets, one value each. Columns, names and counts: the releases' own sheets and papers."""

import re

from bowam_model.datasets.description import Description, Layout, Sheet, View
from bowam_model.datasets.sample import Expected, key
from bowam_model.datasets.sheets import Book, Row
from bowam_model.errors import DatasetError, OptionError

NEGATIVE = ("anger", "contempt", "disgust", "fear", "repression", "sadness")
THREE = {**dict.fromkeys(NEGATIVE, "negative"), "happiness": "positive", "surprise": "surprise"}
VALENCES = {word: word for word in ("negative", "positive", "surprise")}
OTHERS = {"others": "others"}


def _words(*words: str) -> dict[str, str]:
    return {word: word for word in words}


def _expected(samples: int, subjects: int | None = None, **labels: int) -> Expected:
    return Expected(samples=samples, subjects=subjects, labels=tuple(sorted(labels.items())))


CASME2 = Description(
    name="casme2",
    title="CASME II",
    fps=200.0,
    subject="sub{:02d}",
    sheets=(
        Sheet(
            # The paper's 247 rows before the 255 of 2019.
            files=("CASME2-coding-20140508.*", "CASME2-coding-20190701.*", "CASME2-coding*.*"),
            columns={
                "subject": ("Subject",),
                "filename": ("Filename",),
                "onset": ("OnsetFrame",),
                "apex": ("ApexFrame",),
                "offset": ("OffsetFrame",),
                "aus": ("Action Units",),
                "emotion": ("Estimated Emotion",),
            },
        ),
    ),
    layouts=(
        Layout(folder="Cropped*/{subject}/{filename}", name="cropped", cropped=True),
        Layout(folder="CASME2*RAW*/{subject}/{filename}", name="raw"),
        Layout(folder="{subject}/{filename}"),
    ),
    views={
        "5": View(labels=_words("disgust", "happiness", "others", "repression", "surprise")),
        "3": View(labels=THREE, expected=Expected(samples=150)),  # not the composite's 145: see megc2019
        "all": View(expected=_expected(247, 26)),
    },
)

SAMM = Description(
    name="samm",
    title="SAMM",
    fps=200.0,
    subject="{:03d}",
    sheets=(
        Sheet(
            files=("SAMM_Micro_FACS_Codes_v2.*", "SAMM*Micro_FACS_Codes*.*"),
            columns={
                "subject": ("Subject",),
                "filename": ("Filename",),
                "onset": ("Onset Frame",),
                "apex": ("Apex Frame",),
                "offset": ("Offset Frame",),
                "aus?": ("Action Units",),
                "emotion": ("Estimated Emotion",),
            },
        ),
    ),
    layouts=(
        Layout(folder="*crop*/{subject}/{filename}", name="cropped", cropped=True),
        Layout(folder="{subject}/{filename}"),
    ),
    views={
        "3": View(labels=THREE, expected=_expected(133, 28, negative=92, positive=26, surprise=15)),
        "all": View(expected=_expected(159, 29)),
    },
)

_SMIC = View(labels=VALENCES, expected=_expected(164, 16, negative=70, positive=51, surprise=43))

SMIC = Description(
    name="smic",
    title="SMIC-HS",
    fps=100.0,
    subject="s{:02d}",
    sheets=(),
    layouts=(
        Layout(folder="*crop*/HS/{subject}/micro/{emotion}/{filename}", name="cropped", cropped=True, bounded=True),
        Layout(folder="HS/{subject}/micro/{emotion}/{filename}", bounded=True),
    ),
    views={"3": _SMIC},
)


def _smic_events(rows: list[Row], book: Book) -> list[Row]:
    """A long clip may hold several expressions: OnsetF, OffsetF, then Onset2F, Offset2F, Onset3F, ..."""
    events = []
    for row in rows:
        events.append(row)
        for nth in ("2", "3", "4"):
            bounds = {field: row.cells.get(f"{field}{nth}", "") for field in ("onset", "offset")}
            if all(bounds.values()):
                filename = row.cells.get("filename", "")
                events.append(Row(row.number, {**row.cells, **bounds, "clip": f"{filename}#{nth}"}))
    return [Row(row.number, {"clip": row.cells.get("filename", ""), **row.cells}) for row in events]


SMIC_E = Description(
    name="smic-e",
    title="SMIC-HS-E",
    fps=100.0,
    subject="s{:02d}",
    clip="{clip}",
    sheets=(
        Sheet(
            files=("SMIC-HS-E_annotation*.*",),
            columns={
                "subject": ("Subject",),
                "filename": ("Filename",),
                "onset": ("OnsetF",),
                "offset": ("OffsetF",),
                "emotion": ("Emotion",),
                **{f"onset{nth}?": (f"Onset{nth}F",) for nth in (2, 3, 4)},
                **{f"offset{nth}?": (f"Offset{nth}F",) for nth in (2, 3, 4)},
            },
        ),
    ),
    layouts=(Layout(folder="HS/{subject}/{filename}"), Layout(folder="{subject}/{filename}")),
    views={"3": _SMIC},
    rows=_smic_events,
)

_CASME3_COLUMNS = {
    "subject": ("Subject",),
    "filename": ("Filename",),
    "onset": ("Onset",),
    "offset": ("Offset",),
}
_CASME3_FRAMES = {**_CASME3_COLUMNS, "apex": ("Apex",), "aus?": ("AU",), "emotion": ("emotion",)}

CASME3 = Description(
    name="casme3",
    title="CAS(ME)^3 part A",
    fps=30.0,
    subject="spNO.{}",
    clip="{filename}_{onset}",
    sheets=(
        Sheet(
            files=("cas(me)3_part_A_ME_label_JpgIndex_v2.*", "cas(me)3_part_A_ME_label*.*"),
            columns=_CASME3_FRAMES,
        ),
    ),
    layouts=(
        Layout(folder="Part_A_ME_clip*/frame/{subject}_{filename}_{onset}", name="clips", bounded=True),
        Layout(folder="frame/{subject}_{filename}_{onset}", name="clips", bounded=True),
        Layout(folder="{subject}/{filename}/color", name="videos"),
    ),
    views={
        "7": View(
            labels=_words("anger", "disgust", "fear", "happiness", "others", "sadness", "surprise"),
            expected=_expected(860, 94),
        ),
        "4": View(
            labels=THREE | OTHERS, expected=_expected(860, 94, negative=457, others=161, positive=55, surprise=187)
        ),
        "3": View(labels=THREE, expected=_expected(699, negative=457, positive=55, surprise=187)),
    },
)

CASME3_LONG = Description(
    name="casme3-long",
    title="CAS(ME)^3 part A, long videos",
    by_kind=True,
    fps=30.0,
    subject="spNO.{}",
    clip="{filename}_{onset}",
    sheets=(
        Sheet(
            files=("CAS(ME)3_part_A_v2.*", "CAS(ME)3_part_A_v*.*"),
            tab="AU+Emotion",
            columns={**_CASME3_FRAMES, "kind": ("Expression type",)},
            kind=None,
        ),
        Sheet(
            files=("CAS(ME)3_part_A_v2.*", "CAS(ME)3_part_A_v*.*"),
            tab="eye blink",
            columns=_CASME3_COLUMNS,
            kind="blink",
        ),
    ),
    layouts=(Layout(folder="{subject}/{filename}/color", name="videos"),),
    views={"all": View(expected=Expected(kinds=(("blink", 841),)))},
)

DFME = Description(
    name="dfme",
    title="DFME",
    fps=None,  # 500, 300 or 200, by part; the sheets do not tell
    subject="sub{:04d}",
    sheets=tuple(
        Sheet(
            files=files,
            optional=optional,
            columns={
                "subject?": ("Subject", "Subject ID", "sub"),
                "filename": ("Filename", "File name", "Video", "Clip"),
                "onset?": ("Onset", "OnsetFrame", "Onset Frame", "Onset Index"),
                "apex?": ("Apex", "ApexFrame", "Apex Frame", "Apex Index"),
                "offset?": ("Offset", "OffsetFrame", "Offset Frame", "Offset Index"),
                "aus?": ("AUs", "AU", "Action Units", "FACS", "label_AU"),
                "emotion": ("Emotion", "Label", "label_emotion", "EmotionId", "Emotion ID"),
                "fps?": ("fps", "Frame rate"),
            },
        )
        for files, optional in (
            (("training_full_with_AU.*", "*train*.xlsx", "*train*.csv", "*train*.xls"), False),
            (("testA_full_with_AU.*", "*testA*.xlsx", "*testA*.csv", "*test_A*.*"), True),
            (("testB_full_with_AU.*", "*testB*.xlsx", "*testB*.csv", "*test_B*.*"), True),
        )
    ),
    layouts=(
        Layout(folder="*/{filename}", name="clips", bounded=True),  # the parts lie side by side
        Layout(folder="{filename}", name="clips", bounded=True),
        Layout(folder="{subject}_{filename}", name="clips", bounded=True),
    ),
    ids=("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"),
    views={
        "7": View(
            labels=_words("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"),
            expected=_expected(7526, 671),
        ),
    },
    rows=lambda rows, _book: [
        Row(row.number, {"subject": row.cells.get("filename", "").split("_")[0], **row.cells}) for row in rows
    ],
)


def _casme_square_folders(rows: list[Row], book: Book) -> list[Row]:
    """The first tab numbers subjects and names videos; tabs two and three say which folders those are.

    Tab 2: folder number, ..., number on tab 1 in the third column. Tab 3: video code, video name. A row `anger1_2` is
    the second expression of the video anger1.
    """
    tabs = list(book.values())
    if len(tabs) < 3:
        raise DatasetError("CAS(ME)^2 needs all three tabs of its sheet: the second and third name the folders")
    people = {line[2]: line[0] for line in tabs[1] if len(line) > 2 and line[2]}
    codes = {key(line[1]): line[0].zfill(4) for line in tabs[2] if len(line) > 1 and line[1]}
    found = []
    for row in rows:
        cells = dict(row.cells)
        number = re.sub(r"\D", "", people.get(cells.get("subject", ""), ""))
        code = codes.get(key(cells.get("filename", "").split("_")[0]), "")
        if number and code:
            cells |= {"subject": number, "number": number, "code": code, "recording": f"{number}_{code}"}
        found.append(Row(row.number, cells))
    return found


CASME_SQUARE = Description(
    name="casme-square",
    title="CAS(ME)^2",
    by_kind=True,
    fps=30.0,
    subject="s{:02d}",
    sheets=(
        Sheet(
            files=("CAS(ME)^2code_final(Updated).*", "CAS(ME)^2code_final*.*", "code_final*.*"),
            columns=("subject", "filename", "onset", "apex", "offset", "aus", "category", "kind", "emotion"),
            kind=None,
        ),
    ),
    layouts=(
        # Not below {subject}: one release keeps 23_0502funnyerrors in s19.
        Layout(folder="*crop*/s*/{number}_{code}*", name="cropped", cropped=True),
        Layout(folder="rawpic*/s*/{number}_{code}*"),
    ),
    spellings={"happyiness": "happiness"},
    views={
        "4": View(
            source="category",
            labels=VALENCES | OTHERS,
            expected=Expected(samples=357, subjects=22, kinds=(("macro", 300), ("micro", 57))),
        ),
        "3": View(source="category", labels=VALENCES),
        "all": View(expected=Expected(samples=357, subjects=22, kinds=(("macro", 300), ("micro", 57)))),
    },
    rows=_casme_square_folders,
)

SAMM_LV = Description(
    name="samm-lv",
    title="SAMM Long Videos",
    by_kind=True,
    fps=200.0,
    subject="{:03d}",
    sheets=(
        Sheet(
            files=("SAMM_LongVideos_V2_Release.*", "SAMM_LongVideos*.*"),
            columns={
                "subject": ("Subject",),
                "filename": ("Filename",),
                "onset": ("Onset", "Onset Frame"),
                "apex": ("Apex", "Apex Frame"),
                "offset": ("Offset", "Offset Frame"),
                "kind": ("Type",),
                "aus?": ("Action Units",),
            },
            kind=None,
        ),
    ),
    layouts=(Layout(folder="SAMM_longvideos*/{recording}"), Layout(folder="{recording}")),
    views={"all": View(expected=Expected(samples=502, subjects=30, kinds=(("macro", 343), ("micro", 159))))},
    # 006_1_2 is the second expression of the video 006_1.
    rows=lambda rows, _book: [
        Row(row.number, {**row.cells, "recording": "_".join(row.cells.get("filename", "").split("_")[:2])})
        for row in rows
    ],
)

MMEW = Description(
    name="mmew",
    title="MMEW",
    fps=90.0,
    subject="S{:02d}",
    sheets=(
        Sheet(
            files=("MMEW_Micro_Exp.*",),
            columns={
                "subject": ("Subject",),
                "filename": ("Filename",),
                "onset": ("OnsetFrame",),
                "apex": ("ApexFrame",),
                "offset": ("OffsetFrame",),
                "aus?": ("Action Units",),
                "emotion": ("Estimated Emotion",),
            },
        ),
    ),
    layouts=(
        Layout(folder="Micro_Expression*/{emotion}/{filename}", bounded=True),
        Layout(folder="{emotion}/{filename}", bounded=True),
    ),
    views={
        "7": View(
            labels=_words("anger", "disgust", "fear", "happiness", "others", "sadness", "surprise"),
            expected=_expected(300),
        ),
        "3": View(labels=THREE),
    },
)

FOUR_DME = Description(
    name="4dme",
    title="4DME",
    fps=60.0,  # as commonly given; not confirmed by the sheet
    sheets=(
        Sheet(
            files=("4DME_Labelling_Micro_release*.*", "4DME_Labelling_Micro*.*"),
            columns={
                "subject": ("sub_ID",),
                "filename": ("fold_name",),
                "emotion": ("Emotion",),
                "onset": ("Onset",),
                "apex": ("Apex",),
                "offset": ("Offset",),
                "aus?": ("AUs", "AU"),
            },
        ),
    ),
    layouts=(
        Layout(folder="gray_micro_crop*/{subject}/{filename}", name="cropped", cropped=True, bounded=True),
        Layout(folder="gray_micro*/{subject}/{filename}", bounded=True),
        Layout(folder="{subject}/{filename}", bounded=True),
    ),
    views={"all": View(expected=_expected(267)), "3": View(labels=THREE | VALENCES)},
)

DESCRIPTIONS = {
    one.name: one
    for one in (CASME2, SAMM, SMIC, SMIC_E, CASME3, CASME3_LONG, DFME, CASME_SQUARE, SAMM_LV, MMEW, FOUR_DME)
}


def describe(name: str) -> Description:
    """The description of that name. Raises OptionError."""
    if name not in DESCRIPTIONS:
        raise OptionError(f"{name!r} is no data set that we know; choose from {', '.join(DESCRIPTIONS)}")
    return DESCRIPTIONS[name]
