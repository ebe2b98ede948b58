"""Many subscribers in one process, all from the first event on: prints how many heard everything.

python -m tests.system.faults.crowd COUNT SECONDS EVENTS JOURNAL HEADS

HEADS is {camera: seq}: they leave as soon as all have come so far, at the latest after SECONDS.
"""

import json
import sys
import time

from bowam_stream.events import Subscription


def main(count: int, seconds: float, endpoint: str, journal: str, heads: dict[str, int]) -> None:
    crowd = [Subscription(endpoint, journal=journal, since=0) for _ in range(count)]
    seqs: list[dict[str, list[int]]] = [{} for _ in crowd]
    end = time.monotonic() + seconds

    def behind(heard: dict[str, list[int]]) -> bool:
        return any(len(heard.get(camera, ())) < seq for camera, seq in heads.items())

    while time.monotonic() < end and any(map(behind, seqs)):
        for one, heard in zip(crowd, seqs, strict=True):
            while (event := one.receive(0.001)) is not None:
                heard.setdefault(event.camera, []).append(event.seq)
    whole = sum(all(numbers == list(range(1, len(numbers) + 1)) for numbers in heard.values()) for heard in seqs)
    print(json.dumps({"whole": whole, "behind": sum(map(behind, seqs))}))
    for one in crowd:
        one.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4], json.loads(sys.argv[5]))
