"""The report as one HTML page: the verdict in words first, then figures and pictures. Needs nothing else."""

import importlib.util
import math

from calibration.limits import Verdict
from calibration.verdict import Judged
from nodes.calibrating.report import CameraTold, Figures, Report, made_with, measured_on
from nodes.report.page import Page

TITLES = {
    "rig": "Calibration of the cameras",
    "intrinsics": "Calibration of the lenses",
    "check": "Check of a calibration",
    "people": "Calibration from a person",
}
VERDICTS: dict[Verdict, str] = {
    "good": "Good: use it as it is.",
    "usable": "Usable: it works, and it can be better. See below.",
    "redo": "Do it again: 3D from this calibration would be wrong. See below.",
    "unknown": "Not known: this recording cannot tell.",
}

WHERE = "Blue cameras are good, orange ones are told of above. Green: the way of what they saw."
TOGETHER = (
    "How many moments two cameras share. A camera that hangs on the others by a thin link is known by that link alone."
)
SAW = (
    "Left: where it saw something. A lens is known where there are points, so little should stay white. Right: arrows "
    "that point every way are noise; arrows that turn with the place tell of a lens or a pose that is not right."
)


def page_text(report: Report) -> str:
    """The whole page."""
    page = Page(TITLES[report.kind])
    _verdict(page, report)
    _figures(page, report)
    _cameras(page, report)
    if importlib.util.find_spec("matplotlib") is None:
        page.say('The page has no pictures: pip install "livepose3d[camera]" brings matplotlib.', "note")
    else:
        _pictures(page, report)
    page.say(f"{made_with()}. The same figures for programs: report.json.", "small")
    return page.text


def _verdict(page: Page, report: Report) -> None:
    judged = report.judgement.whole
    page.say(VERDICTS[judged.verdict], judged.verdict)
    if report.what:
        page.say(report.what, "small")
    if judged.reasons:
        page.heading("Why")
        page.items(judged.reasons)
    if judged.advice:
        page.heading("What to do next")
        page.items(judged.advice)
    for note in report.notes:
        page.say(note, "note")


def _figures(page: Page, report: Report) -> None:
    page.section("In figures", _explained(report))
    columns = ["", "moments", "points", "px, median", "px, 95 of 100 below"]
    rows = [["fitted frames", *_cells(report.train)]] if report.train else []
    rows += [[measured_on(report), *_cells(report.held_out)]] if report.held_out else []
    rows += [[f"{measured_on(report)}, {name}", *_cells(other.held_out)] for name, other in report.compared.items()]
    if report.board is not None:
        columns += ["square, mm", "its sd", "error, 95 of 100 below"]
        spacings = {measured_on(report): report.spacing}
        spacings |= {f"{measured_on(report)}, {name}": other.spacing for name, other in report.compared.items()}
        for row in rows:
            spacing = spacings.get(row[0])
            told = (
                ["–"] * 3
                if spacing is None
                else [_number(spacing.mm), _number(spacing.sd_mm), _number(spacing.error_p95_mm)]
            )
            row.extend(told)
    page.table(columns, rows)


def _explained(report: Report) -> str:
    what = "joint" if report.kind == "people" or report.board is None else "corner"
    said = f"Every {what} that two or more cameras saw is placed in 3D and projected back: the distance in pixels."
    if report.train is not None and report.held_out is not None:
        said += " Held-out frames took no part in the fit: they tell how good it is, the others how well it was fitted."
    if report.board is not None and report.spacing is not None:
        side = 1000 * report.board.square_m
        said += f" The corners so placed should lie {side:.2f} mm apart, a square of the board."
    return said


def _cameras(page: Page, report: Report) -> None:
    page.section("Cameras")
    columns = ["camera", "verdict", "frames", "seen in", "px, median", "px, 95 of 100 below", "focal, px", "lens"]
    if report.has_poses:
        columns += ["place x y z, m", "known to"]
    if any(told.offset_ms is not None for told in report.cameras.values()):
        columns.append("clock, ms")
    page.table(columns, [_row(report, name, told, len(columns)) for name, told in report.cameras.items()])


def _row(report: Report, name: str, told: CameraTold, columns: int) -> list[str]:
    judged = report.judgement.cameras.get(name, Judged("unknown"))
    figures = told.held_out or told.train
    row = [
        name,
        judged.verdict,
        _count(told.frames),
        "–" if told.coverage_share is None else f"{told.coverage_share:.0%}",
    ]
    row += [_number(figures.px_p50), _number(figures.px_p95)] if figures else ["–", "–"]
    camera = next((camera for camera in report.calibrated if camera.name == name), None)
    row += ["–", "–"] if camera is None else [f"{camera.K[0, 0]:.0f} × {camera.K[1, 1]:.0f}", camera.lens]
    if report.has_poses:
        row.append("–" if camera is None else " ".join(f"{value:.3f}" for value in camera.T_world_cam[:3, 3]))
        sigma = [f"aims to {told.sigma_aim_mm:.1f} mm"] if told.sigma_aim_mm is not None else []
        sigma += [f"{told.sigma_position_mm:.1f} mm"] if told.sigma_position_mm is not None else []
        sigma += [f"{told.sigma_rotation_deg:.2f}°"] if told.sigma_rotation_deg is not None else []
        row.append(", ".join(sigma) or "–")
    if len(row) < columns:
        row.append(_number(told.offset_ms, 1))
    return row


def _pictures(page: Page, report: Report) -> None:
    from nodes.calibrating import report_pictures as pictures

    if any(told.held_out or told.train for told in report.cameras.values()):
        page.picture(pictures.errors_by_camera(report), "bars of the reprojection error of each camera")
    if report.has_poses and report.calibrated:
        page.section("Where the cameras stand", WHERE)
        page.picture(pictures.rig_from_above_and_side(report), "cameras and board from above and from the side")
    if report.pairs and len(report.cameras) > 1:
        page.section("Who saw it together", TOGETHER)
        page.picture(pictures.seen_together(report), "graph of the moments that two cameras share")
    drawn = [
        (camera, report.cameras[camera.name].seen) for camera in report.calibrated if camera.name in report.cameras
    ]
    for k, (camera, seen) in enumerate((camera, seen) for camera, seen in drawn if seen and len(seen.points_px)):
        if k == 0:
            page.section("What each camera saw", SAW)
        page.heading(camera.name)
        for line in report.judgement.cameras.get(camera.name, Judged("unknown")).reasons:
            page.say(line, "small")
        page.picture(pictures.picture_of_camera(seen, camera.size_wh), f"coverage and residuals of {camera.name}")


def _cells(figures: Figures | None) -> list[str]:
    if figures is None:
        return ["–"] * 4
    return [_count(figures.frames), _count(figures.corners), _number(figures.px_p50), _number(figures.px_p95)]


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
