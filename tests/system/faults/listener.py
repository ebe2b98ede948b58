"""A subscriber as people write them: keeps events in a file, and after a crash goes on behind the last whole line.

python -m tests.system.faults.listener FILE EVENTS JOURNAL
"""

import sys
from pathlib import Path

import msgspec

from bowam_stream.events import subscribe, to_json


class Place(msgspec.Struct):
    """Where an event stands."""

    camera: str
    seq: int


def whole_lines(path: Path) -> list[bytes]:
    """The lines that end."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()


def main(path: Path, endpoint: str, journal: str) -> None:
    lines, cursor = whole_lines(path), {}
    for line in lines:
        place = msgspec.json.decode(line, type=Place)
        cursor[place.camera] = place.seq
    with path.open("ab") as file:
        file.truncate(sum(len(line) + 1 for line in lines))
        with subscribe(endpoint, journal=journal, since=cursor) as events:
            for event in events:
                file.write(to_json(event, delivery=False) + b"\n")
                file.flush()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    except KeyboardInterrupt:
        sys.exit(0)
