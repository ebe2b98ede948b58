"""React to what a running worker finds: start `bowam live` or `bowam worker`, then this.

python subscribe_and_react.py tcp://127.0.0.1:5556
"""

import sys

from bowam_stream import Event, subscribe


def react(event: Event) -> None:
    """Provisional: something moved. Final: what it was. Retracted: it was nothing after all."""
    when_s = event.apex.t_ns / 1e9
    if event.phase == "provisional":
        print(f"{event.camera}: something moves at {when_s:.3f} s ...")
    elif event.phase == "retracted":
        print(f"{event.camera}: no, that was nothing ({event.reason})")
    elif event.kind == "micro":
        print(f"{event.camera}: {event.label} at {when_s:.3f} s, confidence {event.confidence:.2f}")


def main(endpoint: str, most: int | None = None) -> None:
    """Hear everything that the journal holds, then whatever happens; `most` ends it after so many records."""
    heard = 0
    with subscribe(endpoint, since=0, timeout_s=10) as events:
        for event in events:
            react(event)
            heard += 1
            if heard == most:
                print("to go on from here another time: since =", events.cursor)
                return


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["tcp://127.0.0.1:5556"])
