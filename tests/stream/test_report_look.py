"""What a reader needs who sees little, uses the keyboard, or lets no script run: by computation, and in a browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise, product
from pathlib import Path

import pytest

from bowam_stream.events.judgements import Judgement
from bowam_stream.report import html, write_report
from bowam_stream.report.matching import TrueEvent, Truth
from tests.stream.report_hour import hour_in

STYLE = (html.PAGE / "style.css").read_text()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TEXTS = ("ink", "faint", "accent", "good", "bad")
GROUNDS = ("ground", "sheet", "note")
MARKS = ("signal", "threshold", "positive", "negative", "surprise", "other", "macro", "blink", "refused")
MARKS += ("state-open", "state-told", "state-slow")


def palettes() -> dict[str, dict[str, str]]:
    """Theme -> name -> #rrggbb, from the style itself."""
    blocks = re.findall(r":root(?::not\(\.paper\))? \{(.*?)\}", STYLE, re.DOTALL)
    light, dark, printed = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", block)) for block in blocks)
    return {"light": light, "dark": light | dark, "print": light | printed}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_contrast_is_that_of_the_standard() -> None:
    """Black on white is 21:1; #777 on white is known for its 4.48."""
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_text_can_be_read_on_every_ground(theme: str) -> None:
    """WCAG AA: 4.5 to 1."""
    palette = palettes()[theme]
    poor = {
        (text, ground): round(contrast(palette[text], palette[ground]), 2)
        for text, ground in product(TEXTS, GROUNDS)
        if contrast(palette[text], palette[ground]) < 4.5
    }
    assert poor == {}


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_marks_stand_out_from_the_sheet(theme: str) -> None:
    """WCAG AA for graphics: 3 to 1."""
    palette = palettes()[theme]
    ratios = {mark: round(contrast(palette[mark], palette["sheet"]), 2) for mark in MARKS}
    assert {mark: ratio for mark, ratio in ratios.items() if ratio < 3.0} == {}


class Outline(HTMLParser):
    """Headings in their order, and what has no name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.nameless: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img" and not given.get("alt"):
            self.nameless.append(tag)
        if given.get("role") in ("region", "group", "img") and not given.get("aria-label"):
            self.nameless.append(given["role"])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some minutes with everything in it: truth, judgements, refusals, pictures."""
    folder = tmp_path_factory.mktemp("look")
    record, told = hour_in(folder / "record", 30, 20, length_s=240)
    truth = Truth(fps=30.0, frames=7200, events=(TrueEvent(kind="micro", onset=90, apex=94, offset=99, label="other"),))
    said = {told[0].event_id: Judgement(event_id=told[0].event_id, verdict="true", note="brows")}
    write_report(folder / "report.html", record, told, truth=truth, judgements=said)
    return folder / "report.html"


def test_headings_are_in_order_and_everything_has_a_name(page: Path) -> None:
    outline = Outline(page.read_text())
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(outline.levels))
    assert outline.nameless == []


def browse(page: Path, *flags: str, script: str = "") -> str:
    """What stands in a real browser once `script` has run in it; its last value is the attribute data-result."""
    if CHROMIUM is None:
        pytest.skip("no chromium here (apt-get install chromium)")
    copy = page.with_name(f"{abs(hash((script, flags)))}.html")
    copy.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={copy.with_suffix('')}"]
    command += ["--window-size=1280,900", "--virtual-time-budget=8000", *flags, "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def result_of(page: Path, script: str, *flags: str) -> str:
    found = re.search(r'data-result="([^"]*)"', browse(page, *flags, script=f"{{{HELPERS}{script}}}"))
    assert found, "the script did not come to its end"
    return found[1]


HELPERS = """
const failures = [];
addEventListener("error", (event) => failures.push(event.message));
addEventListener("unhandledrejection", (event) => failures.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => failures.push(event.violatedDirective));
const tell = (value) => { document.body.dataset.result = failures.concat(value).join(";"); };
const shown = () => [...document.querySelectorAll("#rows tbody tr")].filter((row) => !row.hidden);
const cells = (n) => shown().map((row) => row.cells[n].textContent.trim());
const drawn = async () => { while (!figure.dataset.drawn) await new Promise((go) => setTimeout(go, 50)); };
"""


@pytest.mark.system
def test_the_signal_is_drawn_and_moves_by_buttons(page: Path) -> None:
    script = """
    drawn().then(async () => {
      const span = () => shows()[1] - shows()[0];
      const whole = span();
      document.querySelector("[data-move=closer]").click();
      await new Promise((go) => setTimeout(go, 300));
      const half = span();
      document.querySelector("button.zoom").click();
      await new Promise((go) => setTimeout(go, 300));
      const near = span();
      tell([figure.querySelectorAll(".scatterlayer .trace").length > 2, (half / whole).toFixed(2), near < 5000]);
    });"""
    assert result_of(page, script) == "true;0.50;true"


@pytest.mark.system
def test_a_heading_sorts_and_sorts_back(page: Path) -> None:
    script = """
    const heads = [...document.querySelectorAll("#rows th button")];
    const score = heads.find((button) => button.textContent === "Score");
    const column = score.parentNode.cellIndex;
    score.focus(); score.click();
    const up = cells(column).filter((text) => text).map(Number);
    const first = score.parentNode.getAttribute("aria-sort");
    score.click();
    const down = cells(column).filter((text) => text).map(Number);
    const rises = up.every((value, i) => !i || value >= up[i - 1]);
    tell([first, score.parentNode.getAttribute("aria-sort"), up.length, rises, down.join() === up.reverse().join(),
      document.activeElement === score, document.querySelectorAll("#rows [aria-sort]").length]);"""
    assert result_of(page, script) == "ascending;descending;47;true;true;true;1"


@pytest.mark.system
def test_what_has_no_value_comes_last_in_either_direction(page: Path) -> None:
    script = """
    const sure = [...document.querySelectorAll("#rows th button")].find((button) => button.textContent === "Sure");
    const last = () => {
      const all = cells(sure.parentNode.cellIndex);
      return all.indexOf("") === 20 && all[0] !== "";
    };
    sure.click(); const up = last();
    sure.click(); tell([up, last()]);"""
    assert result_of(page, script) == "true;true"


@pytest.mark.system
def test_filters_leave_what_was_asked_for_pictures_too(page: Path) -> None:
    script = """
    document.querySelector("button[data-kind=micro]").click();
    const micro = shown().length;
    const words = document.getElementById("words");
    words.value = "SURPRISE";
    words.dispatchEvent(new Event("input"));
    const both = shown().length;
    const cards = [...document.querySelectorAll(".card")].filter((card) => !card.hidden).length;
    const said = document.getElementById("shown").textContent.split(",")[0];
    tell([micro, both > 0 && both < micro, cards === both, said]);"""
    micro, fewer, same, said = result_of(page, script).split(";")
    assert (micro, fewer, same) == ("20", "true", "true")
    assert re.fullmatch(r"\d+ of 47 events", said)


@pytest.mark.system
def test_the_three_pictures_play_and_who_wants_less_motion_steps(page: Path) -> None:
    script = """
    const button = document.querySelector("button.play"), picture = document.querySelector(".apex img");
    const before = picture.src;
    button.click();
    setTimeout(() => tell([button.textContent, button.getAttribute("aria-pressed"), picture.src !== before]), 500);"""
    assert result_of(page, script) == "Stop;true;true"
    assert result_of(page, script, "--force-prefers-reduced-motion") == "Next picture;false;true"


@pytest.mark.system
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out(page: Path, width: int) -> None:
    """In a frame of the width, since a window can't be as narrow everywhere."""
    script = """
    drawn().then(() => tell([document.documentElement.scrollWidth <= innerWidth, innerWidth]));"""
    assert result_of(page, script, f"--window-size={width},800").startswith("true")


@pytest.mark.system
def test_without_scripts_table_and_pictures_are_there_and_no_dead_button(page: Path) -> None:
    """The page as it is sent has what a reader needs; what needs a script is hidden by the style."""
    text = page.read_text()
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert body.count('<tr data-kind="') == 47
    assert body.count("<article") == 20
    assert "all events are in the table below" in body.lower()
    assert "html:not(.js) .live { display: none; }" in STYLE
    without = [b for b in re.findall(r"<button[^>]*>", body) if "live" not in b]
    groups = re.findall(r'<div class="(?:filters|moves) live"', body)
    assert len(groups) == 2
    assert all("data-kind" in b or "data-move" in b for b in without)
