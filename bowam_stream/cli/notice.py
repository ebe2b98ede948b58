"""What is said before a camera is watched: to whoever starts it, also where nobody looks at a terminal."""

import logging
import os

from bowam_stream.cli.terminal import err

log = logging.getLogger(__name__)

NOTICE = (
    "People in view must know that their faces are analysed. Inferring emotions at work or in education is banned in "
    "the EU (AI Act, Art. 5(1)(f)). No picture is stored: frames stay in memory, for seconds."
)
PREVIEW = (
    "Whoever opens the page sees the faces, and the three frames of each event; these stay in memory, for the last 200."
)
CONSENT = {
    True: "Every event states that the people in view agreed (consent: true).",
    False: "Every event states that the people in view did not agree, or were not asked (consent: false).",
    None: "Whether the people in view agreed is not stated (--consent or --no-consent does).",
}


def notice(consent: bool | None, *, preview: bool = False) -> str:
    """The notice, what the events will state, and who sees faces."""
    return " ".join([NOTICE, *([PREVIEW] if preview else []), CONSENT[consent]])


def give_notice(consent: bool | None, *, preview: bool = False) -> None:
    """Say it on standard error; as a record of the log where that is meant for machines."""
    if os.environ.get("BOWAM_LOG_FORMAT") == "json":
        log.warning("%s", notice(consent, preview=preview))
    else:
        err().print(notice(consent, preview=preview), markup=False)
