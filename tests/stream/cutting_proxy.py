"""A line between subscriber and worker that fails: it cuts, holds back, stops inside a message, makes calls twice."""

import contextlib
import random
import selectors
import socket
import threading
from collections import Counter

CHUNK_BYTES = 4096


class CuttingProxy:
    """Listens on a port of its own and passes bytes on to `target`, from threads, until `close`.

    What becomes of a connection follows from `seed` and its bytes; `done` counts it. `calm` ends all mischief.
    """

    def __init__(self, target: int, seed: int, *, mean_bytes: int = 8_000) -> None:
        self.done: Counter[str] = Counter()
        self.calm = False
        self._target = target
        self._dice = random.Random(seed)
        self._mean_bytes = mean_bytes
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                dice = random.Random(self._dice.random())
                thread = threading.Thread(target=self._carry, args=(client, dice), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, client: socket.socket, dice: random.Random) -> None:
        """One connection, until one side or the dice end it."""
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.enter_context(client)
            if not self.calm and dice.random() < 0.1:
                self.done["refused"] += 1
                return
            server = stack.enter_context(socket.create_connection(("127.0.0.1", self._target), timeout=1))
            ghost = None
            if not self.calm and dice.random() < 0.2:  # the same call a second time; nobody reads its answers
                self.done["doubled"] += 1
                ghost = stack.enter_context(socket.create_connection(("127.0.0.1", self._target), timeout=1))
            selector = stack.enter_context(selectors.DefaultSelector())
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            left = dice.expovariate(1 / self._mean_bytes)
            while not self._ended.is_set():
                for key, _ in selector.select(0.05):
                    source, target = key.fileobj, key.data
                    data = source.recv(CHUNK_BYTES)  # type: ignore[union-attr]
                    if not data:
                        return
                    if ghost is not None and source is client:
                        ghost.sendall(data)
                    left -= len(data)
                    if left < 0 and not self.calm:
                        fate = dice.choice(["cut", "cut inside", "held"])
                        self.done[fate] += 1
                        if fate == "cut":
                            return
                        if fate == "cut inside":
                            target.sendall(data[: len(data) // 2])
                            return
                        self._ended.wait(dice.uniform(0, 0.3))
                        left = dice.expovariate(1 / self._mean_bytes)
                    target.sendall(data)

    def close(self) -> None:
        """End all connections and threads."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()
