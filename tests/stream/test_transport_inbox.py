"""Where live frames wait: what is dropped, when, and how it is counted. No socket, no thread, no clock of its own."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bowam_stream.clock import NS_PER_MS, clock_id
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello, Moment
from bowam_stream.transport import Drops, Message, TransportSettings
from bowam_stream.transport.inbox import MAX_CAMERAS, CameraQueue, Inbox

SETTINGS = TransportSettings(max_age_ms=500, ring_frames=8, takeover_ms=2000)


def hello(session: str = "s", camera: str = "cam0") -> Hello:
    return Hello(camera=camera, session=session, source="test")


def frame(
    seq: int, at_ms: float = 0, session: str = "s", camera: str = "cam0", clock: str | None = None
) -> AlignedFrame:
    """Frame `seq`, published at `at_ms` of this machine's clock unless another is named."""
    return AlignedFrame(
        camera=camera,
        session=session,
        seq=seq,
        moment=Moment(frame=seq, t_ns=0),
        faces=(),
        published_ns=int(at_ms * NS_PER_MS),
        clock=clock_id() if clock is None else clock,
    )


def end(seq: int, session: str = "s", camera: str = "cam0") -> EndOfStream:
    return EndOfStream(camera=camera, session=session, seq=seq, frames=seq)


class Bench:
    """A queue, its drops, and a clock in milliseconds."""

    def __init__(self, settings: TransportSettings = SETTINGS) -> None:
        self.drops = Drops()
        self.queue = CameraQueue("cam0", settings, self.drops, clock_id())

    def push(self, at_ms: float, *messages: Message) -> None:
        for message in messages:
            self.queue.push(message, int(at_ms * NS_PER_MS))

    def pop_all(self, at_ms: float) -> list[Message]:
        return [item.message for item in iter(lambda: self.queue.pop(int(at_ms * NS_PER_MS)), None)]

    def dropped(self, reason: str) -> int:
        return self.drops.frames["cam0", "receive", reason]


def seqs(messages: Sequence[Message]) -> list[int]:
    return [message.seq for message in messages if isinstance(message, AlignedFrame)]


def test_what_is_taken_in_time_comes_out_in_order_with_the_hello_first():
    """The plain case loses nothing and counts nothing."""
    bench = Bench()
    bench.push(0, hello(), frame(0), frame(1), end(2))
    messages = bench.pop_all(10)
    assert [type(message) for message in messages] == [Hello, AlignedFrame, AlignedFrame, EndOfStream]
    assert not bench.drops.frames


def test_a_repeated_hello_is_swallowed():
    """The sender repeats it for those who join; the others must not start afresh."""
    bench = Bench()
    bench.push(0, hello(), frame(0), hello(), frame(1))
    assert [type(message) for message in bench.pop_all(0)] == [Hello, AlignedFrame, AlignedFrame]


def test_when_the_oldest_is_too_old_all_that_wait_are_dropped_at_once():
    """One gap and then fresh, contiguous frames; every lost frame is counted once."""
    bench = Bench()
    bench.push(0, hello())
    assert len(bench.pop_all(0)) == 1
    bench.push(0, frame(0, at_ms=0))
    bench.push(400, frame(1, at_ms=400))
    bench.push(501, frame(2, at_ms=501))
    assert seqs(bench.pop_all(501)) == [2]
    assert bench.dropped("age") == 2
    assert bench.drops.gaps["cam0"] == 0


def test_age_is_also_judged_when_a_frame_is_taken():
    """A worker that was away for a second gets nothing stale, even if the camera stopped meanwhile."""
    bench = Bench()
    bench.push(0, hello(), frame(0, at_ms=0), end(1))
    messages = bench.pop_all(1000)
    assert [type(message) for message in messages] == [Hello, EndOfStream]
    assert bench.dropped("age") == 1


def test_when_too_many_wait_the_window_is_dropped_and_the_newest_stays():
    """Contiguous frames after one gap, rather than every second frame."""
    bench = Bench()
    bench.push(0, hello())
    bench.pop_all(0)
    bench.push(0, *(frame(i) for i in range(20)))
    assert seqs(bench.pop_all(0)) == [16, 17, 18, 19]
    assert bench.dropped("capacity") == 16


def test_a_worker_at_half_speed_sees_runs_of_neighbouring_frames():
    """At 30 fps with 66 ms per frame: the age stays bounded, and gaps are few."""
    bench = Bench(TransportSettings(max_age_ms=500, ring_frames=128))
    bench.push(0, hello())
    bench.pop_all(0)
    taken: list[int] = []
    ages: list[float] = []
    for i in range(600):
        at_ms = i * 100 / 3
        bench.push(at_ms, frame(i, at_ms=at_ms))
        if i % 2:
            item = bench.queue.pop(int(at_ms * NS_PER_MS))
            message = item and item.message
            if isinstance(message, AlignedFrame):
                taken.append(message.seq)
                ages.append(at_ms - message.published_ns / NS_PER_MS)
    gaps = sum(b - a > 1 for a, b in pairwise(taken))
    assert max(ages) < 500.001
    assert len(taken) + bench.dropped("age") + len(bench.queue) == 600
    assert len(taken) / (gaps + 1) >= 12  # a run of at least 400 ms: a micro-expression fits


def test_the_age_of_a_frame_of_another_clock_counts_from_its_arrival():
    """Times of another machine mean nothing here: neither a future nor a past one may drop a fresh frame."""
    bench = Bench()
    bench.push(10_000, hello(), frame(0, at_ms=0, clock="elsewhere"), frame(1, at_ms=10**9, clock="elsewhere"))
    assert seqs(bench.pop_all(10_400)) == [0, 1]
    bench.push(11_000, frame(2, clock="elsewhere"))
    assert seqs(bench.pop_all(11_501)) == []
    assert bench.dropped("age") == 1


def test_a_frame_that_claims_to_be_of_the_future_ages_from_its_arrival():
    """A stranger can't keep a frame young for ever."""
    bench = Bench()
    bench.push(0, hello(), frame(0, at_ms=10**9))
    assert seqs(bench.pop_all(501)) == []


def test_a_jump_of_the_sequence_is_one_gap_and_as_many_losses_as_frames():
    """Also where the last frames before the end are missing."""
    bench = Bench()
    bench.push(0, hello(), frame(0), frame(4), frame(5), end(9))
    assert bench.drops.gaps["cam0"] == 2
    assert bench.dropped("lost") == 3 + 3


def test_who_joins_late_has_lost_nothing():
    """The first frame that a worker sees may have any number."""
    bench = Bench()
    bench.push(0, frame(998), frame(999), hello(), frame(1000))
    assert seqs(bench.pop_all(0)) == [1000]
    assert bench.dropped("no_hello") == 2
    assert bench.dropped("lost") == 0


def test_a_second_capture_of_a_camera_is_refused_until_the_first_is_silent():
    """Two captures with one name would otherwise tear the stream apart."""
    bench = Bench()
    bench.push(0, hello("first"), frame(0, session="first"))
    bench.push(1000, hello("second"), frame(0, session="second"), frame(1, 1000, session="first"))
    assert {message.session for message in bench.pop_all(0)} == {"first"}
    assert bench.dropped("refused") == 1
    bench.push(3500, hello("second"), frame(1, 3500, session="second"))
    assert [message.session for message in bench.pop_all(3500)] == ["second", "second"]


def test_a_new_session_follows_the_end_of_the_old_one_at_once():
    """A camera that reconnects does not wait."""
    bench = Bench()
    bench.push(0, hello("a"), frame(0, session="a"), end(1, "a"), hello("b"), frame(0, session="b"))
    assert [message.session for message in bench.pop_all(0)] == ["a", "a", "a", "b", "b"]
    assert not bench.drops.frames


def test_a_sequence_that_goes_back_is_a_new_beginning_and_gets_a_hello():
    """A recording that is played again live has the same session."""
    bench = Bench()
    bench.push(0, hello(), frame(0), frame(1), frame(0), frame(1))
    kinds = [type(message) for message in bench.pop_all(0)]
    assert kinds == [Hello, AlignedFrame, AlignedFrame, Hello, AlignedFrame, AlignedFrame]
    assert bench.dropped("lost") == 0


actions = st.lists(
    st.tuples(
        st.sampled_from(["hello", "frame", "end", "pop"]),
        st.sampled_from("ab"),
        st.integers(0, 40),
        st.integers(0, 400),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(actions)
def test_whatever_comes_the_queue_is_bounded_and_the_books_balance(actions):
    """received = taken + dropped + waiting, for any mixture of sessions, jumps and pauses."""
    bench, at_ms, received, taken = Bench(), 0, 0, 0
    open_sessions: list[str] = []
    books: dict[str, int | None] = {}  # session -> the number that must come next
    told: Counter[str] = Counter()
    for kind, session, seq, wait_ms in actions:
        at_ms += wait_ms
        match kind:
            case "hello":
                bench.push(at_ms, hello(session))
            case "frame":
                bench.push(at_ms, frame(seq, at_ms, session))
                received += 1
            case "end":
                bench.push(at_ms, end(seq, session))
            case "pop":
                item = bench.queue.pop(at_ms * NS_PER_MS)
                if item is None:
                    continue
                message, skipped = item.message, item.skipped or {}
                if isinstance(message, Hello):
                    open_sessions = [message.session]
                    books[message.session] = None
                for (of, _), count in skipped.items():
                    told[of] += count
                    if books.get(of) is not None:
                        books[of] += count
                if isinstance(message, AlignedFrame):
                    taken += 1
                    assert open_sessions == [message.session]  # a hello of its session came before
                    expected = books[message.session]
                    assert expected in (None, message.seq)  # every number before it was taken or told as skipped
                    books[message.session] = message.seq + 1
        assert len(bench.queue._waiting) <= SETTINGS.ring_frames
    dropped = sum(count for (_, _, reason), count in bench.drops.frames.items() if reason != "lost")
    assert received == taken + dropped + len(bench.queue)


def test_cameras_take_turns():
    """A fast camera does not starve a slow one."""
    inbox = Inbox(SETTINGS, Drops(), now_ns=lambda: 0)
    for camera in ("fast", "slow"):
        inbox.push(hello(camera=camera))
    for i in range(4):
        inbox.push(frame(i, camera="fast"))
    inbox.push(frame(0, camera="slow"))
    cameras = [message.camera for message in iter(lambda: inbox.take(0), None)]
    assert cameras == ["fast", "slow", "fast", "slow", "fast", "fast", "fast"]
    assert inbox.waiting("fast") == inbox.waiting("unknown") == 0


def test_strangers_cannot_make_cameras_without_end():
    """The number of cameras is bounded, and what is refused is counted without their names."""
    drops = Drops()
    inbox = Inbox(SETTINGS, drops, now_ns=lambda: 0)
    for i in range(MAX_CAMERAS + 10):
        inbox.push(hello(camera=f"cam{i}"))
        inbox.push(frame(0, camera=f"cam{i}"))
    assert drops.frames == {("", "receive", "refused"): 10}


@pytest.mark.parametrize("seconds", [0, 0.01])
def test_nothing_yet_is_none(seconds):
    """Absence is a value."""
    assert Inbox(SETTINGS, Drops()).take(seconds) is None
