"""The short words that travel in events, in plain language. A word that is not listed here is shown as it is."""

QUALITY = {
    "low_frame_rate": "Fewer than 60 frames per second: short movements may be missed, times are coarse.",
    "truncated": "The file is cut off or damaged; it was read as far as it goes.",
    "damaged": "Some pictures could not be decoded cleanly.",
    "no_timestamps": "The file holds no time stamps; times follow from its nominal frame rate.",
    "bad_timestamp": "Some time stamps were not in order and had to be mended.",
    "interrupted": "The run was stopped before the end.",
    "gap": "Frames are missing in or next to the movement.",
    "warming_up": "Too little was known of this face at rest; its noise was assumed, not measured.",
    "speech": "The person was speaking.",
}

REASONS = {
    "none": "The network saw no micro-expression in it.",
    "too_short": "Shorter than any micro-expression: noise.",
    "too_weak": "Seen whole, it does not stand out from this face's noise.",
    "nod": "The whole head moved.",
    "head_motion": "The whole head moved.",
    "gap": "Frames were missing.",
    "face_lost": "The face left the picture.",
    "interrupted": "The program was interrupted.",
    "end_of_stream": "The recording ended before the movement did.",
    "flicker": "The light changed, not the face.",
    "low_frame_rate": "The frame rate is too low to tell a micro-expression.",
}

STATES = {"rest": "at rest", "open": "movement", "told": "event open"}

KINDS = {"micro": "micro-expression", "macro": "macro-expression", "blink": "blink"}


def plain(word: str, book: dict[str, str]) -> str:
    """The plain words for `word`."""
    return book.get(word, word.replace("_", " "))
