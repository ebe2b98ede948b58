"""The books of a session: both sides of each equation, counted apart."""

from hypothesis import given
from hypothesis import strategies as st

from bowam_stream.events import Journal, SessionAccount
from bowam_stream.events.accounts import ABSENT, PASSED_OVER, UNEXPLAINED
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello, Moment

HELLO = Hello(camera="cam0", session="s", source="clip.mp4")


def frame(seq: int, number: int | None = None) -> AlignedFrame:
    moment = Moment(frame=seq if number is None else number, t_ns=seq)
    return AlignedFrame(camera="cam0", session="s", seq=seq, moment=moment, faces=())


def end(seq: int, frames: int | None = None, **options: object) -> EndOfStream:
    return EndOfStream(camera="cam0", session="s", seq=seq, frames=seq if frames is None else frames, **options)


def test_what_was_published_was_spotted_or_dropped() -> None:
    """Ten frames: seven spotted, three too old; all explained."""
    account = SessionAccount.open(HELLO)
    for seq in range(5):
        account.spot(frame(seq), joined=seq == 0)
    account.skip("receive/age", 3)
    for seq in (8, 9):
        account.spot(frame(seq), joined=False)
    account.close(end(10), joined=False)
    assert (account.captured, account.published, account.received, account.spotted) == (10, 10, 10, 7)
    assert account.dropped == {"receive/age": 3}
    assert account.ended == "end"
    assert account.faults() == []


def test_a_capture_that_dies_while_the_worker_is_behind_leaves_books_that_agree() -> None:
    """Its grabber passed over three frames, then four frames came too late, and then nothing: seen in a soak."""
    account = SessionAccount.open(HELLO)
    account.spot(frame(0, number=3), joined=True)
    account.skip("receive/age", 4)
    assert account.faults() == []
    assert (account.captured, account.published) == (8, 5)


def test_what_is_lost_on_the_wire_was_never_received() -> None:
    """Published is what the sender counted."""
    account = SessionAccount.open(HELLO)
    account.spot(frame(0), joined=True)
    account.skip("receive/lost", 2)
    account.spot(frame(3), joined=False)
    assert (account.published, account.received, account.spotted) == (4, 2, 2)
    assert account.faults() == []


def test_frames_before_a_worker_came_are_absent_and_told_once() -> None:
    """A worker that joins at frame 7, and one that takes over the books of a dead one at frame 12."""
    account = SessionAccount.open(HELLO)
    assert account.spot(frame(7), joined=True) == 7
    assert account.spot(frame(8), joined=False) == 0
    assert account.spot(frame(12), joined=True) == 3
    assert account.dropped == {ABSENT: 10}
    assert (account.published, account.received, account.spotted) == (13, 3, 3)
    assert account.faults() == []


def test_a_hole_that_nobody_told_of_is_a_fault() -> None:
    """The receiver should have said so: this is how a bug shows."""
    account = SessionAccount.open(HELLO)
    account.spot(frame(0), joined=True)
    assert account.spot(frame(2), joined=False) == 0
    assert account.dropped == {UNEXPLAINED: 1}
    assert account.faults() == ["1 frames unexplained"]
    account.spot(frame(1), joined=False)
    assert any("unexplained" in fault for fault in account.faults())


def test_the_capture_closes_its_own_books() -> None:
    """Numbers that are missing between published frames were dropped by the grabber, until its own count comes."""
    account = SessionAccount.open(HELLO)
    account.spot(frame(0, 0), joined=True)
    account.spot(frame(1, 4), joined=False)
    assert account.dropped == {PASSED_OVER: 3}
    assert account.faults() == []
    account.close(end(2, 7, dropped={"grab/queue_full": 4, "grab/stopped": 1}, quality=("interrupted",)), joined=False)
    assert (account.captured, account.published) == (7, 2)
    assert account.dropped == {"grab/queue_full": 4, "grab/stopped": 1}
    assert account.ended == "interrupted"
    assert account.faults() == []


def test_an_end_whose_books_do_not_balance_is_a_fault() -> None:
    """Nine captured, two published, nothing said of the others."""
    account = SessionAccount.open(HELLO)
    account.spot(frame(0), joined=True)
    account.spot(frame(1), joined=False)
    account.close(end(2, 9), joined=False)
    assert account.faults() == ["9 captured, but 2 published and 0 dropped"]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["age", "lost", "capacity"])), max_size=30))
def test_the_journal_keeps_the_books_at_any_moment_and_another_worker_goes_on(steps: list[tuple[int, str]]) -> None:
    """Through the file and back; whatever is skipped where."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        account, seq = SessionAccount.open(HELLO), 0
        for skipped, reason in steps:
            if skipped:
                account.skip(f"receive/{reason}", skipped)
            account.spot(frame(seq + skipped), joined=seq == 0 and not skipped)
            seq += skipped + 1
        journal.write_accounts([account])
        assert journal.accounts(camera="cam0", session="s") == [account]
        (kept,) = journal.accounts()
        kept.spot(frame(seq + 5), joined=True)
        assert kept.faults() == []
        journal.write_accounts([kept])
        assert len(journal.accounts()) == 1
