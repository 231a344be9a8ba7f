"""Instants left out of the fit, and how well a rig fits them: cameras and clocks fixed, joints triangulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.people.track import Views
from calibration.triangulate import RigArrays, triangulate

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BLOCK_S = 1.0  # left out in a row, so that what was learnt says little about it
MOST_BLOCKS = 25  # short recordings have shorter ones
SHORTEST_BLOCK_S = 0.15
ONE_IN = 5
MARGIN_S = 0.1  # beside a block that is left out, nothing is learnt
EVERYTHING = 1e6  # as outlier_sigmas: no view is out-voted, so a bad rig cannot look good by dropping what disagrees


@dataclass(frozen=True)
class Spread:
    """Of `count` distances in pixels; NaN of none. p50_at_1000: the median at a focal length of 1000 px."""

    count: int
    p50: float
    p95: float
    p50_at_1000: float


@dataclass(frozen=True, eq=False)
class Fit:
    """instants: with a person seen by two cameras or more. whole, cameras: of all views, and of each camera's."""

    instants: int
    whole: Spread
    cameras: Mapping[str, Spread]


def parted(instants_s: Array, seed: int) -> tuple[Bools, Bools]:
    """Instants to learn from, and to measure at: whole stretches, one in five, chosen by the seed."""
    begin_s, end_s = float(instants_s[0]), float(instants_s[-1])
    block_s = min(BLOCK_S, max((end_s - begin_s) / MOST_BLOCKS, SHORTEST_BLOCK_S))
    n_blocks = max(int(np.ceil((end_s - begin_s) / block_s)), 2)
    rng = np.random.default_rng(seed)
    groups = np.array_split(np.arange(n_blocks), max(n_blocks // ONE_IN, 1))
    left_out = np.array([rng.choice(group) for group in groups])
    block = np.minimum(((instants_s - begin_s) / block_s).astype(np.int64), n_blocks - 1)
    measured = np.isin(block, left_out)
    margin_s = min(MARGIN_S, block_s / 4)
    near = np.abs(instants_s[:, None] - instants_s[None, measured]).min(1, initial=np.inf) < margin_s
    return ~near, measured


def fit_of(T_cam_world: Array, zoom: Array, focal_px: Array, views: Views, names: Sequence[str]) -> Fit:
    """How far each view is from the point that all views of the joint give, in pixels of the camera's own focal length.

    Plain least squares over all views (`calibration.triangulate` without a gate). Lens distortion is taken off first.
    """
    focal = focal_px * zoom
    K = np.zeros((len(focal), 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, 2, 2] = 1.0
    arrays = RigArrays(K, np.zeros((len(focal), 8)), np.ascontiguousarray(T_cam_world[:, :3]), focal)
    # `xy` was made with the given focal length: a pixel stays a pixel whatever the zoom
    px, sure = views.xy * focal_px[:, None, None, None], views.confidence
    off_px = np.stack(
        [triangulate(arrays, px[:, t], sure[:, t], outlier_sigmas=EVERYTHING).residual_px for t in range(px.shape[1])],
        axis=1,
    ) if px.shape[1] else np.empty(sure.shape)  # fmt: skip
    off_px = np.where(np.isinf(off_px), 1e3 * focal_px[:, None, None], off_px)  # behind a camera
    scaled = off_px * (1000.0 / focal[:, None, None])
    return Fit(
        instants=int(np.isfinite(off_px).any((0, 2)).sum()),
        whole=_spread(off_px, scaled),
        cameras={name: _spread(off_px[c], scaled[c]) for c, name in enumerate(names)},
    )


def _spread(off_px: Array, scaled: Array) -> Spread:
    known = np.isfinite(off_px)
    if not known.any():
        return Spread(0, np.nan, np.nan, np.nan)
    p50, p95 = np.percentile(off_px[known], (50, 95))
    return Spread(int(known.sum()), float(p50), float(p95), float(np.median(scaled[known])))
