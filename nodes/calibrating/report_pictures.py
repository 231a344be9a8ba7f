"""The calibration report's pictures, by matplotlib, as PNG bytes."""

import io

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from calibration import rigid
from calibration.coverage import GRID_WH
from calibration.rig import Camera
from nodes.calibrating.report import Figures, Report, Seen, measured_on

F64 = npt.NDArray[np.float64]

DPI = 110
WIDTH_IN = 10.0
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "#777777"  # Okabe and Ito
LONGER = (50, 20, 10, 5, 2, 1)  # times that residuals may be drawn: 0.5 px is seen as 25
LONGEST = 0.15  # of the picture's width, for 95 of 100 of them
MOST_ARROWS = 1500  # of a camera; more are one blot
CONE = 0.12  # of the rig's size: how far from its place a camera's picture is drawn
CLOSE_PX = 2.0  # colours of residuals end here at least: a good camera looks good


def rig_from_above_and_side(report: Report) -> bytes:
    """Cameras with their cones of view and names, and the way of the board or person, in the world's planes."""
    figure = Figure(figsize=(WIDTH_IN, 5.2))
    cones = {camera.name: _cone(camera, CONE * _size_m(report)) for camera in report.calibrated}
    for panel, (across, up, title) in enumerate(((0, 1, "from above"), (0, 2, "from the side"))):
        axes = figure.add_subplot(1, 2, panel + 1)
        if report.path_m is not None:
            axes.plot(report.path_m[:, across], report.path_m[:, up], ".-", color=GREEN, lw=0.5, ms=3, alpha=0.6)
        for name, cone in cones.items():
            _draw_cone(axes, cone[:, (across, up)], name, BLUE if _is_good(report, name) else ORANGE)
        if up == 2:
            axes.axhline(0.0, color="#bbbbbb", lw=1, zorder=0)
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.12)
        axes.set_xlabel(f"{'xyz'[across]}, m")
        axes.set_ylabel(f"{'xyz'[up]}, m")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    return _png(figure)


def seen_together(report: Report) -> bytes:
    """Cameras in a ring, linked by how often two saw the board at one moment."""
    names = list(report.cameras)
    figure = Figure(figsize=(WIDTH_IN * 0.55, WIDTH_IN * 0.5))
    axes = figure.add_subplot()
    turn = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    places = dict(zip(names, np.stack([np.cos(turn), np.sin(turn)], axis=1), strict=True))
    most = max(report.pairs.values(), default=1)
    for k, ((one, other), instants) in enumerate(sorted(report.pairs.items(), key=lambda pair: pair[1])):
        if instants == 0:
            continue
        ends = np.stack([places[one], places[other]])
        axes.plot(*ends.T, color=BLUE, lw=0.5 + 5 * instants / most, alpha=0.35, zorder=1, solid_capstyle="round")
        share = 0.5 if len(names) < 4 else 0.5 + 0.12 * (-1) ** k  # the labels of crossing links do not meet
        x, y = ends[0] + share * (ends[1] - ends[0])
        axes.text(x, y, str(instants), fontsize=9, ha="center", va="center",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, zorder=2)  # fmt: skip
    for name, place in places.items():
        axes.plot(*place, "o", color=BLUE if _is_good(report, name) else ORANGE, ms=14, zorder=3)
        axes.text(1.22 * place[0], 1.22 * place[1], name, ha="center", va="center", fontsize=10)
    axes.set_xlim(-1.5, 1.5)
    axes.set_ylim(-1.4, 1.4)
    axes.set_aspect("equal")
    axes.axis("off")
    return _png(figure)


def errors_by_camera(report: Report) -> bytes:
    """Median and 95th percentile of each camera, on frames of the fit and on those left out."""
    names = list(report.cameras)
    figure = Figure(figsize=(WIDTH_IN, 1.2 + 0.55 * len(names)))
    axes = figure.add_subplot()
    kinds = [("fitted frames", GREY, -0.2, [report.cameras[name].train for name in names]),
             (measured_on(report), BLUE, 0.2, [report.cameras[name].held_out for name in names])]  # fmt: skip
    kinds = [kind for kind in kinds if any(kind[3])]
    for label, colour, shift, told in kinds:
        rows = np.arange(len(names)) + (shift if len(kinds) > 1 else 0.0)
        height = 0.36 if len(kinds) > 1 else 0.6
        axes.barh(rows, _values(told, "px_p95"), height, color=colour, alpha=0.3, label=f"{label}, 95 of 100 below")
        p50 = _values(told, "px_p50")
        axes.barh(rows, p50, height, color=colour, label=f"{label}, median")
        for row, value in zip(rows, p50, strict=True):
            if value > 0:
                axes.text(value, row, f" {value:.2f}", va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, None)
    axes.set_xlabel("distance between seen and reprojected, px")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.tight_layout()
    return _png(figure)


def picture_of_camera(seen: Seen, size_wh: tuple[int, int]) -> bytes:
    """Left where the camera saw the board, right the residuals there, each in the outline of its picture."""
    width, height = size_wh
    figure = Figure(figsize=(WIDTH_IN, 0.5 * WIDTH_IN * min(1.8, height / width) + 0.7))
    covered, errors = figure.subplots(1, 2)
    _draw_coverage(covered, seen, size_wh)
    _draw_residuals(errors, seen, width)
    for axes in (covered, errors):
        axes.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, ec="#333333", lw=1.2))
        axes.set_xlim(-0.5 - 0.02 * width, (1.02 * width) - 0.5)
        axes.set_ylim(1.02 * height - 0.5, -0.5 - 0.02 * height)
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
    figure.tight_layout()
    return _png(figure)


def _draw_coverage(axes: Axes, seen: Seen, size_wh: tuple[int, int]) -> None:
    """Cells by how often something was seen there; white: never."""
    width, height = size_wh
    points = seen.points_px + 0.5  # the picture reaches from -0.5
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=GRID_WH[::-1], range=((0, height), (0, width)))
    share = float((counts > 0).mean())
    counts[counts == 0] = np.nan
    drawn = axes.imshow(np.log10(counts), cmap="YlGnBu", extent=(-0.5, width - 0.5, height - 0.5, -0.5), vmin=0,
                        vmax=max(2.0, float(np.log10(np.nanmax(counts))) if np.isfinite(counts).any() else 2.0),
                        alpha=0.75)  # fmt: skip
    axes.plot(*seen.points_px.T, ".", color="#222222", ms=1.2, alpha=0.5)
    axes.set_title(f"seen in {share:.0%} of the picture", fontsize=9)
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.55, aspect=14, pad=0.02)
    bar.set_ticks([0, 1, 2], labels=["1", "10", "100"])
    bar.ax.tick_params(labelsize=7)
    bar.set_label("points in a cell", fontsize=7)


def _draw_residuals(axes: Axes, seen: Seen, width: int) -> None:
    """From each reprojected point towards where it was seen, so many times as long, coloured by length."""
    known = np.isfinite(seen.residual_px).all(-1)
    chosen = known & seen.held_out if (known & seen.held_out).any() else known
    rows = np.flatnonzero(chosen)
    rows = rows[:: -(-len(rows) // MOST_ARROWS) or 1]
    points, residuals = seen.points_px[rows], seen.residual_px[rows]
    length = np.linalg.norm(residuals, axis=-1)
    if not len(rows):
        axes.set_title("residuals", fontsize=9)
        axes.text(0.5, 0.5, "nothing seen together\nwith another camera", ha="center", va="center",
                  transform=axes.transAxes, color=GREY)  # fmt: skip
        return
    most = max(CLOSE_PX, float(np.percentile(length, 95)))
    longer = next((times for times in LONGER if most * times <= LONGEST * width), LONGER[-1])
    kind = "residuals of held-out frames" if chosen is not known and not seen.held_out.all() else "residuals"
    axes.set_title(f"{kind}, {longer} times as long", fontsize=9)
    lines = LineCollection(np.stack([points, points + longer * residuals], axis=1), cmap="plasma_r", lw=0.8)
    lines.set_array(length)
    lines.set_clim(0, most)
    axes.add_collection(lines)
    axes.scatter(points[:, 0], points[:, 1], c=length, cmap="plasma_r", vmin=0, vmax=most, s=3)
    bar = axes.figure.colorbar(lines, ax=axes, shrink=0.55, aspect=14, pad=0.02)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("px", fontsize=7)


def _cone(camera: Camera, depth_m: float) -> F64:
    """World points (5, 3) of the camera's place and of the corners of its picture at a depth."""
    width, height = camera.size_wh
    x = (np.array([0, width, width, 0]) - 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.array([0, 0, height, height]) - 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    corners = depth_m * np.stack([x, y, np.ones(4)], axis=1)
    return rigid.transform(camera.T_world_cam, np.concatenate([np.zeros((1, 3)), corners]))


def _draw_cone(axes: Axes, cone: F64, name: str, colour: str) -> None:
    axes.fill(*cone[1:].T, color=colour, alpha=0.15, lw=0)
    for corner in cone[1:]:
        axes.plot(*np.stack([cone[0], corner]).T, color=colour, lw=0.8)
    axes.plot(*cone[[1, 2, 3, 4, 1]].T, color=colour, lw=0.8)
    axes.plot(*cone[0], "o", color=colour, ms=4)
    axes.annotate(name, cone[0], textcoords="offset points", xytext=(5, 5), fontsize=9)


def _size_m(report: Report) -> float:
    """How far the rig reaches, with what it saw."""
    places = np.stack([camera.T_world_cam[:3, 3] for camera in report.calibrated])
    if report.path_m is not None:
        places = np.concatenate([places, report.path_m[np.isfinite(report.path_m).all(-1)]])
    return max(0.2, float(np.ptp(places, axis=0).max()))


def _is_good(report: Report, name: str) -> bool:
    judged = report.judgement.cameras.get(name)
    return judged is None or judged.verdict == "good"


def _values(told: list[Figures | None], figure: str) -> F64:
    values = [np.nan if one is None else getattr(one, figure) for one in told]
    return np.nan_to_num(np.array(values, dtype=np.float64))


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, bbox_inches="tight", facecolor="white")
    return out.getvalue()
