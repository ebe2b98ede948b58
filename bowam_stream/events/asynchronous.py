"""Events for programs that run in asyncio: `subscriber.py` with `await`.

async with await subscribe_async("tcp://127.0.0.1:5556", since=0) as events:
    async for event in events:
        print(event.camera, event.label)
"""

from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq.asyncio

from bowam_stream import clock
from bowam_stream.events.merge import Since
from bowam_stream.events.subscriber import DEFAULT_ENDPOINT, Story, deadline_ns
from bowam_stream.messages import Event


class AsyncSubscription(Story):
    """A running subscription: `async for` over it, or await `receive` with a timeout.

    It may be cancelled anywhere: what gets lost then is noticed as a gap and fetched from the journal.
    """

    _context_type = zmq.asyncio.Context

    async def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None if none came within `timeout_s`. Raises TransportError where answers make no sense."""
        await self._run(lambda: bool(self._ready), timeout_s)
        return self._ready.popleft() if self._ready else None

    async def _run(self, done: Callable[[], bool], timeout_s: float | None) -> None:
        end_ns = deadline_ns(timeout_s)
        while not done():
            socket, question, wait_ms = self._listen(end_ns)
            if question is not None:
                await socket.send(question)
            if await socket.poll(wait_ms):
                self._hear(socket, await socket.recv_multipart())
            elif clock.monotonic_ns() >= end_ns:
                return

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.receive()
        assert event is not None
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def subscribe_async(
    endpoint: str = DEFAULT_ENDPOINT,
    *,
    journal: str | None = None,
    cameras: Collection[str] | None = None,
    since: Since = None,
    timeout_s: float | None = None,
    keys: str | Path | None = None,
) -> AsyncSubscription:
    """Like `bowam_stream.subscribe`, for `async for`. Raises TransportError and ConfigError in the same cases."""
    subscription = AsyncSubscription(endpoint, journal=journal, cameras=cameras, since=since, keys=keys)
    try:
        await subscription._run(subscription._answered, timeout_s)
        subscription._check_answered(timeout_s)
    except BaseException:
        subscription.close()
        raise
    return subscription
