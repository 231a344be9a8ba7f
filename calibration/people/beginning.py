"""Where the cameras stand, from nothing but intrinsics and tracks: pairs by epipolar geometry, then a tree of pairs.

A pair's clocks are brought together first: of all offsets, the epipolar constraint holds best at the true one, whatever
the geometry is; a person who walks moves off his epipolar line within a few hundredths of a second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.people import essential
from calibration.people.points import points_of
from calibration.people.track import Straightened, Views

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COARSE_S = 0.1  # between offsets tried: half of what a stride takes to leave its epipolar line
FINEST_S = 0.004  # where halving ends; the bundle adjustment does the rest
SAMPLES = 100
MOST_PAIRS = 600  # of points, for a pair of cameras
GATE_OF_BODY = 0.04  # of the person's height in the picture: how far detectors see a joint beside itself
LEAST_SURE = 0.5
LEAST_TOGETHER = 60  # joints over instants that two cameras saw at the same time
GOOD_PARALLAX = 0.3  # sine of the angle between rays: from here on more does not help
HOPELESS = 0.75  # MSAC cost of a pair, 1 being no agreement at all


@dataclass(frozen=True, eq=False)
class Pair:
    """Cameras a and b: T_b_a with |t| = 1, b's clock later than a's by offset_s. merit: for the choice among pairs."""

    a: int
    b: int
    T_b_a: Array
    offset_s: float
    cost: float
    count: int
    parallax: float

    @property
    def merit(self) -> float:
        return float(np.sqrt(self.count) * (1 - self.cost) ** 8 * min(self.parallax / GOOD_PARALLAX, 1.0))


@dataclass(frozen=True, eq=False)
class Beginning:
    """T_cam_world: (C, 4, 4), the first camera of the tree being the world, scale arbitrary. offsets_s: (C,)."""

    T_cam_world: Array
    offsets_s: Array
    pairs: tuple[Pair, ...]


def begin(
    straight: Straightened,
    names: Sequence[str],
    instants_s: Array,
    most_offset_s: float,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda _share: None,
) -> Beginning:
    """Poses and offsets of all cameras. Raises CalibrationError naming a camera that nothing ties to the others."""
    C = len(names)
    both = [(a, b) for a in range(C) for b in range(a + 1, C)]
    pairs = []
    for n, (a, b) in enumerate(both):
        found = pair_of(straight, a, b, instants_s, most_offset_s, rng)
        if found is not None:
            pairs.append(found)
        progress((n + 1) / len(both))
    return _chained(straight, names, instants_s, pairs)


def body_size(views: Views) -> Array:
    """(C,) how large the person is in each view, in normalised coordinates."""
    xy = np.where(views.seen[..., None], views.xy, np.nan)
    whole = views.seen.sum(-1) >= 4
    sizes = [np.nanmax(of[which], 1) - np.nanmin(of[which], 1) for of, which in zip(xy, whole, strict=True)]
    return np.array([float(np.median(np.linalg.norm(size, axis=-1))) if len(size) else np.nan for size in sizes])


def pair_of(
    straight: Straightened, a: int, b: int, instants_s: Array, most_offset_s: float, rng: np.random.Generator
) -> Pair | None:
    """The relative pose and offset of two cameras; None when they saw too little together."""
    of_a = straight.camera(a, instants_s, 0.0)
    gate = GATE_OF_BODY * float(np.mean([body_size(of_a)[0], body_size(straight.camera(b, instants_s, 0.0))[0]]))
    if not np.isfinite(gate):
        return None

    def seen(offset_s: float) -> tuple[Array, Array]:
        return points_together(of_a, straight.camera(b, instants_s, offset_s), np.random.default_rng(0))

    tried: dict[float, tuple[float, Array]] = {}
    n = int(np.ceil(most_offset_s / COARSE_S))
    for offset in np.arange(-n, n + 1) * COARSE_S:
        xa, xb = seen(offset)
        E, cost = essential.ransac(xa, xb, gate, SAMPLES, rng) if len(xa) >= LEAST_TOGETHER else (np.eye(3), 1.0)
        tried[float(offset)] = (cost, E)
    best, step = min(tried, key=lambda offset: tried[offset][0]), COARSE_S
    while step > FINEST_S and most_offset_s > 0:
        step /= 2
        for offset in (best - step, best + step):
            E, cost = essential.polished(tried[best][1], *seen(offset), gate)
            tried[offset] = (cost, E)
        best = min(tried, key=lambda offset: tried[offset][0])
    cost, E = tried[best]
    if cost > HOPELESS:
        return None
    xa, xb = points_together(of_a, straight.camera(b, instants_s, best), rng, most=10 * MOST_PAIRS)
    found = essential.relative(E, cost, xa, xb, gate)
    if found.inliers.sum() < LEAST_TOGETHER // 2:
        return None
    return Pair(a, b, found.T_b_a, float(best), cost, int(found.inliers.sum()), _parallax(found, xa, xb))


def points_together(of_a: Views, of_b: Views, rng: np.random.Generator, most: int = MOST_PAIRS) -> tuple[Array, Array]:
    """Points (N, 2) of joints that both saw at the same instant."""
    sure = (of_a.confidence[0] > LEAST_SURE) & (of_b.confidence[0] > LEAST_SURE)
    if sure.sum() < LEAST_TOGETHER:
        sure = (of_a.confidence[0] > 0) & (of_b.confidence[0] > 0)
    xa, xb = of_a.xy[0][sure], of_b.xy[0][sure]
    if len(xa) > most:
        chosen = rng.choice(len(xa), most, replace=False)
        return xa[chosen], xb[chosen]
    return xa, xb


def _parallax(found: essential.Relative, xa: Array, xb: Array) -> float:
    """Sine of the median angle between the two rays to one point."""
    ra = np.concatenate([xa, np.ones((len(xa), 1))], 1)[found.inliers] @ found.T_b_a[:3, :3].T
    rb = np.concatenate([xb, np.ones((len(xb), 1))], 1)[found.inliers]
    cross = np.linalg.norm(np.cross(ra, rb), axis=1)
    return float(np.median(cross / np.linalg.norm(ra, axis=1) / np.linalg.norm(rb, axis=1)))


def _chained(straight: Straightened, names: Sequence[str], instants_s: Array, pairs: list[Pair]) -> Beginning:
    C = len(names)
    if not pairs:
        raise CalibrationError(
            f"no two of the cameras {', '.join(names)} agree on where a person moved: let one person walk about where "
            "all of them look, for half a minute; or their clocks are farther apart than was searched (--max-offset)"
        )
    first = max(pairs, key=lambda pair: pair.merit)
    T, offsets_s = np.full((C, 4, 4), np.nan), np.zeros(C)
    T[first.a], T[first.b] = np.eye(4), first.T_b_a
    offsets_s[first.b] = first.offset_s
    placed = [first.a, first.b]
    while len(placed) < C:
        ways = [pair for pair in pairs if (pair.a in placed) != (pair.b in placed)]
        if not ways:
            lost = [name for c, name in enumerate(names) if c not in placed]
            raise CalibrationError(
                f"camera {lost[0]!r} never sees the person well together with another one"
                + (f" (nor do {', '.join(lost[1:])})" if lost[1:] else "")
                + ": let the person walk where its picture and a neighbour's overlap, or leave it out"
            )
        _place(straight, instants_s, max(ways, key=lambda pair: pair.merit), placed, T, offsets_s)
    return Beginning(T, offsets_s, tuple(pairs))


def _place(straight: Straightened, instants_s: Array, way: Pair, placed: list[int], T: Array, offsets_s: Array) -> None:
    """Add the other camera of a pair to those placed, in their scale; T and offsets_s are changed."""
    known, new = (way.a, way.b) if way.a in placed else (way.b, way.a)
    T_new_known = way.T_b_a if new == way.b else rigid.inverse(way.T_b_a)
    offsets_s[new] = offsets_s[known] + (way.offset_s if new == way.b else -way.offset_s)
    views = straight.views(instants_s, offsets_s)
    old = views.of_cameras(placed)
    X = points_of(T[placed], old.xy, old.confidence, gate=float(np.nanmean(body_size(old)) * GATE_OF_BODY))
    z_known = X @ T[known, 2, :3] + T[known, 2, 3]
    pair = views.of_cameras([known, new])
    shared = np.isfinite(z_known) & pair.seen.all(0)
    R, t = T_new_known[:3, :3], T_new_known[:3, 3]
    z_pair, z_new = essential.depths(R, t, pair.xy[0][shared], pair.xy[1][shared])
    good = (z_pair > 0) & (z_new > 0) & (z_known[shared] > 0)
    scale = float(np.median(z_known[shared][good] / z_pair[good])) if good.sum() >= 10 else 1.0
    T_scaled = T_new_known.copy()
    T_scaled[:3, 3] = t * scale
    T[new] = T_scaled @ T[known]
    placed.append(new)
