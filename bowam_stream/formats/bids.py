"""BIDS: `..._events.tsv` and the sidecar that explains its columns, of the Brain Imaging Data Structure.

onset and duration are seconds to three decimals from the start of the recording; lines are in order of onset.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bowam_stream import __version__
from bowam_stream.errors import ConfigError
from bowam_stream.formats.cells import JUDGEMENT, consent, number, seconds, word, write
from bowam_stream.formats.rows import KINDS, Row
from bowam_stream.report.words import KINDS as KIND_WORDS
from bowam_stream.report.words import QUALITY, REASONS, plain

SUFFIX = "_events.tsv"
SIDECAR = "_events.json"
MISSING = "n/a"
_LABEL = "[0-9a-zA-Z+]+"
PREFIX = re.compile(rf"sub-{_LABEL}(_ses-{_LABEL})?_task-{_LABEL}(_acq-{_LABEL})?(_run-[0-9]+)?")

COLUMNS: dict[str, Callable[[Row], str]] = {
    "onset": lambda row: seconds(row.onset_ms),
    "duration": lambda row: seconds(row.duration_ms),
    "trial_type": lambda row: row.kind,
    "apex": lambda row: seconds(row.apex_ms),
    "label": lambda row: word(row.event.label),
    "confidence": lambda row: number(row.event.confidence),
    "reason": lambda row: word(row.event.reason),
    "face": lambda row: number(row.event.face),
    "spotting_score": lambda row: number(row.event.spotting_score),
    "quality": lambda row: word(" ".join(row.event.quality)),
    "consent": consent,
    **JUDGEMENT,
    "camera": lambda row: word(row.event.camera),
    "event_id": lambda row: word(row.event.event_id),
}

DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "onset": {"Description": "First frame of the movement, from the start of the recording.", "Units": "s"},
    "duration": {"Description": "Onset to offset; n/a where no offset was seen.", "Units": "s"},
    "trial_type": {
        "Description": "What kind of facial movement it was.",
        "Levels": {kind: KIND_WORDS.get(kind, "a candidate that was withdrawn") for kind in KINDS},
    },
    "apex": {"Description": "Frame of the strongest motion, from the start of the recording.", "Units": "s"},
    "label": {"Description": "Class of a micro-expression, as the network named it."},
    "confidence": {"Description": "Probability of the label, 0 to 1."},
    "reason": {"Description": "Why a candidate was withdrawn.", "Levels": REASONS},
    "face": {"Description": "Track of the person within the recording, from 0."},
    "spotting_score": {"Description": "Peak motion in units of the noise of this face."},
    "quality": {"Description": "What is doubtful, words separated by spaces: " + "; ".join(QUALITY)},
    "consent": {"Description": "Whether the people in view agreed, as the operator stated; n/a: nothing stated."},
    "verdict": {
        "Description": "What a person said: was there such a movement?",
        "Levels": {"true": "there was", "false": "there was none", "unsure": "the person could not tell"},
    },
    "judged_label": {"Description": "What the person would call it, where they said so."},
    "note": {"Description": "What the person remarked."},
    "judged_by": {"Description": "Who judged, if they said so."},
    "judged_utc": {"Description": "When they did, UTC."},
    "camera": {"Description": "Name of the camera."},
    "event_id": {"Description": "Name of the event in the journal and in other exports."},
}


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it begins a BIDS file name. Raises ConfigError."""
    if not PREFIX.fullmatch(prefix):
        raise ConfigError(
            f"{prefix!r} begins no BIDS file: sub-LABEL[_ses-LABEL]_task-LABEL[_acq-LABEL][_run-INDEX], labels of "
            "letters and digits, such as sub-01_task-interview"
        )
    return prefix


def render(rows: Sequence[Row]) -> dict[str, bytes]:
    """Both files of one session."""
    lines = [[cell(row) or MISSING for cell in COLUMNS.values()] for row in rows]
    about = {name: {"LongName": plain(name, {}), **told} for name, told in DESCRIPTIONS.items()}
    sidecar = {**about, "GeneratedBy": {"Name": "BOWAM stream", "Version": __version__}}
    return {
        SUFFIX: write(list(COLUMNS), lines, delimiter="\t"),
        SIDECAR: msgspec.json.format(msgspec.json.encode(sidecar)) + b"\n",
    }
