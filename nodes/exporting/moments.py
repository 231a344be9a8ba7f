"""Poses as arrays over many moments, block by block: as they were recorded, or at an even rate. Pure.

An even rate is had by cubic interpolation (Hermite's, with the slopes of the parabola through three neighbours) of each
joint between the samples around a moment, if they are no farther apart than `gap_s`; else the joint is absent. No
filter: at a rate lower than the recording's, what is between its moments is left out.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.exporting.survey import known_joints
from nodes.wire.messages import Origin, Person3D, Pose3D

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
BLOCK = 256  # moments: eight seconds at 30 Hz
GAP_S = 0.25  # somebody may have turned round in it
GAP_STEPS = 2.5  # of slow recordings
SAME_MOMENT_NS = 500_000  # as the synchroniser has it
BRIDGED_STEPS = 1.6  # samples farther apart than this have one missing between them


@dataclass(frozen=True, eq=False)
class Rows:
    """One person at B moments, NaN, 0 and Origin.ABSENT where absent; views: bits of the survey's cameras.

    joints_m: (B, J, 3) metres. sigma_m, reprojection_px, views, origin: (B, J).
    """

    joints_m: F64
    sigma_m: F64
    reprojection_px: F64
    views: npt.NDArray[np.uint32]
    origin: npt.NDArray[np.uint8]

    def __getitem__(self, which: slice | npt.NDArray[np.bool_]) -> "Rows":
        return Rows(
            self.joints_m[which],
            self.sigma_m[which],
            self.reprojection_px[which],
            self.views[which],
            self.origin[which],
        )

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """(B,) whether anything of the person is there."""
        there: npt.NDArray[np.bool_] = np.isfinite(self.joints_m).all(-1).any(-1)
        return there


def absent(n_moments: int, n_joints: int) -> Rows:
    """Nobody."""
    shape = (n_moments, n_joints)
    return Rows(
        np.full((*shape, 3), np.nan),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.zeros(shape, np.uint32),
        np.zeros(shape, np.uint8),
    )


@dataclass(frozen=True, eq=False)
class Block:
    """B consecutive moments. first: number of the first one. people: those of them who are there at any of them."""

    first: int
    captured_ns: I64
    people: dict[int, Rows]


@dataclass(frozen=True)
class Grid:
    """Moments at an even rate."""

    start_ns: int
    rate_hz: float
    count: int

    def times_ns(self, first: int, count: int) -> I64:
        return self.start_ns + np.round(np.arange(first, first + count) * (1e9 / self.rate_hz)).astype(np.int64)

    def within(self, from_ns: int, to_ns: int) -> tuple[int, int]:
        """Numbers of the first moment and of the one behind the last that lie between two times."""
        step_ns = 1e9 / self.rate_hz
        first = int(np.ceil((from_ns - self.start_ns - SAME_MOMENT_NS) / step_ns))
        last = int(np.floor((to_ns - self.start_ns + SAME_MOMENT_NS) / step_ns))
        return max(first, 0), min(last + 1, self.count)


def grid_of(first_ns: int, last_ns: int, rate_hz: float) -> Grid:
    """An even rate over a time."""
    return Grid(first_ns, rate_hz, int(np.floor((last_ns - first_ns + SAME_MOMENT_NS) * 1e-9 * rate_hz)) + 1)


def as_recorded(poses: Iterable[Pose3D], cameras: tuple[str, ...], ids: set[int], n_joints: int) -> Iterator[Block]:
    """The poses' own moments; of the people, those of `ids`."""
    first, waiting = 0, deque[Pose3D]()
    for pose in poses:
        waiting.append(pose)
        if len(waiting) == BLOCK:
            yield _own_moments(first, waiting, cameras, ids, n_joints)
            first += BLOCK
            waiting.clear()
    if waiting:
        yield _own_moments(first, waiting, cameras, ids, n_joints)


def at_even_rate(
    poses: Iterable[Pose3D], grid: Grid, step_s: float, cameras: tuple[str, ...], ids: set[int], n_joints: int
) -> Iterator[Block]:
    """The moments of a grid. step_s: the usual step between poses, by which is judged what was bridged."""
    gap_ns = round(max(GAP_S, GAP_STEPS * step_s) * 1e9)
    first, waiting = 0, deque[Pose3D]()
    for pose in poses:
        waiting.append(pose)
        while first + BLOCK <= grid.count and pose.captured_ns > grid.times_ns(first + BLOCK - 1, 1)[0] + 2 * gap_ns:
            yield _between(grid.times_ns(first, BLOCK), first, waiting, step_s, gap_ns, cameras, ids, n_joints)
            first += BLOCK
            needed_ns = grid.times_ns(first, 1)[0] - 2 * gap_ns
            while waiting and waiting[0].captured_ns < needed_ns:
                waiting.popleft()
    while first < grid.count:
        count = min(BLOCK, grid.count - first)
        yield _between(grid.times_ns(first, count), first, waiting, step_s, gap_ns, cameras, ids, n_joints)
        first += count


def _own_moments(first: int, poses: Iterable[Pose3D], cameras: tuple[str, ...], ids: set[int], n_joints: int) -> Block:
    times_ns, people = _stacked(poses, cameras, ids, n_joints)
    return Block(first, times_ns, people)


def _stacked(
    poses: Iterable[Pose3D], cameras: tuple[str, ...], ids: set[int], n_joints: int
) -> tuple[I64, dict[int, Rows]]:
    """Times (n,) and the rows of everybody."""
    poses = list(poses)
    people: dict[int, Rows] = {}
    for at, pose in enumerate(poses):
        for person in pose.people:
            if person.id in ids and len(person.joints_m) == n_joints:
                rows = people.get(person.id)
                if rows is None:
                    rows = people[person.id] = absent(len(poses), n_joints)
                _enter(rows, at, person, _views(person, pose.cameras, cameras))
    return np.array([pose.captured_ns for pose in poses], dtype=np.int64), people


def _enter(rows: Rows, at: int, person: Person3D, views: npt.NDArray[np.uint32]) -> None:
    joints_m = known_joints(person)
    there = np.isfinite(joints_m).all(axis=1)
    rows.joints_m[at] = joints_m
    rows.sigma_m[at] = np.where(there, person.sigma_m, np.nan)
    rows.reprojection_px[at] = np.where(there, person.reprojection_px, np.nan)
    rows.views[at] = np.where(there, views, 0)
    rows.origin[at] = np.where(there, person.origin, Origin.ABSENT)


def _views(person: Person3D, own: tuple[str, ...], cameras: tuple[str, ...]) -> npt.NDArray[np.uint32]:
    """`views` with the bits of `cameras`: a system that was started anew may order them otherwise."""
    if own == cameras[: len(own)]:
        return person.views
    views = np.zeros_like(person.views)
    for bit, camera in enumerate(own):
        seen = person.views >> np.uint32(bit) & np.uint32(1)
        views |= seen << np.uint32(cameras.index(camera))
    return views


def _between(
    at_ns: I64,
    first: int,
    poses: Iterable[Pose3D],
    step_s: float,
    gap_ns: int,
    cameras: tuple[str, ...],
    ids: set[int],
    n_joints: int,
) -> Block:
    times_ns, people = _stacked(poses, cameras, ids, n_joints)
    between = {who: interpolated(at_ns, times_ns, rows, step_s, gap_ns) for who, rows in people.items()}
    return Block(first, at_ns, {who: rows for who, rows in between.items() if rows.present.any()})


def interpolated(at_ns: I64, times_ns: I64, rows: Rows, step_s: float, gap_ns: int) -> Rows:
    """A person's rows at times_ns (n,) brought to at_ns (B,)."""
    n, J = rows.sigma_m.shape
    joint = np.arange(J)
    t = np.append((times_ns - at_ns[0]) * 1e-9, np.nan)  # seconds, small numbers; the last one for "none"
    x = np.concatenate([rows.joints_m, np.full((1, J, 3), np.nan)])
    before, behind = _neighbours(np.isfinite(rows.joints_m).all(-1))
    place = np.searchsorted(times_ns, at_ns, side="right")
    one, two = before[place], behind[place]  # (B, J): the samples around each moment, n where there is none
    zero, three = before[np.where(one < n, one, 0), joint], behind[np.minimum(two + 1, n), joint]
    zero = np.where(one < n, zero, n)
    at = ((at_ns - at_ns[0]) * 1e-9)[:, None]
    gap_s = gap_ns * 1e-9
    off_one, off_two = np.abs(at - t[one]), np.abs(t[two] - at)
    nearest = np.where(np.nan_to_num(off_one, nan=np.inf) <= np.nan_to_num(off_two, nan=np.inf), one, two)
    there = np.fmin(off_one, off_two) <= SAME_MOMENT_NS * 1e-9
    spanned = t[two] - t[one] <= gap_s
    times = [np.where(np.abs(t[each] - t[near]) <= gap_s, t[each], np.nan)
             for each, near in ((zero, one), (one, one), (two, two), (three, two))]  # fmt: skip
    points = [x[each, joint] for each in (zero, one, two, three)]
    joints_m = np.where(spanned[..., None], hermite(at, times, points), np.nan)
    joints_m = np.where(there[..., None], x[nearest, joint], joints_m)
    known = np.isfinite(joints_m).all(-1)
    bridged = ~there & (t[two] - t[one] > BRIDGED_STEPS * step_s)
    share = np.where(there, 0.0, (at - t[one]) / (t[two] - t[one]))
    sigma = np.append(rows.sigma_m, np.full((1, J), np.nan), axis=0)
    even = sigma[one, joint] + share * (sigma[two, joint] - sigma[one, joint])
    near = np.minimum(nearest, n - 1)
    return Rows(
        joints_m,
        np.where(known, np.where(there, sigma[nearest, joint], even), np.nan),
        np.where(known & ~bridged, rows.reprojection_px[near, joint], np.nan),
        np.where(known & ~bridged, rows.views[near, joint], 0).astype(np.uint32),
        np.where(known, np.where(bridged, Origin.PREDICTED, rows.origin[near, joint]), 0).astype(np.uint8),
    )


def hermite(at: F64, times: list[F64], points: list[F64]) -> F64:
    """The cubic between the middle two of four points, at a time. Times broadcast with (B, J), points (B, J, 3).

    Without the first or the last point, the slope there is that of the straight line; NaN when a middle one is NaN.
    """
    t0, t1, t2, t3 = times
    with np.errstate(invalid="ignore", divide="ignore"):
        h = (t2 - t1)[..., None]
        straight = (points[2] - points[1]) / h
        h0, h3 = (t1 - t0)[..., None], (t3 - t2)[..., None]
        slope1 = ((points[1] - points[0]) / h0 * h + straight * h0) / (h0 + h)
        slope2 = ((points[3] - points[2]) / h3 * h + straight * h3) / (h3 + h)
        slope1, slope2 = (np.where(np.isfinite(each), each, straight) for each in (slope1, slope2))
        s = (at - t1)[..., None] / h
        cubic: F64 = (
            (1 + 2 * s) * (1 - s) ** 2 * points[1]
            + s**2 * (3 - 2 * s) * points[2]
            + h * s * (1 - s) * ((1 - s) * slope1 - s * slope2)
        )
        return cubic


def _neighbours(known: npt.NDArray[np.bool_]) -> tuple[I64, I64]:
    """Of (n, J) samples, for k = 0 … n: the last known one before number k, the first from k on; n where none is."""
    n, J = known.shape
    number = np.arange(n)[:, None]
    last = np.maximum.accumulate(np.where(known, number, -1), axis=0)
    following = np.minimum.accumulate(np.where(known, number, n)[::-1], axis=0)[::-1]
    before = np.concatenate([np.full((1, J), -1), last])
    return np.where(before < 0, n, before), np.concatenate([following, np.full((1, J), n)])
