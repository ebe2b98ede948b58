"""A headless Chromium for the tests of the page, and what it saw that it should not have."""

import json
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest


class Browser:
    """One window. Selenium drives it; `see` waits for something on the page."""

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = shutil.which("chromium") or ""
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.size(1280, 900)

    def size(self, wide: int, high: int) -> None:
        """Of the window."""
        shape = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": wide < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        """The elements that there are."""
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """Of the first; empty where there is none."""
        return str(self.run("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector))

    def press(self, keys: str) -> None:
        """Keys, to whatever has the focus."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(keys).perform()

    def complaints(self) -> list[str]:
        """Errors and warnings on the console since the last call."""
        logs: list[dict[str, Any]] = self.driver.get_log("browser")
        return [entry["message"] for entry in logs if entry["level"] in ("SEVERE", "WARNING")]

    def hosts(self) -> set[str]:
        """Whom the page asked for anything since the last call."""
        logs: list[dict[str, Any]] = self.driver.get_log("performance")
        found = set()
        for entry in logs:
            said = json.loads(entry["message"])["message"]
            if said["method"] == "Network.requestWillBeSent":
                address = urlsplit(said["params"]["request"]["url"])
                if address.scheme not in ("data", "blob"):
                    found.add(address.netloc)
            if said["method"] == "Network.webSocketCreated":
                found.add(urlsplit(said["params"]["url"]).netloc)
        return found


def open_browser() -> Iterator[Browser]:
    """A browser that is closed afterwards; the test is skipped where there is none."""
    pytest.importorskip("selenium", reason="selenium is not installed (extra [dev])")
    pytest.importorskip("nicegui", reason="nicegui is not installed (extra [page])")
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("chromium and chromium-driver are not installed")
    browser = Browser()
    yield browser
    browser.driver.quit()
