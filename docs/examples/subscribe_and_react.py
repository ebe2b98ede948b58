"""React to what a running worker finds.

python subscribe_and_react.py tcp://127.0.0.1:5556
"""

import sys

from bowam_stream import Event, subscribe


def react(event: Event) -> None:
    """Something moved (provisional); then what it was (final), or nothing (retracted)."""
    when = f"{event.camera}, {event.apex.t_ns / 1e9:.3f} s"
    if event.phase == "provisional":
        print(f"{when}: something moves ...")
    elif event.phase == "retracted":
        print(f"{when}: no, that was nothing ({event.reason})")
    elif event.kind == "micro":
        print(f"{when}: {event.label}, confidence {event.confidence:.2f}")


def main(endpoint: str, most: int | None = None) -> None:
    """Hear all that the journal holds, then what happens; `most` records, if it is given."""
    heard = 0
    with subscribe(endpoint, since=0, timeout_s=10) as events:
        for event in events:
            react(event)
            heard += 1
            if heard == most:
                print("to go on from here another time: since =", events.cursor)
                return


if __name__ == "__main__":
    main(sys.argv[1])
