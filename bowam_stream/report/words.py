"""The short words that travel in events, in plain language. A word that is not listed here is shown as it is."""

QUALITY = {
    "low_frame_rate": "Fewer than 60 frames per second: short movements may be missed, times are coarse.",
    "truncated": "The file is cut off or damaged; it was read as far as it goes.",
    "damaged": "Some pictures could not be decoded cleanly.",
    "no_timestamps": "The file holds no time stamps; times follow from its nominal frame rate.",
    "bad_timestamp": "Some time stamps were not in order and had to be mended.",
    "interrupted": "The run was stopped before the end.",
    "frozen": "The camera sent the same picture again and again.",
    "gap": "Frames are missing in or next to the movement.",
    "warming_up": "Too little was known of this face at rest; its noise was assumed, not measured.",
    "speech": "The person was speaking.",
}

REASONS = {
    "none": "The network saw no micro-expression in it.",
    "blink": "No more than a blink moves around the eyes.",
    "nod": "No more than what the moving head leaves behind.",
    "flicker": "No more than a change of light feigns.",
    "speech": "The mouth was speaking.",
    "restless": "The face was not at rest before it.",
    "too_short": "Shorter than any micro-expression: noise.",
    "too_weak": "Seen whole, it does not stand out from this face's noise.",
    "too_strong": "Stronger than any micro-expression.",
    "tail": "It was the end of the movement before.",
    "way_back": "It was the way back of a slow movement.",
    "frame_rate": "The frame rate is too low to tell a micro-expression.",
    "gap": "Frames were missing.",
    "face_lost": "The face left the picture.",
    "interrupted": "The program was interrupted.",
    "end_of_stream": "The recording ended before the movement did.",
}

STATES = {"rest": "at rest", "open": "movement", "told": "event open", "slow": "slow movement"}

KINDS = {"micro": "micro-expression", "macro": "macro-expression", "blink": "blink"}


def plain(word: str, book: dict[str, str]) -> str:
    """The plain words for `word`."""
    return book.get(word, word.replace("_", " "))
