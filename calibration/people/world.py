"""The world of a person who walked: metres, z up, origin on the floor below the middle of the walked area.

Cameras alone know neither size nor which way is up. Size comes from the person's stature or a measured distance, up
from the upright body and, where enough floor was walked on, from the feet: standing feet are on one plane.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.people.body import Body

Array = npt.NDArray[np.float64]

# Shares of the stature (Winter 2009, "Biomechanics and motor control of human movement", figure 4.1, after Drillis and
# Contini 1966): hip joint 0.530, ankle 0.039, shoulder 0.818 of it above the floor.
LEG_OF_STATURE = 0.491  # hip to knee and knee to ankle
TRUNK_OF_STATURE = 0.288  # middle of the hips to middle of the shoulders
EAR_OF_STATURE = 0.926  # tragion below the top of the head: 131 of 1756 mm (Gordon et al. 1989, ANSUR, men)
HEAD_MAY_DIFFER = 0.15  # share of the stature by the limbs; beyond, the person does not stand or feet are guessed
LEAST_HEADS = 10  # instants
# How high detectors see what stands on the floor, as a share of the stature.
FOOT_HEIGHTS = {"heel": 0.025, "foot_index": 0.02, "big_toe": 0.02, "small_toe": 0.02, "toe": 0.02, "ankle": 0.055}
LOW_SHARE = 0.1  # of the weight that points above the floor have in its fit (expectiles): feet are lifted, never sunk
FOOT_SIGMA = 0.02  # of the stature: how well one standing foot tells how high the floor is
SAME_STEP = 10  # instants, about
BODY_SIGMA = np.radians(2.5)  # of the mean of trunks and legs against the vertical: people lean
MOST_TILTED = np.radians(12.0)  # between body and floor; more, and the feet did not tell of a floor
LEAST_FEET = 30  # joints over instants


@dataclass(frozen=True, eq=False)
class Similarity:
    """p_to = scale · R · p_from + t."""

    scale: float
    R: Array
    t: Array

    def points(self, X: Array) -> Array:
        """Points (..., 3)."""
        return np.asarray(self.scale * X @ self.R.T + self.t)

    def poses(self, T_cam_from: Array) -> Array:
        """T_cam_to (C, 4, 4), distances being scaled: what a camera sees does not change."""
        T = T_cam_from.copy()
        T[:, :3, :3] = T_cam_from[:, :3, :3] @ self.R.T
        T[:, :3, 3] = self.scale * T_cam_from[:, :3, 3] - np.einsum("cij,j->ci", T[:, :3, :3], self.t)
        return T


def centres(T_cam_world: Array) -> Array:
    """(C, 3) where the cameras are."""
    return -np.einsum("cji,cj->ci", T_cam_world[:, :3, :3], T_cam_world[:, :3, 3])


def size_of(T_cam_world: Array) -> float:
    """Of a rig: the cameras' distance from their middle, root of the mean square."""
    away = centres(T_cam_world) - centres(T_cam_world).mean(0)
    return float(np.sqrt((away**2).sum(1).mean()))


def stature_of(joints: Array, body: Body) -> float:
    """Of the person, in the joints' own unit; NaN where neither legs nor trunk were seen.

    By the ears' height above the standing feet where both are seen and the limbs say about the same: hips and
    shoulders are where each detector has them. Else by legs and trunk.
    """
    by_limbs = _limbs_stature(joints, body)
    ears = _middle(joints, body, "ear")
    ears = ears[np.isfinite(ears).all(1)]
    if not np.isfinite(by_limbs) or len(ears) < LEAST_HEADS:
        return by_limbs
    up = _body_up(joints, body)
    high = float(np.percentile(ears @ up, 90))
    told = []
    for n, name in enumerate(body.joints):
        share = FOOT_HEIGHTS.get(name.partition("_")[2])
        foot = joints[:, n][np.isfinite(joints[:, n]).all(1)]
        if share is not None and len(foot) >= LEAST_HEADS:
            low = float(_lowest(np.ones((len(foot), 1)), foot @ up, by_limbs)[0][0])
            told.append((high - low) / (EAR_OF_STATURE - share))
    by_head = float(np.median(told)) if told else np.nan
    return by_head if abs(by_head / by_limbs - 1) < HEAD_MAY_DIFFER else by_limbs


def _limbs_stature(joints: Array, body: Body) -> float:
    place = {name: n for n, name in enumerate(body.joints)}

    def length(first: str, second: str) -> float:
        if first not in place or second not in place:
            return np.nan
        each = np.linalg.norm(joints[:, place[first]] - joints[:, place[second]], axis=-1)
        each = each[np.isfinite(each)]
        return float(np.median(each)) if len(each) else np.nan

    sides = ("left", "right")
    legs = [length(f"{s}_hip", f"{s}_knee") + length(f"{s}_knee", f"{s}_ankle") for s in sides]
    trunk = _middle(joints, body, "shoulder") - _middle(joints, body, "hip")
    trunks = np.linalg.norm(trunk, axis=-1)
    trunks = trunks[np.isfinite(trunks)]
    parts: list[tuple[float, float]] = [(leg, LEG_OF_STATURE) for leg in legs if np.isfinite(leg)]
    if len(trunks):
        parts.append((float(np.median(trunks)), TRUNK_OF_STATURE))
    return float(sum(part for part, _ in parts) / sum(share for _, share in parts)) if parts else float("nan")


def upright(joints: Array, body: Body) -> tuple[Array, float]:
    """Up (3,), and about how sure it is, in radians. Raises CalibrationError without a body."""
    up = _body_up(joints, body)
    stature = stature_of(joints, body)
    feet = [joints[:, n] for n, name in enumerate(body.joints) if name.partition("_")[2] in FOOT_HEIGHTS]
    if not feet or not np.isfinite(stature):
        return up, BODY_SIGMA
    floor, sigma = _floor_up(feet, up, stature)
    tilted = np.arccos(np.clip(floor @ up, -1, 1))
    return (floor, sigma) if tilted < MOST_TILTED else (up, BODY_SIGMA)


def person_world(T_cam_from: Array, joints: Array, body: Body, scale: float, towards: int) -> tuple[Similarity, float]:
    """To the world: z up, the floor at 0, x from the origin towards a camera. And how sure up is, in radians."""
    up, sigma = upright(joints, body)
    scaled, stature = scale * joints, scale * stature_of(joints, body)
    low, feet = _floor_height(scaled, body, up, stature)
    middle = np.array([np.median(np.percentile(feet[:, axis], (2, 98))) for axis in range(3)])
    ahead = scale * centres(T_cam_from)[towards] - middle
    x = ahead - up * (ahead @ up)
    if np.linalg.norm(x) < 1e-6 * np.linalg.norm(ahead):
        x = np.linalg.svd(up[None])[2][1]
    x = x / np.linalg.norm(x)
    R = np.stack([x, np.cross(up, x), up])
    return Similarity(scale, R, -R @ (middle + up * (low - middle @ up))), sigma


def aligned(T_cam_from: Array, T_cam_to: Array, scale: float | None = None) -> Similarity:
    """What brings one rig to another: cameras' places and axes; the scale from their places unless it is given.

    Cameras that moved between the two have little say (reweighted least squares).
    """
    size = size_of(T_cam_to)
    source, target = centres(T_cam_from), centres(T_cam_to)
    if scale is None:
        scale = size / max(size_of(T_cam_from), 1e-12)
        free = True
    else:
        free = False
    weight = np.ones(len(source))
    found = Similarity(scale, np.eye(3), np.zeros(3))
    for _ in range(10):
        share = weight / weight.sum()
        a, b = source - share @ source, target - share @ target
        H = np.einsum("c,ci,cj->ij", share, b, scale * a)
        H += size**2 * np.einsum("c,cki,ckj->ij", share, T_cam_to[:, :3, :3], T_cam_from[:, :3, :3])
        U, _, Vt = np.linalg.svd(H)
        R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
        if free and (a**2).sum() > 0:
            scale = float(np.einsum("c,ci,ci->", share, b, a @ R.T) / np.einsum("c,ci,ci->", share, a, a))
        found = Similarity(scale, R, share @ target - scale * R @ (share @ source))
        off = np.linalg.norm(found.points(source) - target, axis=1) / size
        weight = 1 / (1 + (off / 0.02) ** 2)
    return found


def _middle(joints: Array, body: Body, part: str) -> Array:
    """(T, 3) between left and right, NaN where the skeleton has none."""
    names = (f"left_{part}", f"right_{part}")
    if not all(name in body.joints for name in names):
        return np.full((len(joints), 3), np.nan)
    return np.asarray((joints[:, body.joints.index(names[0])] + joints[:, body.joints.index(names[1])]) / 2)


def _body_up(joints: Array, body: Body) -> Array:
    """The mean of trunks and legs, those that lean most weighing least."""
    parts = [("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"), ("hip", "ankle")]
    along = np.concatenate([_middle(joints, body, upper) - _middle(joints, body, lower) for upper, lower in parts])
    along = along[np.isfinite(along).all(1)]
    if len(along) < 3:
        raise CalibrationError(
            "neither trunk nor legs of the person were seen by two cameras, so nobody knows which way is up: let the "
            "whole person be in the pictures, or keep the world of a calibration (--refine)"
        )
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.median(along, axis=0)
    for _ in range(10):
        up /= np.linalg.norm(up)
        lean = 1 - along @ up
        up = (along / (1 + (lean / 0.03) ** 2)[:, None]).sum(0)
    return np.asarray(up / np.linalg.norm(up))


def _floor_up(feet: Sequence[Array], up: Array, stature: float) -> tuple[Array, float]:
    """The normal of the plane that standing feet are on, the body's up being believed as well; its sigma in radians."""
    across = np.linalg.svd(up[None])[2][1:]
    known = [foot[np.isfinite(foot).all(1)] for foot in feet]
    own = np.eye(len(feet))  # each of its joints is seen at a height of its own
    A = np.concatenate([np.hstack([foot @ across.T, np.tile(own[n], (len(foot), 1))]) for n, foot in enumerate(known)])
    h = np.concatenate(known) @ up
    if len(A) < LEAST_FEET:
        return up, BODY_SIGMA
    x, sigma = _lowest(A, h, stature, tilts=2)
    normal = up - x[:2] @ across
    return normal / np.linalg.norm(normal), sigma


def _lowest(A: Array, h: Array, stature: float, tilts: int = 0) -> tuple[Array, float]:
    """Coefficients x whose A x lies at the lower edge of heights h: asymmetric, robust least squares.

    The first `tilts` of them are believed to be 0 with BODY_SIGMA; the larger sigma of these is returned with them.
    """
    fewer = 1 / (SAME_STEP * (FOOT_SIGMA * stature) ** 2)  # instants of one step tell the same
    prior = np.diag(np.where(np.arange(A.shape[1]) < tilts, BODY_SIGMA**-2, 1e-9))
    x = np.linalg.lstsq(A, h, rcond=None)[0]
    normal = prior
    for _ in range(30):
        above = h - A @ x
        weight = fewer * np.where(above > 0, LOW_SHARE, 1.0) / (1 + (above / (0.03 * stature)) ** 2)
        normal = (A * weight[:, None]).T @ A + prior
        x = np.linalg.solve(normal, (A * weight[:, None]).T @ h)
    sigma = np.sqrt(np.linalg.eigvalsh(np.linalg.inv(normal)[:tilts, :tilts])[-1]) if tilts else np.nan
    return x, float(sigma)


def _floor_height(joints: Array, body: Body, up: Array, stature: float) -> tuple[float, Array]:
    """How high the floor is along up, and where the feet were (N, 3); by the hips where there are no feet."""
    levels, places = [], []
    for n, name in enumerate(body.joints):
        share = FOOT_HEIGHTS.get(name.partition("_")[2])
        foot = joints[:, n][np.isfinite(joints[:, n]).all(1)]
        if share is None or len(foot) < 5:
            continue
        levels.append(float(_lowest(np.ones((len(foot), 1)), foot @ up, stature)[0][0]) - share * stature)
        places.append(foot)
    if levels:
        return float(np.median(levels)), np.concatenate(places)
    seen = joints[np.isfinite(joints).all(-1)]
    return float(np.percentile(seen @ up, 2)), seen
