"""The page in a real browser: what moves, what comes, what a person says of it, and who may look."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bowam_stream.events import Journal
from bowam_stream.events.judgements import Judgement, judge, judgements
from tests.system.browser import Browser, open_browser
from tests.system.processes import BOWAM, children, free_port, memory_mb, wait_for
from tests.system.test_live import Place

pytestmark = pytest.mark.system

PICTURE_SHOWN = "const i = document.querySelector('.pictures img'); return i && i.naturalWidth === 240"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from open_browser()


class Live:
    """A worker with its page, on a clip that goes on."""

    def __init__(self, folder: Path, clip: Path) -> None:
        self.place = Place(folder)
        self.place.play(1000)
        self.journal = folder / "journal.sqlite"
        self.origin = f"127.0.0.1:{self.place.page}"
        command = [*BOWAM, "live", "--preview", "--source", str(clip), "--config", str(self.place.file)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)

    def said(self) -> list[Judgement]:
        """What stands in the journal."""
        with Journal.open_readonly(self.journal) as journal:
            return judgements(journal)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, clip: Path, browser: Browser) -> Iterator[Live]:
    run = Live(tmp_path_factory.mktemp("live"), clip)
    try:
        wait_for(lambda: run.place.get(run.place.page, "/")[0] == 200, 30)
        browser.driver.get(f"http://{run.origin}/")
        yield run
    finally:
        run.process.send_signal(signal.SIGINT)
        try:
            _, errors = run.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            run.process.kill()
            raise
    assert run.process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    assert not (run.journal.parent / ".nicegui").exists()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    folder = tmp_path_factory.mktemp("replay") / "kept"
    command = [*BOWAM, "replay", str(clip), "--keep", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert f"bowam page {folder}" in run.stdout.replace("\n", "")
    return folder


@pytest.fixture
def page() -> Iterator["Pages"]:
    pages = Pages()
    yield pages
    pages.close()


class Pages:
    """`bowam page` on something that lies there."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def open(self, *arguments: object) -> tuple[int, "subprocess.Popen[str]"]:
        port = free_port()
        command = [*BOWAM, "page", "--port", str(port), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._started.append(process)
        return port, process

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            assert "Traceback" not in errors, errors


def answers(port: int, path: str = "/", **headers: str) -> int:
    """The status of an answer; 0 where nobody listens."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_signal_moves_and_an_event_turns_from_provisional_into_final(live: Live, browser: Browser) -> None:
    """What a person sees while a camera is watched; nothing is fetched from elsewhere, nothing complains."""
    browser.run(
        "window.phases = {}; new MutationObserver(() => document.querySelectorAll('[data-event]').forEach((card) => {"
        "const seen = window.phases[card.dataset.event] ||= []; const phase = card.dataset.phase;"
        "if (seen[seen.length - 1] !== phase) seen.push(phase); }))"
        ".observe(document.body, {subtree: true, childList: true, attributes: true})"
    )
    wait_for(lambda: "motion" in browser.text(".signal .legend") and "–" not in browser.text(".signal .key.line"))
    shot = "return document.querySelector('.signal canvas').toDataURL()"
    first = browser.run(shot)
    wait_for(lambda: browser.run(shot) != first)
    wait_for(lambda: ["provisional", "final"] in browser.run("return Object.values(window.phases)"))
    wait_for(lambda: browser.run(PICTURE_SHOWN))
    assert wait_for(lambda: browser.text(".link") == "live")
    assert browser.text(".vital .value").startswith(("9", "1"))
    assert browser.hosts() == {live.origin}
    assert browser.complaints() == []


def test_a_person_judges_by_mouse_and_by_keyboard(live: Live, browser: Browser) -> None:
    """The view is paused, so that it stands still; what was said stands on the card and in the journal."""
    wait_for(lambda: len(browser.all("[data-phase=final]")) >= 4)
    browser.press(" ")
    wait_for(lambda: browser.text(".link") == "paused")
    card = browser.all("[data-event]")[0]
    event_id = card.get_attribute("data-event")
    card.find_element("css selector", "[data-verdict=false]").click()
    wait_for(lambda: [(one.event_id, one.verdict) for one in live.said()] == [(event_id, "false")])
    wait_for(lambda: "Judged false" in browser.text(f"#event-{event_id} .judged"))
    browser.press("j")
    focused = "return document.activeElement.dataset.event"
    wait_for(lambda: browser.run(focused) not in (None, event_id))
    second = browser.run(focused)
    browser.press("l")
    browser.press("<b>tense</b>")
    browser.press("\ue00c")  # Escape
    browser.press("n")
    browser.press("the corner of the mouth, t f u")
    browser.press("\ue00c")
    browser.press("u")
    wait_for(lambda: len(live.said()) == 2)
    said = live.said()[-1]
    assert (said.event_id, said.verdict, said.label) == (second, "unsure", "<b>tense</b>")
    assert said.note == "the corner of the mouth, t f u"
    wait_for(lambda: "label <b>tense</b>: the corner" in browser.text(f"#event-{second} .judged"))


def test_a_judgement_made_elsewhere_appears(live: Live, browser: Browser) -> None:
    """Two people may judge one journal."""
    event_id = browser.all("[data-event]")[2].get_attribute("data-event")
    with Journal(live.journal) as journal:
        judge(journal, Judgement(event_id=event_id or "", verdict="true", by="somebody else"))
    wait_for(lambda: "somebody else" in browser.text(f"#event-{event_id} .judged"))


def test_a_label_without_a_verdict_is_asked_back_and_nothing_typed_is_lost(live: Live, browser: Browser) -> None:
    """No judgement is kept that nobody made."""
    before = len(live.said())
    card = browser.all("[data-event]:not(:has(.judged))")[0]
    event_id = card.get_attribute("data-event")
    card.click()
    browser.press("l")
    browser.press("surprise\ue007")
    wait_for(lambda: "Say true, false or unsure" in browser.text(f"#event-{event_id} .trouble"))
    assert browser.run("return document.querySelector(arguments[0]).value", f"#event-{event_id} .label") == "surprise"
    assert len(live.said()) == before


def test_paused_it_scrubs_the_last_minutes_and_counts_what_is_new(live: Live, browser: Browser) -> None:
    """The camera goes on meanwhile."""
    wait_for(lambda: browser.all("button.new"))
    scrub(browser, 0.3)
    wait_for(lambda: "frame" in browser.text(".timeline .legend"))
    browser.run("document.querySelector('button.new').click()")
    wait_for(lambda: browser.text(".link") == "live")


def test_a_narrow_page_has_nothing_beside_it(live: Live, browser: Browser) -> None:
    """390 px, as on a telephone."""
    browser.size(390, 800)
    wait_for(lambda: browser.run("return innerWidth") == 390)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    browser.size(1280, 900)


def test_a_browser_that_is_stopped_costs_the_worker_nothing(live: Live, browser: Browser) -> None:
    """Nothing piles up for it; afterwards it goes on where the camera is."""
    verbs = children(live.process.pid)
    place = live.place
    driver = browser.driver.service.process.pid  # type: ignore[attr-defined]
    stopped = descendants(driver)
    before_mb = memory_mb(verbs["page"])
    received = place.metric(place.worker, "bowam_frames_received_total")
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    try:
        wait_for(lambda: place.metric(place.worker, "bowam_frames_received_total") > received + 500)
        assert memory_mb(verbs["page"]) < before_mb + 20
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    wait_for(lambda: browser.text(".link") == "live")


def test_the_page_comes_back_and_goes_on_where_the_worker_was_killed(live: Live, browser: Browser) -> None:
    """Neither takes the other along."""
    os.kill(children(live.process.pid)["worker"], signal.SIGKILL)
    count = len(browser.all("[data-event]"))
    wait_for(lambda: children(live.process.pid).get("worker"))
    os.kill(children(live.process.pid)["page"], signal.SIGKILL)
    wait_for(lambda: place_answers(live), 30)
    wait_for(lambda: browser.text(".link") == "live" and len(browser.all("[data-event]")) >= min(count, 1), 30)
    browser.complaints()


def place_answers(live: Live) -> bool:
    """Whether the page is there."""
    return live.place.get(live.place.page, "/")[0] == 200


def descendants(pid: int) -> list[int]:
    """All processes that `pid` started, and those that they did, itself left out."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == pid:
                found += [int(folder.name), *descendants(int(folder.name))]
    return found


def scrub(browser: Browser, share: float) -> None:
    """Move the slider as a hand would."""
    browser.run(
        "const s = document.querySelector('.timeline input'); s.value = s.max * arguments[0];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))",
        share,
    )


def test_a_kept_replay_is_scrubbed_frame_by_frame(page: Pages, kept: Path, browser: Browser) -> None:
    """Signal, outlines and the nearest event follow the slider, also by arrow key."""
    port, _ = page.open(kept)
    wait_for(lambda: answers(port) == 200)
    browser.driver.get(f"http://127.0.0.1:{port}/")
    wait_for(lambda: " frame " in browser.text(".timeline .legend b"))  # it begins at an event
    first = browser.text(".timeline .legend b")
    scrub(browser, 0.5)
    wait_for(lambda: browser.text(".timeline .legend b") != first)
    wait_for(lambda: len(browser.all(".face polyline")) == 7)
    frame = int(browser.text(".timeline .legend b").rpartition(" ")[2])
    browser.run("document.querySelector('.timeline input').focus()")
    browser.press("\ue014")  # right
    wait_for(lambda: browser.text(".timeline .legend b").endswith(f"frame {frame + 1}"))
    wait_for(lambda: browser.run(PICTURE_SHOWN))
    nearest = browser.text(".card.current time")
    assert nearest.startswith("0:0")
    assert browser.complaints() == []


def test_an_old_journal_opens_without_a_worker_and_shows_what_was_withdrawn(
    page: Pages, kept: Path, browser: Browser, tmp_path: Path
) -> None:
    """The reason is said in plain words."""
    journal = tmp_path / "old.sqlite"
    journal.write_bytes((kept / "journal.sqlite").read_bytes())
    with Journal(journal) as writer:
        event = next(event for event in writer.since({}) if event.phase == "provisional")
        changed = {name: getattr(event, name) for name in event.__struct_fields__}
        changed |= {"event_id": "withdrawn", "phase": "retracted", "reason": "blink", "kind": None, "label": None}
        writer.append(type(event)(**changed))
    port, _ = page.open(journal)
    wait_for(lambda: answers(port) == 200)
    browser.driver.get(f"http://127.0.0.1:{port}/")
    wait_for(lambda: "No more than a blink" in browser.text("#event-withdrawn .note"))
    assert browser.all("#event-withdrawn.retracted")


def test_strangers_are_turned_away(page: Pages, kept: Path, tmp_path: Path) -> None:
    """Another name, another origin, no token: no. With the token in the address: yes, and a cookie remembers it."""
    token = tmp_path / "token"
    token.write_text("a-word-of-sixteen-letters\n")
    settings = tmp_path / "bowam.toml"
    settings.write_text(f"[page]\ntoken = '{token}'\n")
    port, _ = page.open(kept, "--config", settings)
    wait_for(lambda: answers(port))
    assert answers(port) == 401
    assert answers(port, "/?token=a-wrong-word") == 401
    assert answers(port, "/pictures/x/flow") == 401
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(f"http://127.0.0.1:{port}/?token=a-word-of-sixteen-letters", timeout=5) as answer:
        assert answer.status == 200
        assert "token" not in answer.url
    other, _ = page.open(kept)
    wait_for(lambda: answers(other) == 200)
    assert answers(other, Host="evil.example") == 421
    assert answers(other, Origin="http://evil.example") == 403
    assert answers(other, "/_nicegui_ws/socket.io/?EIO=4&transport=polling", Origin="http://evil.example") == 403


@pytest.mark.parametrize(
    ("settings", "words"),
    [("host = '0.0.0.0'", "token and certificate"), ("token = 'nowhere'", "openssl rand"), ("port = 70000", "port")],
)
def test_settings_that_would_let_strangers_in_are_refused(settings: str, words: str, tmp_path: Path) -> None:
    """One line that says what to do."""
    file = tmp_path / "bowam.toml"
    file.write_text(f"[page]\n{settings}\n")
    run = subprocess.run(
        [*BOWAM, "page", "--config", str(file)], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert run.returncode == 1
    assert words in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert json.dumps(run.stdout) == '""'
