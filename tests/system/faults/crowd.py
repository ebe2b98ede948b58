"""Many subscribers in one process, all from the first event on: prints how many heard everything.

python -m tests.system.faults.crowd COUNT SECONDS EVENTS JOURNAL
"""

import json
import sys
import time

from bowam_stream.events import Subscription


def main(count: int, seconds: float, endpoint: str, journal: str) -> None:
    crowd = [Subscription(endpoint, journal=journal, since=0) for _ in range(count)]
    seqs: list[dict[str, list[int]]] = [{} for _ in crowd]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one, heard in zip(crowd, seqs, strict=True):
            while (event := one.receive(0.001)) is not None:
                heard.setdefault(event.camera, []).append(event.seq)
    whole = sum(all(numbers == list(range(1, len(numbers) + 1)) for numbers in heard.values()) for heard in seqs)
    fewest = {camera: min(len(heard.get(camera, ())) for heard in seqs) for camera in max(seqs, key=len)}
    print(json.dumps({"whole": whole, "fewest": fewest}))
    for one in crowd:
        one.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4])
