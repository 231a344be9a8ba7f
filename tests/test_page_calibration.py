"""A calibration through the page on a virtual rig, from nothing to its verdict and its use, with the whole system.

Cameras are videos of a rendered board; nothing is told of lenses and places, which are known here.
"""

import re
import time
from pathlib import Path

import numpy as np
import pytest

from calibration.board import save_board
from calibration.rig_file import load_rig
from nodes.wire.messages import CameraHealth, FusionHealth
from tests.board_film import BOARD, film, rig
from tests.board_scene import errors
from tests.browser import Shown, opened
from tests.live_system import System, running

TOGETHER = 24  # moments; 12 join two cameras
SOLVED_S = 240.0  # ten seconds of work, on a machine that is busy with the cameras


def configuration(folder: Path) -> Path:
    lines = [
        "cameras:",
        *(f"  {name}: {{source: video, path: {path.name}, loop: true}}" for name, path in film(folder).items()),
        "calibrating: {board: board.toml, folder: made}",
    ]
    save_board(BOARD, folder / "board.toml")
    path = folder / "rig.yaml"
    path.write_text("\n".join(lines))
    return path


def streaming(system: System) -> None:
    """Wait for both cameras and the page."""
    waited = set(rig().names)

    def heard(message) -> bool:
        if isinstance(message, CameraHealth) and message.state == "streaming":
            waited.discard(message.source)
        return not waited and "the live page is at" in system.log.read_text()

    system.wait_for(heard)


def press(shown: Shown, button: str) -> None:
    shown.page.get_by_role("button", name=button, exact=True).click()


def covered(shown: Shown) -> list[int]:
    """Filled cells of each camera's picture."""
    paths = shown.page.locator(".card svg path:nth-child(2)")
    return [(path.get_attribute("d") or "").count("M") for path in paths.all()]


def together(shown: Shown) -> int:
    told = re.search(r"together with cam_1 (\d+)", shown.text())
    return int(told[1]) if told else 0


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_nothing_to_a_verdict_and_its_use(tmp_path) -> None:
    config = configuration(tmp_path)
    with running(tmp_path, "live", "--config", str(config), "--keypoints-only", page=True) as system:
        streaming(system)
        with opened(f"http://localhost:{system.page_port}") as shown:
            shown.open_tab("Calibrate")
            shown.wait_for("1 · The board")
            assert shown.page.get_by_label("Square, mm").first.input_value() == "55", "the configuration's board"
            assert shown.page.get_by_role("button", name="Calibrate", exact=True).is_disabled()
            press(shown, "Start")
            shown.wait_for("sees the board", 60.0)
            seen = _shown_until(shown, TOGETHER)
            assert seen[-1] > seen[0], "coverage grows"
            press(shown, "Stop")
            shown.wait_for("Go on")
            press(shown, "Calibrate")
            shown.wait_for("Give up")
            shown.wait_for("Use it", SOLVED_S)
            assert re.search(r"(Good: use it|Usable)", shown.text())
            assert re.search(r"px median.*squares 5[45]\.\d+ mm instead of 55\.00", shown.text())
            _holds_against_the_truth(tmp_path / "made")
            press(shown, "Use it")
            system.wait_for(lambda message: isinstance(message, FusionHealth))
            shown.wait_for("It is in use.")
            assert shown.errors == []


def _shown_until(shown: Shown, count: int, patience_s: float = 150.0) -> list[list[int]]:
    """The board is carried about until both cameras saw it so often together; how coverage went."""
    seen, deadline_s = [], time.monotonic() + patience_s
    while together(shown) < count:
        assert time.monotonic() < deadline_s, shown.text()
        seen.append(covered(shown))
        time.sleep(0.5)
    return [*seen, covered(shown)]


def _holds_against_the_truth(folder: Path) -> None:
    """Two cameras 1.6 m from the board, in pictures of 480 by 360."""
    (path,) = folder.glob("calibration-*.toml")
    place_m, turn, focal = errors(rig(), load_rig(path))
    assert place_m.max() < 0.01
    assert np.degrees(turn).max() < 0.3
    assert np.abs(focal).max() < 0.01
    assert (path.with_suffix("") / "report" / "report.html").is_file()
