"""A row for each camera: what it delivers, and whether that is good."""

import math

from nodes.page import html
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written
from nodes.watching.camera_figures import CameraStatus
from nodes.watching.verdict import Verdict, counted
from nodes.watching.words import Level

COLUMNS = (
    ("camera", ""),
    ("fps", "frames a second that the detector looked at, of those that were asked for or granted"),
    ("drops", "frames that were captured and not looked at, because a newer one was there"),
    ("skew", "milliseconds that its newest frame is behind the newest of all cameras"),
    ("2D", "milliseconds that the detector needs for a frame"),
    ("off", "pixels from its joints to the joints in 3D, projected back into its picture: median of three seconds"),
)
MEANINGS = (
    ("the light", "green: all is well; blue: not begun, or over; yellow: look at it; red: it gives nothing usable"),
    (
        "fps",
        "Frames a second that the 2D detector looked at. Behind the stroke: what the camera granted. A camera that is "
        "faster than the detector drops frames: that is how it stays up to date, and no fault.",
    ),
    ("drops", "Frames that were captured and never looked at, since its process began."),
    (
        "skew",
        "How many milliseconds its newest frame is behind the newest of all cameras. Much more than the others: its "
        "way is longer, or its clock is wrong.",
    ),
    ("2D", "How many milliseconds the detector needs for a frame (median)."),
    (
        "off",
        "How far its 2D joints are off the joints in 3D, projected back into its picture, in pixels: the median of the "
        "last three seconds, also while it is left out. A few pixels are usual. Much more than the others: it was "
        "moved, or its calibration is wrong.",
    ),
    ("late", "Frames that came after the pose they belonged to had been made."),
    ("refused", "Frames that fusion did not take, and why."),
    ("opened again", "How often its source was lost and found again."),
)
NO_CAMERAS = "No camera is known yet."


class Cameras:
    """See `Part`."""

    every_s = 0.5

    def __init__(self, page: Page) -> None:
        with page.tabs.cameras:
            self._table = Written(page.server.gui.add_html(""))
            page.server.gui.add_html(html.meanings("What the figures mean", MEANINGS))

    def show(self, seen: Seen, now_ns: int) -> None:
        judged = seen.judged
        if judged is None or not judged.status.cameras:
            self._table.write(html.block(html.dim(NO_CAMERAS)))
            return
        rows: list[tuple[str, ...]] = []
        for camera in judged.status.cameras:
            verdict = judged.cameras[camera.name]
            rows += [_figures(camera, verdict), (_below(camera, verdict),)]
        self._table.write(html.block(html.table(COLUMNS, rows)))


def _figures(camera: CameraStatus, verdict: Verdict) -> tuple[str, ...]:
    return (
        f'{html.light(verdict.level)} <b style="color:#fff">{html.escaped(camera.name)}</b>',
        _fps(camera),
        f"{camera.dropped:,}",
        html.number(camera.skew_ms),
        html.number(camera.detect_ms),
        html.number(camera.input.reprojection_px if camera.input else math.nan, 1),
    )


def _fps(camera: CameraStatus) -> str:
    health = camera.health
    granted = math.nan if health is None else health.granted_fps
    wanted = granted if math.isfinite(granted) or health is None else health.asked_fps
    of = f'<span class="dim"> / {wanted:.0f}</span>' if math.isfinite(wanted) else ""
    return f"{html.number(camera.fps, 1)}{of}"


def _below(camera: CameraStatus, verdict: Verdict) -> str:
    """How it is, in words, and what is not as it should be."""
    words = verdict.words or camera.state
    colour = "" if verdict.level is Level.GOOD else "color:#dfe3e8"
    rest = [*_granted(camera), *_losses(camera)]
    told = f'<span style="{colour}">{html.escaped(words)}</span>'
    return " · ".join((told, *map(html.escaped, rest)))


def _granted(camera: CameraStatus) -> list[str]:
    """Its pictures; what was asked for where that is something else."""
    health = camera.health
    if health is None or not any(health.granted_size_wh):
        return []
    size = "×".join(map(str, health.granted_size_wh))
    asked = "×".join(map(str, health.asked_size_wh))
    differs = any(health.asked_size_wh) and health.asked_size_wh != health.granted_size_wh
    fps_differ = abs(health.asked_fps - health.granted_fps) > 1  # NaN compares false
    return [
        f"{size}{f' {health.granted_format}' if health.granted_format else ''}",
        *([f"asked for {asked}"] if differs else []),
        *([f"asked for {health.asked_fps:.0f} fps"] if fps_differ else []),
    ]


def _losses(camera: CameraStatus) -> list[str]:
    told = []
    if camera.input is not None and camera.input.late:
        told.append(f"{camera.input.late:,} late")
    if camera.input is not None and camera.input.rejected:
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in camera.input.rejected.items())
        told.append(f"refused: {reasons}")
    if camera.health is not None and camera.health.reconnects:
        told.append(f"opened again {counted(camera.health.reconnects, 'time')}")
    if camera.health is not None and camera.health.video_dropped:
        told.append(f"{counted(camera.health.video_dropped, 'picture')} missing in its video")
    return told
