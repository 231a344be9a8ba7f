"""From what each view saw of a person to joints in the world, with their uncertainty: views, lifts, bones, expectation.

Here everything is put into the arrays that `person_kernel` solves, and what comes out is told in the words of the
messages. All people of a tick go through together.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.triangulate import REFERENCE_FOCAL_PX, RigArrays
from configs.schema import Triangulation as Settings
from lifter.runtime import Lifter
from nodes.stages.body_tree import BodyTree
from nodes.stages.delivered import DeliveredRig
from nodes.stages.lifting import Lifting, Lifts, far_off
from nodes.stages.person_kernel import solve
from nodes.stages.person_problem import Expected, Lengths, Lifted, Problem, Solved, Tree, Views

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NOISE_GAIN = 1 / 32  # one tick's say in the noise learnt: about a second at 30 Hz
MIN_NOISE_SCALE = 0.5
MAX_NOISE_SCALE = 4.0  # beyond, it is the calibration that is wrong
MEDIAN_OF_UNIT_NOISE = 0.9  # median reprojection error, in sigmas, of four views of a joint (2-D, 5 of 8 degrees left)
MIN_SEEN = 4  # joints: fewer cannot be lifted, nor be said to disagree
ODD_SHARE = 0.5  # a view of which more joints than this are out-voted sees somebody else
LIFT_LASTS_S = 1.0  # a lift errs alike for so long: where views triangulate, a tick's lift is hardly news


@dataclass(frozen=True)
class Seen:
    """M people in all C cameras: rays (M, C, J, 2), NaN where absent, and confidence (M, C, J), 0 where absent.

    noise: (M, C) times that of somebody who is alone in a view, see `crowding`.
    """

    rays: F64
    confidence: F64
    noise: F64


@dataclass(frozen=True)
class Known:
    """What is known of M people before looking, for the N joints of the body tree; information 0 where nothing is.

    expected: where they are expected (`person_problem.Expected`). length_m, length_information (M, N): of bones.
    since_s (M,): since they were last seen, inf for new people.
    """

    expected: Expected
    length_m: F64
    length_information: F64
    since_s: F64

    @staticmethod
    def nothing(m: int, n: int) -> "Known":
        expected = Expected(*(np.zeros((m, n, 3, *more)) for more in ((), (3,), (3,), (), (3,))))
        return Known(expected, np.zeros((m, n)), np.zeros((m, n)), np.full(m, np.inf))


@dataclass(frozen=True)
class Fused:
    """M people. joints_m (M, N, 3), NaN where nothing places a joint; covariance (M, N, 3, 3).

    bone_covariance (M, N, 3, 3): of the vectors from the parents.
    used (M, C, J): views that count. reprojection_px (M, J): RMS over them, NaN without. lifted (M,): whether a lift
    took part. bone_m, bone_variance (M, N): lengths by the views alone. odd (M, C): views left out, since they
    disagree with the others about most joints. surprise (M, N): squared distance of views and expectation over what it
    should be, NaN where one of them lacks. only_from_m (M,): distance of the only camera that sees the person, 0 where
    several do.
    """

    joints_m: F64
    covariance: F64
    bone_covariance: F64
    used: Bools
    reprojection_px: F64
    lifted: Bools
    bone_m: F64
    bone_variance: F64
    surprise: F64
    odd: Bools
    only_from_m: F64


class Fuser:
    """Fuses with the rig as its cameras really deliver, and learns the detector's noise on the way."""

    def __init__(self, delivered: DeliveredRig, settings: Settings, tree: BodyTree, lifter: Lifter | None) -> None:
        self._delivered = delivered
        self._settings = settings
        self._body = tree
        self._tree = Tree(tree.parent, tree.order, tree.middle)
        self._lifting = Lifting(lifter, tree) if lifter is not None else None
        self.noise_scale = 1.0

    @property
    def arrays(self) -> RigArrays:
        """The rig as it is delivered."""
        return self._delivered.arrays

    def fuse(self, seen: Seen, known: Known, learns: bool = True) -> Fused:
        """All people, from the views that agree. learns: the detector's noise, too; once a tick is enough."""
        weight = self._weights(seen)
        problem = self._problem(seen, weight, known)
        solved = solve(problem)
        odd = _odd(weight, solved.used)
        if odd.any():
            problem = _without(problem, odd)
            solved = solve(problem)
        if learns:
            alone = np.where(seen.noise[:, None] > 1.0, 0.0, problem.views.weight)
            self._learn_noise(solved.residual2, alone)
        lifted = (problem.lifted.along > 0).any((1, 2))
        return self._fused(solved, lifted, odd)

    @property
    def _sigma(self) -> float:
        """Of a sure joint's ray, in normalised coordinates."""
        return self._settings.detector_sigma_px * self.noise_scale / REFERENCE_FOCAL_PX

    def _weights(self, seen: Seen) -> F64:
        """(M, C, J) 1/variance of a ray, 0 where the joint was not seen."""
        sure = (seen.confidence > self._settings.min_confidence) & np.isfinite(seen.rays).all(-1)
        return np.where(sure, (np.clip(seen.confidence, 0.0, 1.0) / (self._sigma * seen.noise[..., None])) ** 2, 0.0)

    def _problem(self, seen: Seen, weight: F64, known: Known) -> Problem:
        m, c, j = weight.shape
        n = len(self._body.names)
        rays, weights = np.zeros((m, n, c, 2)), np.zeros((m, n, c))
        rays[:, :j] = seen.rays.transpose(0, 2, 1, 3)
        weights[:, :j] = weight.transpose(0, 2, 1)
        gate, centre_m = self._settings.outlier_sigmas * self._sigma, self._delivered.centre_m
        views = Views(self.arrays.Ts_cam_world, centre_m, rays, weights, gate)
        lengths = Lengths(known.length_m, known.length_information)
        news = np.minimum(known.since_s / LIFT_LASTS_S, 1.0)
        lifts = self._lifts(seen, weight, known)
        if self._lifting is None or lifts is None:
            nothing = np.zeros((m, c, n))
            lifted = Lifted(np.zeros((m, c, n, 3)), nothing, nothing, news)
            return Problem(views, known.expected, lifted, lengths, self._tree)
        expected = self._lifting.guess(lifts, known.expected, self._delivered)
        bones = self._lifting.bones(lifts, expected, lengths, self.noise_scale, self._delivered)
        return Problem(views, expected, Lifted(*bones, news), lengths, self._tree)

    def _lifts(self, seen: Seen, weight: F64, known: Known) -> Lifts | None:
        """The lifts of everybody in every view that saw enough of them, without joints that would spoil them."""
        enough = (weight > 0).sum(-1) >= MIN_SEEN
        if self._lifting is None or not enough.any():
            return None
        gate, sigmas = self._sigma, self._settings.outlier_sigmas
        believed = (weight > 0) & ~far_off(seen.rays, known.expected, gate, sigmas, self._delivered)
        confidence = np.where(believed, np.clip(seen.confidence, 0.0, 1.0), 0.0)
        return self._lifting.lift(seen.rays, confidence, enough, self._delivered)

    def _fused(self, solved: Solved, lifted: Bools, odd: Bools) -> Fused:
        j = self._body.n_shown
        used = solved.used[:, :j].transpose(0, 2, 1)
        focal2 = self.arrays.focal_px[:, None] ** 2
        square = np.where(used, solved.residual2[:, :j].transpose(0, 2, 1) * focal2, 0.0)
        count = used.sum(1)
        return Fused(
            joints_m=solved.joints_m,
            covariance=solved.covariance,
            bone_covariance=solved.bone_covariance,
            used=used,
            reprojection_px=np.where(count > 0, np.sqrt(square.sum(1) / np.maximum(count, 1)), np.nan),
            lifted=lifted,
            bone_m=solved.bone_m,
            bone_variance=solved.bone_variance,
            surprise=solved.surprise,
            odd=odd,
            only_from_m=self._only_from_m(solved.joints_m, used),
        )

    def _only_from_m(self, joints_m: F64, used: Bools) -> F64:
        """(M,) as in `Fused`."""
        sees = used.sum(-1) >= MIN_SEEN
        there = np.isfinite(joints_m[..., :1])
        middle = np.where(there, joints_m, 0.0).sum(1) / np.maximum(there.sum(1), 1)
        distance = np.linalg.norm(middle - self._delivered.centre_m[sees.argmax(1)], axis=-1)
        return np.where(sees.sum(1) == 1, distance, 0.0)

    def _learn_noise(self, residual2: F64, weight: F64) -> None:
        """Measured noise over assumed noise, smoothed; from joints that three views saw, as two always half agree.

        weight: 0 also for views that are crowded, whose noise is another one.
        """
        seen = weight > 0
        judged = seen & (seen.sum(-1) >= 3)[..., None] & np.isfinite(residual2)
        if not judged.any():
            return
        in_sigmas = np.sort(np.sqrt(residual2[judged] * weight[judged]) * self.noise_scale)
        n = len(in_sigmas)
        median = float(in_sigmas[(n - 1) // 2] + in_sigmas[n // 2]) / 2  # np.median takes five times as long for so few
        measured = median / MEDIAN_OF_UNIT_NOISE
        self.noise_scale += NOISE_GAIN * (min(max(measured, MIN_NOISE_SCALE), MAX_NOISE_SCALE) - self.noise_scale)


def _odd(weight: F64, used: Bools) -> Bools:
    """(M, C): views most of whose joints are out-voted while the other views agree on the person."""
    seen = weight > 0
    counted = used.transpose(0, 2, 1)[:, :, : seen.shape[2]]
    n_seen, n_used = seen.sum(-1), counted.sum(-1)
    odd = (n_seen >= MIN_SEEN) & (n_used < (1.0 - ODD_SHARE) * n_seen)
    sound = (n_seen >= MIN_SEEN) & ~odd
    return odd & sound.any(1, keepdims=True)


def _without(problem: Problem, odd: Bools) -> Problem:
    """The problem without the views that are odd."""
    weight = np.where(odd[:, None], 0.0, problem.views.weight)
    gone = odd[:, :, None]
    lifted = problem.lifted._replace(
        along=np.where(gone, 0.0, problem.lifted.along), across=np.where(gone, 0.0, problem.lifted.across)
    )
    return problem._replace(views=problem.views._replace(weight=weight), lifted=lifted)
