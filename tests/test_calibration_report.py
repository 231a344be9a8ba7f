import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from calibration.measure import measured
from calibration.verdict import Judged, Judgement
from nodes.calibrating import report_page
from nodes.calibrating.report import CameraTold, Figures, Report, write_report
from nodes.calibrating.report_json import document
from nodes.calibrating.report_of_board import report_of_board
from tests.board_views import BOARD, board_seen, rig_of

HELD_OUT = np.arange(40) % 5 == 0


@pytest.fixture(scope="module")
def report() -> Report:
    rig = rig_of()
    seen = board_seen(rig, noise_px=0.4)
    return report_of_board(
        "rig",
        rig,
        BOARD,
        seen,
        HELD_OUT,
        told={"front": CameraTold(sigma_position_mm=1.5, offset_ms=0.0), "right": CameraTold(offset_ms=-12.5)},
        compared={"before": measured(rig_of(), BOARD, seen.at(HELD_OUT))},
        what="walk <of> the board",
        notes=("The picture of left is dark.",),
    )


@pytest.fixture(scope="module")
def written(report: Report, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_report(tmp_path_factory.mktemp("report") / "new" / "folder", report)


def test_json_has_the_figures_under_their_known_names(written: tuple[Path, Path]):
    told = json.loads(written[0].read_text())
    assert (told["schema"], told["kind"]) == (1, "rig")
    assert told["verdict"] in {"good", "usable"}
    assert told["held_out"]["frames"] == 8
    assert told["train"]["frames"] == 32
    assert 0.2 < told["held_out"]["px_p50"] < told["held_out"]["px_p95"] < 2.0
    assert told["board"]["spacing_mm"] == pytest.approx(54.0, abs=0.3)
    assert told["pairs"]["front-right"] > 10
    front = told["cameras"]["front"]
    assert front["size_wh"] == [1280, 720]
    assert front["focal_px"] == [900.0, 900.0]
    assert len(front["position_m"]) == 3
    assert front["sigma_position_mm"] == 1.5
    assert told["cameras"]["right"]["offset_ms"] == -12.5
    assert told["cameras"]["left"]["sigma_position_mm"] is None
    assert told["compared"]["before"]["held_out"]["px_p50"] == told["held_out"]["px_p50"]
    assert told["compared"]["before"]["board"]["spacing_mm"] == told["board"]["spacing_mm"]


def test_page_is_whole_and_says_the_verdict_first(written: tuple[Path, Path], report: Report):
    page = written[1].read_text()
    assert page.index(report_page.VERDICTS[report.judgement.verdict]) < page.index("In figures")
    assert "walk &lt;of&gt; the board" in page
    assert "The picture of left is dark." in page
    assert page.count("data:image/png;base64,") == 3 + 4
    assert "http" not in page
    _Whole().feed(page)


def test_nothing_known_is_null_and_a_dash(tmp_path: Path):
    nothing = Figures(0, 0, float("nan"), float("nan"))
    judgement = Judgement(Judged("redo", ("nobody saw a board",), ("print one",)), {"left": Judged("unknown")})
    report = Report("rig", judgement, None, {"left": CameraTold(held_out=nothing)}, held_out=nothing)
    told, page = write_report(tmp_path, report)
    assert json.loads(told.read_text())["held_out"]["px_p50"] is None
    assert "nobody saw a board" in page.read_text()


def test_intrinsics_have_no_places(report: Report):
    told = document(replace(report, kind="intrinsics", has_poses=False, pairs={}))
    assert told["cameras"]["front"]["position_m"] is None


def test_without_matplotlib_the_page_says_so(report: Report, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    page = report_page.page_text(report)
    assert "no pictures" in page
    assert "base64" not in page


class _Whole(HTMLParser):
    """Raises on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
