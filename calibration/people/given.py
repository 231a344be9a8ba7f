"""A calibration that is given, held against what cameras saw of a person: clocks, and what is wrong with it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.limits import PEOPLE_MM
from calibration.people import essential
from calibration.people.beginning import GATE_OF_BODY, LEAST_TOGETHER, body_size, points_together
from calibration.people.body import Body
from calibration.people.track import PersonTrack, Straightened, Views, between_frames
from calibration.people.world import aligned, centres, size_of
from calibration.rig import Camera, CameraRig
from calibration.suspects import findings, suspicions
from calibration.twist import cross_matrix

Array = npt.NDArray[np.float64]

STEP_S = 0.05
SWEEPS = 3
FINER = 0.4  # of the step, from sweep to sweep
MOST_INSTANTS = 120
USUAL_STATURE_M = 1.7  # a person's size in the picture tells the distance, whatever the unit of the calibration


def clocks(straight: Straightened, T_cam_world: Array, instants_s: Array, most_offset_s: float) -> tuple[Array, Array]:
    """offsets_s (C,) at which the given poses hold best, the first camera's being 0; and the cost (C, C) of each pair.

    Costs are how badly the epipolar constraint holds, from 0 to 1; NaN for pairs that saw nothing together.
    """
    C = len(T_cam_world)
    instants_s = instants_s[:: max(1, len(instants_s) // MOST_INSTANTS)]
    offsets_s = np.zeros(C)
    views = [straight.camera(c, instants_s, 0.0) for c in range(C)]
    gates = [GATE_OF_BODY * float(body_size(view)[0]) for view in views]
    tried = np.arange(-np.ceil(most_offset_s / STEP_S), np.ceil(most_offset_s / STEP_S) + 1) * STEP_S
    for sweep in range(SWEEPS if most_offset_s > 0 else 0):
        for c in range(1, C):
            candidates = offsets_s[c] + tried * FINER**sweep
            seen = [straight.camera(c, instants_s, offset_s) for offset_s in candidates]
            costs = [_mean([_pair_cost(T_cam_world, [*views[:c], view, *views[c + 1 :]], gates, c, other)
                            for other in range(C) if other != c]) for view in seen]  # fmt: skip
            if np.isfinite(costs).any():
                best = int(np.nanargmin(costs))
                offsets_s[c], views[c] = candidates[best], seen[best]
    pairs = np.full((C, C), np.nan)
    for a in range(C):
        for b in range(a + 1, C):
            pairs[a, b] = pairs[b, a] = _pair_cost(T_cam_world, views, gates, a, b)
    return offsets_s, pairs


def _pair_cost(T_cam_world: Array, views: Sequence[Views], gates: Sequence[float], a: int, b: int) -> float:
    gate = (gates[a] + gates[b]) / 2
    xa, xb = points_together(views[a], views[b], np.random.default_rng(0))
    if len(xa) < LEAST_TOGETHER or not np.isfinite(gate):
        return float("nan")
    T = T_cam_world[b] @ rigid.inverse(T_cam_world[a])
    E = cross_matrix(T[:3, 3]) @ T[:3, :3]
    za, zb = essential.depths(T[:3, :3], T[:3, 3], xa, xb)
    off = np.where((za > 0) & (zb > 0), essential.sampson2(E[None], xa, xb)[0] / gate**2, 1.0)
    return float(np.minimum(off, 1.0).mean())


def _mean(costs: Sequence[float]) -> float:
    known = [cost for cost in costs if np.isfinite(cost)]
    return float(np.mean(known)) if known else float("nan")


def turned_and_moved(T_cam_world: Array, T_given: Array) -> tuple[Array, Array]:
    """How far each camera (C,) is turned, in degrees, and moved, as a share of the rig's size, from where it is given.

    The rigs are laid over each other so that as many cameras as possible agree.
    """
    T = aligned(T_cam_world, T_given).poses(T_cam_world)
    turned = [rigid.rotvec_from_rotation(R) for R in T[:, :3, :3] @ T_given[:, :3, :3].swapaxes(1, 2)]
    moved = np.linalg.norm(centres(T) - centres(T_given), axis=1) / max(size_of(T_given), 1e-12)
    return np.degrees(np.linalg.norm(turned, axis=1)), moved


def exchanged(T_cam_world: Array, T_given: Array, names: Sequence[str]) -> tuple[str, str] | None:
    """Two cameras whose given poses fit far better when exchanged; None where there are none."""

    def misfit(T: Array) -> float:
        turned_deg, moved = turned_and_moved(T_cam_world, T)
        return float((np.minimum(turned_deg / 60, 1) + np.minimum(moved, 1)).mean())

    C = len(T_given)
    lowest, best = 0.5 * misfit(T_given), None
    for a in range(C):
        for b in range(a + 1, C):
            order = np.arange(C)
            order[[a, b]] = order[[b, a]]
            if (now := misfit(T_given[order])) < lowest:
                lowest, best = now, (names[a], names[b])
    return best


def refuse_suspects(
    tracks: Sequence[PersonTrack],
    cameras: Sequence[Camera],
    body: Body,
    views: Views,
    offsets_s: Array,
    instants_s: Array,
) -> None:
    """Of poses that do not fit: raises CalibrationError when pictures are mirrored or turned over, or names exchanged.

    A mirrored person fits a camera that looks from elsewhere, so nothing tells it later. Clocks are as told, or off by
    offsets_s (C,): of a camera that does not fit, that is not known. views: give the person's size.
    """
    rig = CameraRig(tuple(cameras))
    limit = PEOPLE_MM.times(float(np.nanmedian(body_size(views))) / USUAL_STATURE_M)
    for offset_s in (np.zeros(len(offsets_s)), offsets_s):
        px = np.stack([
            _without_sides(track, body, instants_s - late_s) for track, late_s in zip(tracks, offset_s, strict=True)
        ])  # fmt: skip
        told = suspicions(rig, px, limit)
        if told and told[-1].px <= limit.usable:
            raise CalibrationError(
                "the given poses do not fit: "
                + "; ".join(
                    f"{one.reason}. What to do: {one.advice.replace('{names}', one.name)}" for one in findings(told)
                )
            )


def _without_sides(track: PersonTrack, body: Body, own_s: Array) -> Array:
    """Pixels (T, J, 2) of the middles between left and right: in a mirror, a detector takes one for the other."""
    sure = np.where(track.seen, track.confidence, 0.0)
    px = between_frames(track.captured_s, track.keypoints_px, sure, own_s)[0]
    return np.asarray((px + px[:, body.swapped]) / 2)
