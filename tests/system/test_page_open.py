"""A page that stays open while a rate is chosen, an event is withdrawn, and the worker is killed."""

# ruff: noqa: F811
import os
import signal

import pytest

from bowam_stream.events import Journal
from bowam_stream.events.sensitivity import Sensitivity, asked
from tests.system.browser import Browser
from tests.system.processes import children, wait_for
from tests.system.test_page import Live, browser, live  # noqa: F401

pytestmark = pytest.mark.system


def test_a_sensitivity_that_is_chosen_comes_into_effect(live: Live, browser: Browser) -> None:
    """By keyboard and by mouse; the box shows its number, and the worker follows the wish in the journal."""
    wait_for(lambda: "In effect: threshold" in browser.text(".sense"))
    number = browser.all(".sense input[type=number]")[0]
    number.send_keys("\ue009a")  # all of it
    number.send_keys("8.25\ue004")  # and on to the button
    wait_for(lambda: number.get_property("value") in ("8.2", "8.3"))
    for wide in (390, 1280):
        browser.size(wide, 900)
        wait_for(lambda wide=wide: browser.run("return innerWidth") == wide)
        assert browser.run("return arguments[0].clientWidth - arguments[0].scrollWidth", number) >= 0
    wait_for(lambda: browser.run("return document.activeElement.innerText") == "Ask for it")
    browser.press("\ue007")  # Enter
    threshold = in_effect(live, browser, 8.0)
    number.send_keys("\ue009a")
    number.send_keys("1\ue004")
    wait_for(lambda: number.get_property("value") == "3.0")
    next(one for one in browser.all(".sense button") if one.text == "Ask for it").click()
    assert in_effect(live, browser, 3.0) > threshold
    next(one for one in browser.all(".sense button") if one.text == "As in the settings").click()
    wait_for(lambda: browser.text(".sense").endswith("In effect: threshold 5.00."))


def in_effect(live: Live, browser: Browser, per_hour: float) -> float:
    """The threshold that the journal asks for at this rate, once the page has heard that the worker took it."""

    def wish() -> Sensitivity | None:
        with Journal.open_readonly(live.journal) as journal:
            return next(
                (one for one in asked(journal).values() if int(one.false_alarms_per_hour or 0) == per_hour), None
            )

    found = wait_for(wish)
    assert isinstance(found, Sensitivity)
    assert found.threshold
    words = f"In effect: threshold {found.threshold:.2f}. Asked: {found.threshold:.2f}"
    wait_for(lambda: words in browser.text(".sense"))
    return found.threshold


def test_an_event_that_is_withdrawn_turns_before_ones_eyes(live: Live, browser: Browser) -> None:
    """It pulses while it is provisional; then the card says that it is withdrawn, and why. Another camera's events."""
    with Journal(live.journal) as journal:
        event = next(event for event in journal.since({}) if event.phase == "provisional")
        changed = {name: getattr(event, name) for name in event.__struct_fields__}
        changed |= {"event_id": "nod", "camera": "door"}
        journal.append(type(event)(**changed))
        choose(browser, "Camera", "door")
        wait_for(lambda: browser.all("#event-nod.provisional"))
        assert "Provisional" in browser.text("#event-nod .note")
        changed |= {"phase": "retracted", "reason": "head_motion", "kind": None, "label": None, "seq": event.seq + 1}
        journal.append(type(event)(**changed))
        wait_for(lambda: browser.all("#event-nod.retracted"))
    assert browser.text("#event-nod .pill") == "withdrawn"
    assert browser.text("#event-nod .note").startswith("Withdrawn: ")
    assert len(browser.all("[data-event]")) == 1
    choose(browser, "Camera", "cam0")
    wait_for(lambda: browser.text(".link") == "live")


def choose(browser: Browser, name: str, words: str) -> None:
    """From a list of the header."""
    browser.all(f".top input[aria-label={name}]")[0].click()
    option = wait_for(lambda: next((one for one in browser.all(".q-menu .q-item") if words in one.text), None), 10)
    option.click()  # type: ignore[attr-defined]
    wait_for(lambda: not browser.all(".q-menu"))


def test_an_open_page_goes_on_by_itself_where_only_the_worker_was_killed(live: Live, browser: Browser) -> None:
    """It says so meanwhile; events come again, and no card stands there twice."""
    ids = "return [...document.querySelectorAll('[data-event]')].map((card) => card.dataset.event)"
    known = set(browser.run(ids))
    browser.run("window.stayed = true")

    worker = children(live.process.pid)["worker"]
    os.kill(worker, signal.SIGSTOP)  # until the page has had time to notice
    wait_for(lambda: browser.text(".link") == "worker gone, waiting" and "Nothing heard" in browser.text(".warnings"))
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: browser.text(".link") == "live")
    wait_for(lambda: len(set(browser.run(ids)) - known) >= 2)
    shown = browser.run(ids)
    assert len(shown) == len(set(shown))
    assert browser.run("return window.stayed")
    assert browser.text(".warnings") == ""
