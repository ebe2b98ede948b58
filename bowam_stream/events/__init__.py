"""Events: written down first, then published, and never lost.

    schema.py          how an event is written: canonical JSON, `bowam.event/1`
    accounts.py        where the frames of every session went
    claims.py          a camera belongs to one worker
    journal.py         SQLite: what stands there is never lost and never said twice
    judgements.py      what people say about events
    sensitivity.py     what threshold they ask for
    purge.py           retention: the oldest go, and the journal says how far
    audit.py           proof that a journal keeps its promises
    ledger.py          commit, publish, mark: the order that makes it true
    publisher.py       the event topic (PUB)
    replay_socket.py   the journal socket (ROUTER): what was missed
    wire.py            the messages between both ends
    merge.py           topic and journal made one gapless story, without sockets
    subscriber.py      `subscribe`, for your own program
    asynchronous.py    the same for asyncio
    file.py            a file of events that is its own cursor

A worker uses what comes before wire.py, in this order (an operator purges); a subscriber the rest.
"""

from bowam_stream.events.accounts import SessionAccount
from bowam_stream.events.journal import Journal
from bowam_stream.events.ledger import EventLedger
from bowam_stream.events.publisher import EventPublisher
from bowam_stream.events.replay_socket import ReplaySocket
from bowam_stream.events.schema import from_json, json_schema, to_json
from bowam_stream.events.subscriber import Subscription, subscribe

__all__ = [
    "EventLedger",
    "EventPublisher",
    "Journal",
    "ReplaySocket",
    "SessionAccount",
    "Subscription",
    "from_json",
    "json_schema",
    "subscribe",
    "to_json",
]
