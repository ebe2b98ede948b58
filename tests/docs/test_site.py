"""The documentation is built with warnings as errors, loads nothing from outside, and says what the code says."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from bowam_stream.cli.app import MODEL, PIECES, WATCH
from bowam_stream.config import Config

ROOT = Path(__file__).parents[2]
ASSETS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
LOADED = {"stylesheet", "icon", "preload", "modulepreload", "manifest", "preconnect", "dns-prefetch"}
GENERATED = ("commands", "events", "layers", "metrics", "modules", "settings")


class Page(HTMLParser):
    """What a page loads, where it leads, and the places in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places.add(found.get("id", ""))
        if (attribute := ASSETS.get(tag)) and attribute in found:
            self.loads.append(found[attribute])
        if tag == "link" and LOADED & set(found.get("rel", "").split()):
            self.loads.append(found["href"])
        if tag == "a" and "href" in found:
            self.leads.append(found["href"])
        self.loads += re.findall(r"url\(([^)]*)\)", found.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", folder / "trees"]
    ended = subprocess.run([*command, ROOT / "docs", folder / "site"], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_nothing_is_loaded_from_outside(site: Path, pages: dict[Path, Page]) -> None:
    """Neither by a page nor by a style sheet: who reads about faces is nobody else's business."""
    found = [(path.name, load) for path, page in pages.items() for load in page.loads]
    assert len(found) > len(pages)  # or nothing would be looked at
    for sheet in site.rglob("*.css"):
        text = sheet.read_text()
        found += [(sheet.name, load.strip("'\"")) for load in re.findall(r"url\(([^)]*)\)", text)]
        found += [(sheet.name, load.strip("'\"")) for load in re.findall(r"@import\s+([^;]*)", text)]
    assert [pair for pair in found if re.match(r"(?i)(\w+:)?//", pair[1])] == []


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    """To a file of the site and a place in it, or openly away."""
    for path, page in pages.items():
        for lead in page.leads:
            if re.match(r"(https?|mailto):", lead):
                continue
            name, _, place = lead.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.is_file(), f"{path.relative_to(site)} leads to {lead}"
            if place and target in pages:
                assert place in pages[target].places, f"{path.relative_to(site)} leads to {lead}"


def test_what_is_read_from_the_code_stands_on_its_page(site: Path) -> None:
    """Every verb, every setting, every key of an event, every metric; nothing is left of the marks."""
    texts = {path.stem: re.sub(r"<[^>]+>", "", path.read_text()) for path in site.glob("reference/*.html")}
    for verb in (*WATCH, *PIECES, *MODEL):
        assert f"bowam {verb.name}" in texts["command-line"]
    for stage in msgspec.structs.fields(Config):
        assert f"[{stage.name}]" in texts["settings"]
        for key in type(stage.default).__struct_fields__:
            assert key in texts["settings"]
    assert all(key in texts["event"] for key in ("spotting_score", "published_utc_ns", "t_ns", "weights"))
    assert "bowam_frames_dropped_total" in texts["metrics"]
    assert "bowam_stream.subscribe(" in texts["python"].replace("\n", "")
    assert not [path for path in site.rglob("*.html") if "generated:" in path.read_text()]


@pytest.mark.parametrize("name", GENERATED)
def test_every_mark_stands_on_one_page(name: str) -> None:
    """A part that is generated and shown nowhere, or twice, is a mistake."""
    marked = [path for path in (ROOT / "docs").rglob("*.md") if f"<!-- generated: {name} -->" in path.read_text()]
    assert len(marked) == 1
