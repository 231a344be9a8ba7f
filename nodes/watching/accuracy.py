"""How wrong the 3D is, where the truth is known: virtual cameras and clips that were rendered. Pure.

Told on the twelve limb joints, absolute (nothing is aligned), at the very instant that a pose speaks of.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from configs.errors import ConfigError
from lifter.skeleton import LIMB_JOINTS, SKELETONS
from nodes.watching.figures import Samples
from nodes.wire.messages import Origin, Pose3D

F64 = npt.NDArray[np.float64]

PCK_M = 0.15  # a joint within 150 mm counts as found


@dataclass(frozen=True, eq=False)
class Truth:
    """Exact joints over time.

    time_s: (T,) increasing, since the start of the session. limbs_m: (T, P, 12, 3) world metres in the order of
    LIMB_JOINTS, NaN where a person is absent. loop_s: after so long it begins again; None: it ends.
    """

    time_s: F64
    limbs_m: F64
    loop_s: float | None

    def at(self, since_start_s: float) -> F64 | None:
        """Limbs (P, 12, 3) at a time since the start, interpolated; None where the truth says nothing."""
        if self.loop_s is not None:
            since_start_s %= self.loop_s
        if not self.time_s[0] <= since_start_s <= self.time_s[-1]:
            return None
        after = min(int(np.searchsorted(self.time_s, since_start_s, side="right")), len(self.time_s) - 1)
        before = after - 1
        share = (since_start_s - self.time_s[before]) / (self.time_s[after] - self.time_s[before])
        limbs_m: F64 = (1 - share) * self.limbs_m[before] + share * self.limbs_m[after]
        return limbs_m


def load_truth(path: Path) -> Truth:
    """The truth in an .npz of the neutral multi-view format (docs/summary.md). Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"truth: {path} does not exist; remove the key `truth`, or render clips that have one")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [key for key in ("gt_time", "gt3d_fine", "gt_joints") if key not in arrays]
            if missing:
                raise ConfigError(f"truth: {path} lacks `{missing[0]}`; `python -m nodes.sources.virtual` writes all")
            time_s = arrays["gt_time"].astype(np.float64)
            joints_m = arrays["gt3d_fine"].astype(np.float64)
            names = [str(name) for name in arrays["gt_joints"]]
            loop_s = float(arrays["loop_s"]) if "loop_s" in arrays else None
    except (ValueError, OSError) as error:
        raise ConfigError(f"truth: {path} is not a file of numpy arrays: {error}") from error
    absent = [name for name in LIMB_JOINTS if name not in names]
    if absent:
        raise ConfigError(f"truth: {path} has no joint {absent[0]!r}; it needs {', '.join(LIMB_JOINTS)}")
    if joints_m.ndim != 4 or joints_m.shape[::2] != (len(time_s), len(names)) or len(time_s) < 2:
        raise ConfigError(
            f"truth: {path} has {len(time_s)} times, {len(names)} joints and positions of shape {joints_m.shape}; "
            "expected (times, people, joints, 3)"
        )
    return Truth(time_s, joints_m[:, :, [names.index(name) for name in LIMB_JOINTS]], loop_s)


class Accuracy:
    """Errors of all poses so far."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.error_mm = Samples()  # of reported joints
        self.ticks = 0  # poses that the truth speaks about
        self.expected = 0  # joints that the truth has
        self.within = 0  # of these, found within PCK_M

    def feed(self, pose: Pose3D, session_start_ns: int) -> F64:
        """Errors in mm (P, 12) of the people of the truth at this pose's instant; NaN where a joint is missed."""
        truth_m = self._truth.at((pose.captured_ns - session_start_ns) / 1e9)
        if truth_m is None:
            return np.empty((0, len(LIMB_JOINTS)))
        present = np.isfinite(truth_m).all(axis=2)  # (P, 12)
        error_m = _paired_errors_m(truth_m, _limbs_of(pose))
        self.ticks += 1
        self.expected += int(present.sum())
        self.within += int((error_m[present] <= PCK_M).sum())  # NaN compares false: missed
        self.error_mm.extend(1000 * error_m)
        return 1000 * error_m

    @property
    def mpjpe_mm(self) -> float:
        """Mean error of the joints that were reported; NaN before the first."""
        return self.error_mm.mean

    @property
    def pck(self) -> float:
        """Share of the truth's joints that were found within PCK_M; a missing joint or person counts as missed."""
        return self.within / self.expected if self.expected else float("nan")

    @property
    def reported(self) -> float:
        """Share of the truth's joints for which a position was reported, right or wrong."""
        return self.error_mm.count / self.expected if self.expected else float("nan")


def _limbs_of(pose: Pose3D) -> F64:
    """(Q, 12, 3) of the people in a pose; NaN where a joint is absent. Foreign skeletons have nobody in them."""
    skeleton = SKELETONS.get(pose.skeleton)
    if skeleton is None:
        return np.empty((0, len(LIMB_JOINTS), 3))
    limbs = skeleton.limb_indices()
    people = [
        np.where((person.origin == Origin.ABSENT)[:, None], np.nan, person.joints_m)[limbs]
        for person in pose.people
        if len(person.joints_m) == len(skeleton.joints)
    ]
    return np.array(people, dtype=np.float64).reshape(-1, len(LIMB_JOINTS), 3)


def _paired_errors_m(truth_m: F64, found_m: F64) -> F64:
    """Distances (P, 12) of each true person to the nearest found one, closest pair first, each used once.

    Greedy is right here: true people stand apart by more than a good pose is wrong.
    """
    errors_m = np.full(truth_m.shape[:2], np.nan)
    distance_m = np.linalg.norm(truth_m[:, None] - found_m[None], axis=3)  # (P, Q, 12)
    n_shared = np.isfinite(distance_m).sum(axis=2)
    cost_m = np.where(n_shared > 0, np.nansum(distance_m, axis=2) / np.maximum(n_shared, 1), np.inf)  # (P, Q)
    for _ in range(min(cost_m.shape)):
        person, match = np.unravel_index(np.argmin(cost_m), cost_m.shape)
        if not np.isfinite(cost_m[person, match]):
            break
        errors_m[person] = distance_m[person, match]
        cost_m[person, :] = np.inf
        cost_m[:, match] = np.inf
    return errors_m
