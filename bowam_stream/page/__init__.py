"""The page: what a browser shows of a running worker, of a journal, or of a replay that was kept.

A process of its own that only listens: it reads views from the event socket and events from the journal, so
nobody waits for a browser that is slow, or for a page that died. What a person says goes into the journal.

    ring.py       ten minutes of one camera's signal            entries.py   all events of a journal, in brief
    cameras.py    how each camera is doing now                  cards.py     one event in words
    kept.py       the record of a replay, by time               health.py    what is wrong, in plain words
    listener.py   the thread that hears worker and journal      clerk.py     the thread that reads and writes on request
    room.py       everything that is known, and who looks       desk.py      one browser: what it was sent, what it asks
    layout.py     the elements of the page                      parts.py     those of our own, with assets/
    guard.py      who may look                                  serving.py   the process
"""
