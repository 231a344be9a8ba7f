"""A real browser for tests of the live page: the distribution's Chromium, without a screen, drawing in software.

with browser.opened(url) as shown:
    shown.page.get_by_text("Record").click()  # a Playwright page
    assert shown.errors == []
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, WebSocket, sync_playwright
from playwright.sync_api import TimeoutError as PatienceEnded

U8 = npt.NDArray[np.uint8]

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu-sandbox", "--disable-dev-shm-usage"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE_MS = 60_000  # for what takes a second or two on an idle machine: GL in software is the first to suffer
TRIES = 20
NO_GPU = "Software WebGL rendering detected"  # viser's own notice, true of every test and of no user


@dataclass
class Shown:
    """A page in a browser. errors: what its console, its scripts and its requests complained of. frames: messages that
    its server has sent."""

    page: Page
    errors: list[str] = field(default_factory=list)
    frames: int = 0

    def screenshot(self, path: str | None = None) -> U8:
        """(height, width, 3) RGB of what can be seen; also written to `path`."""
        png = np.frombuffer(self.page.screenshot(path=path), np.uint8)
        picture = cv2.imdecode(png, cv2.IMREAD_COLOR)
        assert picture is not None
        return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)

    def text(self) -> str:
        """All words on the page, those in the tab that is open."""
        return self.page.locator("body").inner_text()

    def wait_for(self, words: str, patience_s: float = PATIENCE_MS / 1000) -> None:
        """Until these words can be seen on the page."""
        try:
            self.page.get_by_text(words).first.wait_for(state="visible", timeout=patience_s * 1000)
        except PatienceEnded:
            raise AssertionError(f"{words!r} is not on the page: {self.text()}; complaints: {self.errors}") from None

    def open_tab(self, name: str) -> None:
        """Of the panel: Live, Cameras, … A click while the panel is built anew is lost: it is repeated."""
        tab = self.page.get_by_role("tab", name=name, exact=True)
        for _ in range(TRIES):
            tab.click(force=True)  # by the mouse, which tabs listen to, but also while the page is drawn
            self.page.wait_for_timeout(300)
            if tab.get_attribute("aria-selected") == "true":
                return
        raise AssertionError(f"the tab {name} does not open: {self.text()}; complaints: {self.errors}")

    def type_into(self, label: str, words: str) -> None:
        """A field of the panel, by what stands before it."""
        self.page.locator(f"xpath=//label[normalize-space()='{label}']/following::input[1]").fill(words)

    def press(self, button: str) -> None:
        """A button of the panel, by the words on it."""
        self.page.get_by_role("button", name=button, exact=True).evaluate("button => button.click()")

    def reload(self) -> None:
        """As with the browser's button."""
        self.page.reload()
        _wait_until_connected(self)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium; pages are opened in it with `shown_in`. Skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (apt install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def shown_in(chromium: Browser, url: str, size: tuple[int, int] = (1280, 800), mobile: bool = False) -> Iterator[Shown]:
    """A page, once it is connected to its server and draws. size: width, height; mobile: fingers, no mouse."""
    context = chromium.new_context(
        viewport={"width": size[0], "height": size[1]}, is_mobile=mobile, has_touch=mobile, service_workers="block"
    )
    shown = Shown(context.new_page())
    shown.page.set_default_timeout(PATIENCE_MS)
    _listen(shown)
    try:
        shown.page.goto(url)
        _wait_until_connected(shown)
        yield shown
    finally:
        context.close()


@contextmanager
def opened(url: str, size: tuple[int, int] = (1280, 800), mobile: bool = False) -> Iterator[Shown]:
    """One page in a browser of its own."""
    with browser() as chromium, shown_in(chromium, url, size, mobile) as shown:
        yield shown


def _listen(shown: Shown) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            shown.errors.append(f"console: {message.text}")

    def on_failure(request: Request) -> None:
        shown.errors.append(f"request: {request.url}: {request.failure}")

    def on_socket(socket: WebSocket) -> None:
        socket.on("framereceived", on_frame)

    def on_frame(_: object) -> None:
        shown.frames += 1

    shown.page.on("console", on_console)
    shown.page.on("pageerror", lambda error: shown.errors.append(f"script: {error}"))
    shown.page.on("requestfailed", on_failure)
    shown.page.on("websocket", on_socket)


def _wait_until_connected(shown: Shown) -> None:
    page = shown.page
    page.locator("canvas[data-engine]").first.wait_for(state="visible")
    page.get_by_role("tab").first.wait_for(state="attached")
    notice = page.get_by_role("alert").filter(has_text=NO_GPU)
    notice.get_by_role("button").evaluate("button => button.click()")  # also while it glides in
    notice.wait_for(state="detached")
