"""The dashboard's page in a real Chromium without a window."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.eventually import eventually
from tests.requirements import Requirements

__all__ = ["Page", "chromium"]

REQUIREMENTS = Requirements("BROWSER_MUST_RUN")

FLAGS = (
    "--headless",
    "--no-sandbox",  # it refuses to run as root with one, as CI does
    "--disable-dev-shm-usage",  # in a container it has 64 MiB there, and ends when they are full
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--lang=en-GB",
)


@contextmanager
def chromium(profile: Path, *flags: str) -> Iterator[Page]:
    """Start a browser with a new profile, and further flags."""
    REQUIREMENTS.need_tool("chromium", "chromium")
    REQUIREMENTS.need_tool("chromedriver", "chromium-driver")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_script_timeout(20)
        yield Page(driver)
    finally:
        driver.quit()


class Page:
    """What is open in the browser, as a person uses it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, link: str) -> None:
        """Open an address in place of what was open, and wait until it is live."""
        self.visit(link)
        eventually(lambda: self.text("#connection").startswith("Live"))

    def visit(self, link: str) -> None:
        """Open an address in place of what was open."""
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.resize(1280, 900)
        self.prefer("light")
        self.driver.get(link)

    # What it shows.

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The text of all elements that a selector finds, as one."""
        return str(
            self.run(
                "return [...document.querySelectorAll(arguments[0])]"
                ".map((found) => found.textContent).join('\\n')",
                selector,
            )
        )

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def call(self, module: str, expression: str) -> Any:
        """Give what an expression makes of a module of the page."""
        return self.driver.execute_async_script(
            f"const done = arguments[0]; import('/{module}').then((module) => done({expression}))"
        )

    # In one step each: what is drawn may be drawn anew between two.

    def style(self, selector: str, name: str) -> str:
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        return str(self.run(script, selector, name))

    def attribute(self, selector: str, name: str) -> str:
        script = "return document.querySelector(arguments[0]).getAttribute(arguments[1])"
        return str(self.run(script, selector, name))

    def kind(self, selector: str) -> str:
        """The name of an element."""
        return str(self.run("return document.querySelector(arguments[0]).localName", selector))

    # What a person does.

    def press(self, *keys: str) -> None:
        """Press keys, on whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    # What the browser notes.

    def complaints(self) -> list[str]:
        """What the console has of warnings and errors, since the last time."""
        found = self.driver.get_log("browser")
        return [row["message"] for row in found if row["level"] in ("WARNING", "SEVERE")]

    def requests(self) -> list[dict[str, Any]]:
        """All requests since the last time, with their addresses and headers."""
        messages = [
            json.loads(row["message"])["message"] for row in self.driver.get_log("performance")
        ]
        return [
            each["params"]["request"]
            for each in messages
            if each["method"] == "Network.requestWillBeSent"
        ]

    def picture(self, height: int | None = None) -> bytes:
        """Give what is shown as PNG: from the top, as far down as is asked or there is."""
        width = int(self.run("return innerWidth"))
        whole = int(self.run("return document.documentElement.scrollHeight"))
        clip = {"x": 0, "y": 0, "width": width, "height": min(height or whole, whole), "scale": 1}
        taken = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        return base64.b64decode(taken["data"])
