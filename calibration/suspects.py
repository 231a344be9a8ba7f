"""What a rig that does not fit was given wrongly: cameras exchanged, a picture mirrored or upside down. By trying.

Each suspicion is a change of what was seen, after which everything fits far better, or it is none.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from calibration.limits import BOARD_PX, CULPRIT_SHARE, Limit
from calibration.measure import spread_of, triangulated
from calibration.rig import CameraRig
from calibration.verdict import Finding

Array = npt.NDArray[np.float64]

MOST_ROWS = 60  # instants tried: a wrong name shows on every one
STEP_SHARE = 0.8  # of the error that each change may leave: of several faults, the first that is mended helps little
MOST_FOR_THREES = 8  # cameras
FAR_BEYOND = 2.0  # times the limit: a calibration that is poor besides is still told what else is wrong
PLACED_SHARE = 0.6  # of what was seen, else the fit is of a chosen few
Kind = Literal["swapped", "mirrored", "upside down"]
REMEDIES: dict[Kind, str] = {
    "swapped": "exchange their names, in the calibration or in the recording: {names}",
    "mirrored": "switch off the mirror (selfie) mode of the camera, or of its program, and record again: {names}",
    "upside down": "the picture was turned over since: turn camera or picture as in the calibration: {names}",
}


@dataclass(frozen=True)
class Suspicion:
    """cameras: those that are swapped (of three, each shows what the next should), or one.

    px: median at 1000 px focal length with it mended, and before (inf: nothing has a place). Where several things are
    wrong at once, each `px` is with those before it mended, too.
    """

    kind: Kind
    cameras: tuple[str, ...]
    px: float
    px_before: float


def suspicions(rig: CameraRig, points_px: Array, limit: Limit = BOARD_PX) -> tuple[Suspicion, ...]:
    """Of points (C, T, ..., 2), what mends most, one after the other; nothing where all fits, or no change mends it.

    limit: of the median error. What is mended in the end must not be far beyond `usable`, and twice as good as before.
    """
    points_px = _spread_rows(points_px)
    first = px = _px(rig, points_px)
    told: list[Suspicion] = []
    while len(told) < len(rig.cameras) and limit.verdict(px) != "good":
        tried = [(_px(rig, changed), kind, cameras, changed) for kind, cameras, changed in _changes(rig, points_px)]
        best_px, kind, cameras, changed = min(tried, key=lambda one: one[0])
        if not best_px <= STEP_SHARE * px or np.isinf(best_px):
            break
        told.append(Suspicion(kind, cameras, best_px, px))
        px, points_px = best_px, changed
    return tuple(told) if px <= min(CULPRIT_SHARE * first, FAR_BEYOND * limit.usable) else ()


def findings(suspected: tuple[Suspicion, ...]) -> tuple[Finding, ...]:
    """In words, each a reason to do it again, and why nothing fits."""
    return tuple(
        Finding("redo", _reason(one), REMEDIES[one.kind], " and ".join(one.cameras), explains_px=True)
        for one in suspected
    )


def _reason(one: Suspicion) -> str:
    said = {
        "swapped": f"{' and '.join(one.cameras)} are exchanged{_ring(one.cameras)}",
        "mirrored": f"the picture of {one.cameras[0]} is mirrored",
        "upside down": f"the picture of {one.cameras[0]} is upside down",
    }
    before = "it fits nowhere" if np.isinf(one.px_before) else f"{one.px_before:.1f} px"
    return f"{said[one.kind]}: with that mended, what is seen lies {one.px:.1f} px from where it should, else {before}"


def _ring(cameras: tuple[str, ...]) -> str:
    if len(cameras) == 2:
        return ""
    turned = (*cameras[1:], cameras[0])
    shown = (f"{one} shows what {other} should" for one, other in zip(cameras, turned, strict=True))
    return f" ({', '.join(shown)})"


def _changes(rig: CameraRig, points_px: Array) -> list[tuple[Kind, tuple[str, ...], Array]]:
    changes: list[tuple[Kind, tuple[str, ...], Array]] = []
    for ring in _rings(len(rig.cameras)):
        swapped = points_px.copy()
        swapped[[*ring[1:], ring[0]]] = points_px[list(ring)]
        changes.append(("swapped", tuple(rig.names[c] for c in ring), swapped))
    for c, camera in enumerate(rig.cameras):
        far = np.array(camera.size_wh, dtype=np.float64) - 1
        mirrored, turned = points_px.copy(), points_px.copy()
        mirrored[c, ..., 0] = far[0] - points_px[c, ..., 0]
        turned[c] = far - points_px[c]
        changes += [("mirrored", (camera.name,), mirrored), ("upside down", (camera.name,), turned)]
    return changes


def _rings(n: int) -> list[tuple[int, ...]]:
    """Two that are exchanged, and, in a small rig, three that took each other's place: one way round, and the other."""
    threes = list(combinations(range(n), 3)) if n <= MOST_FOR_THREES else []
    return [*combinations(range(n), 2), *threes, *(three[::-1] for three in threes)]


def _px(rig: CameraRig, points_px: Array) -> float:
    """Infinite where most of what two cameras saw gets no place before them."""
    seen = np.isfinite(points_px).all(-1)
    told = spread_of(rig, points_px - rig.project(triangulated(rig, points_px)))
    possible = (seen & (seen.sum(0) >= 2)).sum()
    return told.px_p50_at_1000 if told.count > PLACED_SHARE * possible else np.inf


def _spread_rows(points_px: Array) -> Array:
    """Some of the rows at which two or more cameras saw something, over the whole time."""
    seen = np.isfinite(points_px).all(-1).reshape(*points_px.shape[:2], -1).any(-1)
    rows = np.flatnonzero(seen.sum(0) >= 2)
    return points_px[:, rows[:: -(-len(rows) // MOST_ROWS) or 1]]
