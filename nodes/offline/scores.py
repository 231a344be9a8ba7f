"""How good a paired result is: every score that `nodes.evaluate` tells. Pure; docs/reprocess.md defines each in words.

Sources: MPJPE, Ionescu et al., "Human3.6M" (TPAMI 2014). PCP3D on Shelf and Campus, Belagiannis et al., "3D Pictorial
Structures for Multiple Human Pose Estimation" (CVPR 2014). AP and recall of poses, Tu et al., "VoxelPose" (ECCV 2020).
Id switches, Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance" (2008). Acceleration error,
Kanazawa et al., "Learning 3D Human Dynamics from Video" (CVPR 2019).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nodes.offline.compared import HIPS, Weights, middle
from nodes.offline.pairing import MAX_STEPS, UNREPORTED_M, Paired, truth_at
from nodes.wire.messages import Origin

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

AP_MM = (25, 50, 75, 100, 125, 150)
PCP_SHARE = 0.5  # of the limb's true length
LAG_REACH_S = 0.3
CLIP_M = 0.3  # so that a wild joint does not decide about the lag

SHOULDERS, EARS = ("left_shoulder", "right_shoulder"), ("left_ear", "right_ear")
UPPER_NECK: Weights = dict.fromkeys((*SHOULDERS, *EARS), 0.25)  # between the shoulders' middle and the ears'
HEAD_TOP: Weights = dict.fromkeys(SHOULDERS, -0.25) | dict.fromkeys(EARS, 0.75)  # as far beyond the ears' middle
SIDED_LIMBS = {
    "upper_arms": ("shoulder", "elbow"),
    "lower_arms": ("elbow", "wrist"),
    "upper_legs": ("hip", "knee"),
    "lower_legs": ("knee", "ankle"),
}


def scores(paired: Paired) -> dict[str, Any]:
    """Everything; shares are 0 to 1, NaN where there is nothing to tell."""
    exists = np.isfinite(paired.truth_m).all(-1)
    error_m = np.linalg.norm(paired.found_m - paired.truth_m, axis=-1)
    found = np.isfinite(error_m)
    root_m = np.linalg.norm(_relative(paired, paired.found_m) - _relative(paired, paired.truth_m), axis=-1)
    people = exists.any(-1)
    return {
        "frames": len(paired.times_ns),
        "people": int(people.any(0).sum()),
        "joints_compared": list(paired.compared.names),
        "mpjpe_mm": 1000 * mean(error_m),
        "median_mm": 1000 * float(np.median(error_m[found])) if found.any() else float("nan"),
        "mpjpe_root_mm": 1000 * mean(root_m),
        "mpjpe_unreported_300_mm": 1000 * mean(np.where(found, error_m, UNREPORTED_M)[exists]),
        "reported": mean(found[exists]),
        "joints": {
            name: {"mpjpe_mm": 1000 * mean(error_m[..., k]), "reported": mean(found[..., k][exists[..., k]])}
            for k, name in enumerate(paired.compared.names)
        },
        "pcp3d": pcp3d(paired, strict=True),
        "pcp3d_mean_of_ends": pcp3d(paired, strict=False),
        **average_precision(paired),
        "id_switches": id_switches(paired),
        "misses": int((people & (paired.person_id < 0)).sum()),
        "false_people": int(paired.extra_people[people.any(1)].sum()),
        "people_where_truth_has_nobody": int(paired.extra_people[~people.any(1)].sum()),
        "people_expected": int(people.sum()),
        "jitter": jitter(paired),
        "lag_ms": lag_ms(paired),
        "sigma": calibration(paired),
    }


def mean(x: npt.NDArray[Any]) -> float:
    """Of what is known; NaN of nothing."""
    known = x[np.isfinite(x)]
    return float(known.mean()) if known.size else float("nan")


def pcp3d(paired: Paired, strict: bool) -> dict[str, Any]:
    """Share of correct limbs, by actor and by part of the body.

    strict: both ends within half the limb's true length. Else the mean of both ends is, as in VoxelPose's evaluation.
    """
    right, counted = {}, {}
    for name, (start, end) in _limbs(paired).items():
        truth = paired.truth_names.positions(paired.whole_truth_m, [start[0], end[0]])
        found = paired.found_names.positions(paired.whole_found_m, [start[1], end[1]])
        off_m = np.linalg.norm(found - truth, axis=-1)
        off_m = off_m.max(-1) if strict else off_m.mean(-1)
        length_m = np.linalg.norm(truth[..., 0, :] - truth[..., 1, :], axis=-1)
        counted[name] = np.isfinite(length_m).sum(0)
        right[name] = (off_m <= PCP_SHARE * length_m).sum(0)  # NaN compares false: a missing end is wrong
    parts = dict.fromkeys(name.removeprefix("left_").removeprefix("right_") for name in counted)
    of_part = {
        part: _share(
            [right[name] for name in right if name.endswith(part)], [counted[n] for n in counted if n.endswith(part)]
        )
        for part in parts
    }
    actors = _share(list(right.values()), list(counted.values()))
    return {
        "average": mean(actors),
        "actors": [
            {"all": float(actors[p]), **{part: float(share[p]) for part, share in of_part.items()}}
            for p in range(paired.truth_m.shape[1])
        ],
        "parts": {part: mean(share) for part, share in of_part.items()},
    }


def average_precision(paired: Paired) -> dict[str, Any]:
    """AP and recall of whole poses by mean joint error, as VoxelPose does: every pose of the result goes to the nearest
    person of the truth at its instant, the surest first, and each of the truth is found once.

    Instants at which the truth has nobody do not count.
    """
    exists = np.isfinite(paired.truth_m).all(-1).any(-1)
    n_true = int(exists.sum())
    number = np.cumsum(exists.reshape(-1)).reshape(exists.shape)  # of each person and instant of the truth
    error_m = np.where(np.isfinite(paired.error_m), paired.error_m, np.inf)
    n, q = np.nonzero(np.isfinite(paired.sureness) & exists.any(1)[:, None])
    if n_true == 0:
        nothing = {str(mm): float("nan") for mm in AP_MM}
        return {"ap": nothing, "recall": nothing}
    nearest = error_m[n, :, q].argmin(1) if len(n) else np.zeros(0, dtype=np.int64)
    order = np.argsort(-paired.sureness[n, q], kind="stable")
    error_mm, whom = 1000 * error_m[n, nearest, q][order], number[n, nearest][order]
    curves = {str(mm): _ap(error_mm < mm, whom, n_true) for mm in AP_MM}
    return {
        "ap": {mm: ap for mm, (ap, _) in curves.items()},
        "recall": {mm: recall for mm, (_, recall) in curves.items()},
    }


def id_switches(paired: Paired) -> int:
    """How often a person of the truth is found as somebody else than when last found."""
    switches = 0
    for ids in paired.person_id.T:
        found = ids[ids >= 0]
        switches += int((np.diff(found) != 0).sum())
    return switches


def jitter(paired: Paired) -> dict[str, float]:
    """Mean acceleration of result and truth, and of their difference, where one id is followed for three rows."""
    times_s = (paired.times_ns - paired.times_ns[0]) * 1e-9
    steps = np.diff(times_s)
    even = (steps <= MAX_STEPS * np.median(steps)) if len(steps) else np.zeros(0, bool)
    ids = paired.person_id
    if len(times_s) < 3:
        return dict.fromkeys(("acceleration_error_m_s2", "acceleration_m_s2", "truth_acceleration_m_s2"), float("nan"))
    followed = (ids[:-2] >= 0) & (ids[:-2] == ids[1:-1]) & (ids[1:-1] == ids[2:]) & (even[:-1] & even[1:])[:, None]
    found, truth = (_acceleration(x, steps) for x in (paired.found_m, paired.truth_m))
    both = followed[..., None] & np.isfinite(found + truth).all(-1)
    return {
        "acceleration_error_m_s2": mean(np.linalg.norm(found - truth, axis=-1)[both]),
        "acceleration_m_s2": mean(np.linalg.norm(found, axis=-1)[both]),
        "truth_acceleration_m_s2": mean(np.linalg.norm(truth, axis=-1)[both]),
    }


def lag_ms(paired: Paired) -> float:
    """By how much the result is behind the truth: the shift with the least squared error, between rows by a parabola.

    NaN when nobody moves, or the least error is at the end of what was tried.
    """
    if len(paired.times_ns) < 2:
        return float("nan")
    step_ns = float(np.median(np.diff(paired.times_ns)))
    reach = int(min(max(3, np.ceil(LAG_REACH_S * 1e9 / step_ns)), (len(paired.times_ns) - 1) // 3))
    shifts = np.arange(-reach, reach + 1)
    squares = [_square_error(paired, round(shift * step_ns)) for shift in shifts]
    common = np.isfinite(np.sum(squares, axis=0))
    if reach < 1 or not common.any():
        return float("nan")
    cost = np.array([square[common].mean() for square in squares])
    least = int(cost.argmin())
    if not 0 < least < len(cost) - 1:
        return float("nan")
    left, here, right = cost[least - 1 : least + 2]
    bend = left - 2 * here + right
    if bend <= 1e-12:
        return float("nan")
    return float((shifts[least] + 0.5 * (left - right) / bend) * step_ns * 1e-6)


def calibration(paired: Paired) -> dict[str, dict[str, float]]:
    """Whether the sigmas are honest, by origin: mean of error²/(3 sigma²), which should be 1, and the share of
    coordinates within 1 and 2 sigma, which should be 0.683 and 0.954 if the errors were Gaussian."""
    off = np.abs(paired.found_m - paired.truth_m) / paired.sigma_m[..., None]
    off[~np.isfinite(off).all(-1)] = np.nan
    groups: dict[str, Mask] = {"all": np.ones(paired.origin.shape, dtype=np.bool_)}
    groups |= {origin.name.lower(): paired.origin == origin for origin in Origin if origin != Origin.ABSENT}
    told = {}
    for name, group in groups.items():
        one = off[group]
        one = one[np.isfinite(one).all(-1)]
        told[name] = {
            "joints": len(one),
            "normalised_error2": mean((one**2).mean(-1)),
            "within_1_sigma": mean(one <= 1.0),
            "within_2_sigma": mean(one <= 2.0),
        }
    return told


def _relative(paired: Paired, joints_m: F64) -> F64:
    return joints_m - paired.compared.root(joints_m)[..., None, :]


def _limbs(paired: Paired) -> dict[str, tuple[tuple[Weights, Weights], tuple[Weights, Weights]]]:
    """Limb → what its two ends are in the truth and in the result; those that the truth has and the result can have."""
    ends = {
        name: (a, b)
        for name, a, b in zip(paired.compared.names, paired.compared.of_truth, paired.compared.of_found, strict=True)
    }
    truth, found = paired.truth_names, paired.found_names
    for name, other in (("upper_neck", UPPER_NECK), ("head_top", HEAD_TOP)):
        if name not in ends and name in truth.joints and found.has(other):
            ends[name] = ({name: 1.0}, other)
    for name, parts in (("mid_hips", HIPS), ("mid_shoulders", SHOULDERS)):
        if set(parts) <= ends.keys():
            ends[name] = (_joined([ends[part][0] for part in parts]), _joined([ends[part][1] for part in parts]))
    neck = next((name for name in ("upper_neck", "neck", "thorax", "mid_shoulders") if name in ends), "")
    top = next((name for name in ("head_top", "head") if name in ends), "")
    wanted = {"head": (neck if neck != "mid_shoulders" else "", top), "torso": ("mid_hips", neck)}
    for part, (a, b) in SIDED_LIMBS.items():
        wanted |= {f"{side}_{part}": (f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")}
    return {name: (ends[a], ends[b]) for name, (a, b) in wanted.items() if a in ends and b in ends}


def _joined(parts: list[Weights]) -> Weights:
    """The middle of sums."""
    total: Weights = {}
    for weights in parts:
        for joint, weight in weights.items():
            total[joint] = total.get(joint, 0.0) + weight * middle(("a", "b"))["a"]
    return total


def _share(right: list[npt.NDArray[Any]], counted: list[npt.NDArray[Any]]) -> F64:
    """(P,) right over counted; NaN for actors without any."""
    if not counted:
        return np.zeros(0)
    total = np.sum(counted, axis=0)
    return np.where(total > 0, np.sum(right, axis=0) / np.maximum(total, 1), np.nan)


def _ap(near: Mask, whom: npt.NDArray[Any], n_true: int) -> tuple[float, float]:
    """Area under precision over recall (precision made falling), and the last recall."""
    hit = np.zeros(len(near), dtype=np.bool_)
    candidates = np.flatnonzero(near)
    hit[candidates[np.unique(whom[candidates], return_index=True)[1]]] = True
    true_positives = np.cumsum(hit)
    recall = true_positives / n_true
    precision = true_positives / np.arange(1, len(near) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    area = float((np.diff(np.concatenate([[0.0], recall])) * precision).sum())
    return area, float(recall[-1]) if len(recall) else 0.0


def _acceleration(x: F64, steps_s: F64) -> F64:
    """(N - 2, …) second differences over uneven steps (N - 1,)."""
    h = steps_s.reshape(-1, *(1,) * (x.ndim - 1))
    speed = np.diff(x, axis=0) / h
    acceleration: F64 = 2 * np.diff(speed, axis=0) / (h[1:] + h[:-1])
    return acceleration


def _square_error(paired: Paired, shift_ns: int) -> F64:
    """(N, P, K) squared error, at most CLIP_M's, against the truth of shift_ns before."""
    then_m = truth_at(paired.truth, paired.times_ns - shift_ns)
    truth_m = paired.truth_names.positions(then_m, paired.compared.of_truth)
    return np.minimum(((paired.found_m - truth_m) ** 2).sum(-1), CLIP_M**2)
