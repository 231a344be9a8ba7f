"""Somebody's bones: lengths and shapes that stay the same over the take, measured by many poses.

A bone is as long as the median of its measurements. How the bones of a head, hand or foot lie to each other at rest is
the shape that fits the measurements best, each turned onto it (generalised Procrustes); it stands at rest as usual.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nodes.exporting.figure import Figure

F64 = npt.NDArray[np.float64]
LEAST = 5  # measurements that make a length
ROUNDS = 8
SHORTEST_M = 0.005  # a bone of no length has no direction


def with_middles(figure: Figure, joints: npt.NDArray[np.floating[Any]]) -> F64:
    """A skeleton's joints (…, J, 3) with the figure's middles behind them."""
    middles = [(joints[..., a, :] + joints[..., b, :]) / 2 for a, b in figure.middles.values()]
    return np.concatenate([joints, *(each[..., None, :] for each in middles)], axis=-2).astype(np.float64)


def measure(figure: Figure, joints_m: F64) -> F64:
    """offset_m (J, 3): where each joint is at rest, from the joint that it hangs on; (0, 0, 0) of the root.

    joints_m: (S, J, 3) of many poses, y up, with middles; NaN where not measured.
    """
    offset_m = np.zeros((len(figure.joints), 3))
    scale = _scale(figure, joints_m)
    for i, node in enumerate(figure.nodes):
        ends = list(node.ends) or figure.carried(i)
        arms_m = joints_m[:, ends] - joints_m[:, node.at, None]
        usual_m = (figure.rest_m[ends] - figure.rest_m[node.at]) * scale
        if node.ends:
            along = offset_m[ends] if offset_m[ends].any() else usual_m
            lengths = _lengths(arms_m, usual_m)
            offset_m[ends] = along * (lengths / np.linalg.norm(along, axis=-1))[:, None]
        else:
            offset_m[ends] = _shape(arms_m, usual_m) if figure.is_stiff(ends) else usual_m
    return offset_m


def nearest_rotation(M: F64, weak: F64) -> F64:
    """The rotations R (…, 3, 3) that make the trace of Rᵀ M greatest, `weak` where M leaves a turn open (Kabsch)."""
    size = np.linalg.norm(M, axis=(-2, -1), keepdims=True)
    U, _, Vt = np.linalg.svd(M + np.maximum(1e-4 * size, 1e-12) * weak)
    U[..., :, 2] *= np.sign(np.linalg.det(U @ Vt))[..., None]
    R: F64 = U @ Vt
    return R


def _scale(figure: Figure, joints_m: F64) -> float:
    """How much larger than the figure at rest somebody is: the median over bones that were measured."""
    ratios = []
    for node in figure.nodes:
        for end in node.ends:
            length = np.linalg.norm(joints_m[:, end] - joints_m[:, node.at], axis=-1)
            if np.isfinite(length).sum() >= LEAST:
                ratios.append(np.nanmedian(length) / np.linalg.norm(figure.rest_m[end] - figure.rest_m[node.at]))
    return float(np.median(ratios)) if ratios else 1.0


def _lengths(arms_m: F64, usual_m: F64) -> F64:
    """Lengths (E,) of a line's ends, the usual ones where they were not measured often enough."""
    length = np.linalg.norm(arms_m, axis=-1)
    enough = np.isfinite(length).sum(axis=0) >= LEAST
    measured = np.nanmedian(np.where(enough, length, 1.0), axis=0)
    return np.maximum(np.where(enough, measured, np.linalg.norm(usual_m, axis=-1)), SHORTEST_M)


def _shape(arms_m: F64, usual_m: F64) -> F64:
    """The stiff shape (E, 3) of several ends."""
    known = np.isfinite(arms_m).all(-1)
    enough = known.sum(axis=0) >= LEAST
    several = (known & enough).sum(axis=1) >= 2
    if enough.sum() < 2 or several.sum() < LEAST:
        return usual_m
    arms_m = arms_m[several]
    shape = usual_m.copy()
    weak = np.eye(3)
    for _ in range(ROUNDS):
        R = nearest_rotation(np.einsum("sei,ej->sij", np.nan_to_num(arms_m), shape), weak)
        back = np.einsum("sji,sej->sei", R, arms_m)
        shape = np.where(enough[:, None], np.nanmedian(np.where(enough[:, None], back, 0.0), axis=0), usual_m)
    upright = nearest_rotation(usual_m.T @ shape, weak)
    return shape @ upright.T
