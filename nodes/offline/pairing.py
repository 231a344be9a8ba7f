"""Result and truth side by side: at the same instants, with the same joints, person by person. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nodes.offline.compared import Compared, Named, compared, named
from nodes.offline.result_file import Result
from nodes.offline.sequence import Truth

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

GATE_M = 0.5  # whoever is farther off on average is somebody else, or nobody: VoxelPose's recall has the same
UNREPORTED_M = 0.3  # what a joint costs that is there and was not reported
SAME_INSTANT_NS = 1000  # times in seconds, as floats, round to less
MAX_STEPS = 3.0  # rows of the truth that are farther apart, in usual steps, have nothing between them


@dataclass(frozen=True, eq=False)
class Paired:
    """N instants with P people of the truth, each beside whom of the Q people of the result was found to be them.

    truth_m, found_m: (N, P, K, 3) the compared joints, NaN where the truth does not know one or none was reported.
    sigma_m, origin: (N, P, K), likewise. person_id: (N, P) of the result, -1 where nobody was found.
    error_m: (N, P, Q) mean error of everybody against everybody, an unreported joint as UNREPORTED_M, NaN where either
    is absent. sureness: (N, Q), the higher the surer. extra_people: (N,) of the result that are nobody of the truth.
    whole_truth_m, whole_found_m: (N, P, J, 3), all joints of each file.
    """

    times_ns: I64
    truth: Truth
    compared: Compared
    truth_names: Named
    found_names: Named
    truth_m: F64
    found_m: F64
    sigma_m: F64
    origin: npt.NDArray[np.uint8]
    person_id: I64
    error_m: F64
    sureness: F64
    extra_people: I64
    whole_truth_m: F64
    whole_found_m: F64


def pair(result: Result, truth: Truth) -> Paired:
    """Bring both together. Raises DatasetError when they have no joint in common."""
    of_truth, of_found = named(truth.joints), named(result.joints)
    joints = compared(of_truth, of_found)
    times_ns, rows = instants(result.captured_ns, truth.times_ns)
    whole_truth_m = truth_at(truth, times_ns)
    absent = rows < 0
    everybody_m = result.joints_m.astype(np.float64)[rows]
    everybody_m[absent] = np.nan
    truth_m = of_truth.positions(whole_truth_m, joints.of_truth)
    found_m = of_found.positions(everybody_m, joints.of_found)
    near_m, error_m = distances_m(truth_m, found_m)
    match = assign(near_m, error_m)
    present = np.isfinite(found_m).all(-1).any(-1)
    squares = [{joint: weight**2 for joint, weight in weights.items()} for weights in joints.of_found]
    variance = of_found.positions(np.square(result.sigma_m[rows].astype(np.float64))[..., None], squares)[..., 0]
    origin = np.stack([_origin(result.origin[rows], of_found, weights) for weights in joints.of_found], axis=-1)
    known = np.isfinite(truth_m).all(-1)
    return Paired(
        times_ns=times_ns,
        truth=truth,
        compared=joints,
        truth_names=of_truth,
        found_names=of_found,
        truth_m=truth_m,
        found_m=np.where(known[..., None], taken(found_m, match, np.nan), np.nan),
        sigma_m=taken(np.sqrt(variance), match, np.nan),
        origin=taken(origin, match, 0),
        person_id=taken(result.person_id[rows], match, -1),
        error_m=error_m,
        sureness=np.where(present, np.nan_to_num(-_mean(np.sqrt(variance))), np.nan),  # all alike where none is told
        extra_people=present.sum(axis=1) - (match >= 0).sum(axis=1),
        whole_truth_m=whole_truth_m,
        whole_found_m=taken(everybody_m, match, np.nan),
    )


def instants(found_ns: I64, truth_ns: I64) -> tuple[I64, I64]:
    """When to compare (N,), and the result's row then (N,), -1 for none: its rows, and the truth's that it lacks."""
    inside = (found_ns >= truth_ns[0] - SAME_INSTANT_NS) & (found_ns <= truth_ns[-1] + SAME_INSTANT_NS)
    rows = np.flatnonzero(inside)
    half_ns = _step_ns(truth_ns) / 2
    if len(found_ns):
        after = np.clip(np.searchsorted(found_ns, truth_ns), 0, len(found_ns) - 1)
        apart_ns = np.minimum(np.abs(found_ns[after] - truth_ns), np.abs(found_ns[np.maximum(after - 1, 0)] - truth_ns))
        lacking = truth_ns[apart_ns > half_ns]
    else:
        lacking = truth_ns
    times_ns = np.concatenate([found_ns[rows], lacking])
    order = np.argsort(times_ns, kind="stable")
    return times_ns[order], np.concatenate([rows, np.full(len(lacking), -1)])[order]


def truth_at(truth: Truth, times_ns: I64) -> F64:
    """The truth (N, P, Jt, 3) at other times, between its rows; NaN outside, and between rows far apart."""
    rows_ns = truth.times_ns
    last = len(rows_ns) - 1
    after = np.clip(np.searchsorted(rows_ns, times_ns), 0, last)
    before = np.maximum(after - 1, 0)
    gap_ns = np.maximum(rows_ns[after] - rows_ns[before], 1)
    share = ((times_ns - rows_ns[before]) / gap_ns)[:, None, None, None]
    between: F64 = (1 - share) * truth.joints_m[before] + share * truth.joints_m[after]
    far = gap_ns > MAX_STEPS * _step_ns(rows_ns)
    outside = (times_ns < rows_ns[0]) | (times_ns > rows_ns[-1])
    between[far | outside] = np.nan
    for row in (before, after):
        exact = np.abs(rows_ns[row] - times_ns) <= SAME_INSTANT_NS
        between[exact] = truth.joints_m[row[exact]]
    return between


def distances_m(truth_m: F64, found_m: F64) -> tuple[F64, F64]:
    """Mean distance (N, P, Q) over the joints that both have, and over all of the truth's, unreported as UNREPORTED_M.

    NaN where they share none.
    """
    N, P, Q = len(truth_m), truth_m.shape[1], found_m.shape[1]
    near_m, error_m = np.full((N, P, Q), np.nan), np.full((N, P, Q), np.nan)
    exists = np.isfinite(truth_m).all(-1)
    for q in range(Q):  # one at a time: everybody's joints against everybody's would not fit into memory
        distance = np.linalg.norm(truth_m - found_m[:, None, q], axis=-1)
        both = np.isfinite(distance)
        near_m[:, :, q] = _mean(distance)
        all_m = _mean(np.where(both, distance, np.where(exists, UNREPORTED_M, np.nan)))
        error_m[:, :, q] = np.where(both.any(-1), all_m, np.nan)
    return near_m, error_m


def assign(near_m: F64, error_m: F64) -> I64:
    """Who of the result each of the truth is (N, P), -1 for nobody: least total error, nobody beyond the gate."""
    match = np.full(near_m.shape[:2], -1, dtype=np.int64)
    allowed = near_m <= GATE_M  # NaN compares false
    cost = np.where(allowed, error_m, 1e6)
    for n in np.flatnonzero(allowed.any((1, 2))):
        people, columns = np.flatnonzero(allowed[n].any(1)), np.flatnonzero(allowed[n].any(0))
        chosen, partners = linear_sum_assignment(cost[n][np.ix_(people, columns)])
        p, q = people[chosen], columns[partners]
        good = allowed[n, p, q]
        match[n, p[good]] = q[good]
    return match


def taken(values: npt.NDArray[Any], match: I64, absent: float) -> npt.NDArray[Any]:
    """(N, P, …) of the people (N, Q, …) that were matched (N, P); `absent` where nobody was."""
    if not values.shape[1]:
        return np.full((*match.shape, *values.shape[2:]), absent, dtype=values.dtype)
    out = values[np.arange(len(match))[:, None], np.maximum(match, 0)].copy()
    out[match < 0] = absent
    return out


def _origin(origin: npt.NDArray[np.uint8], names: Named, weights: dict[str, float]) -> npt.NDArray[np.uint8]:
    """(N, Q) of a joint that others make up: the least direct of theirs."""
    return np.max([origin[..., names.joints.index(joint)] for joint in weights], axis=0)


def _step_ns(times_ns: I64) -> float:
    return float(np.median(np.diff(times_ns))) if len(times_ns) > 1 else 1e9 / 30


def _mean(x: F64) -> F64:
    """Over the last axis, of what is known; NaN of nothing."""
    count = np.isfinite(x).sum(-1)
    return np.where(count > 0, np.nansum(x, axis=-1) / np.maximum(count, 1), np.nan)
