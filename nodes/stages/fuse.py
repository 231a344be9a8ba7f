"""From what each view saw of a person to joints in the world, with their uncertainty: views, lifts, bones, expectation.

Here everything is put into the arrays that `person_kernel` solves, and what comes out is told in the words of the
messages. All people of a tick go through together.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import triangulate_kernel
from calibration.errors import CalibrationError
from calibration.rig import Camera, CameraRig
from calibration.triangulate import REFERENCE_FOCAL_PX, RigArrays
from calibration.triangulate_kernel import MIN_DEPTH_M
from configs.schema import Triangulation as Settings
from lifter.derive import derive_known
from lifter.merge import SIGMA_RAY, merge
from lifter.runtime import Lifter
from nodes.stages import person_kernel as kernel
from nodes.stages.body_tree import BodyTree
from nodes.stages.synchroniser import View

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SAME_SHAPE = 0.005  # pictures whose aspect ratios differ by less are the same picture, scaled
NOISE_GAIN = 1 / 32  # one tick's say in the noise learnt: about a second at 30 Hz
MIN_NOISE_SCALE = 0.5
MAX_NOISE_SCALE = 4.0  # beyond, it is the calibration that is wrong
MEDIAN_OF_UNIT_NOISE = 0.9  # median reprojection error, in sigmas, of four views of a joint (2-D, 5 of 8 degrees left)
LOOSE2 = 7.0  # times the mean variance by axis, as expectations are wider along a line of sight than their mean tells
NEAREST_M = 0.3  # nobody is nearer to a camera, whatever is guessed
MIN_SEEN = 4  # joints: fewer cannot be lifted, nor be said to disagree
ODD_SHARE = 0.5  # a view of which more joints than this are out-voted sees somebody else
GUESS_SIGMA_M = 0.2  # of a place that lifts alone give a person who was not there before
LIFT_LASTS_S = 1.0  # a lift errs alike for so long: where views triangulate, a tick's lift is hardly news
BONE_VARIANCE = 2.0  # along the line of sight, per axis-mean variance that a lift adds from parent to child
LEAST_BONE = 0.25  # of a joint's own sigma
ACROSS = 2.0  # times SIGMA_RAY: across, a lift repeats the 2D that it was made of
UNSEEN = 2.0  # times the bone's sigma: a lift that did not see the joint


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

    expected: where they are expected (person_kernel.Expected). length_m, length_information (M, N): of bones. since_s
    (M,): since they were last seen, inf for new people.
    """

    expected: kernel.Expected
    length_m: F64
    length_information: F64
    since_s: F64

    @staticmethod
    def nothing(m: int, n: int) -> "Known":
        expected = kernel.Expected(*(np.zeros((m, n, 3, *more)) for more in ((), (3,), (3,), (), (3,))))
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

    def __init__(
        self,
        rig: CameraRig,
        settings: Settings,
        crop_offset_px: dict[str, tuple[float, float]],
        tree: BodyTree,
        lifter: Lifter | None,
    ) -> None:
        self._calibrated = rig
        self._settings = settings
        self._crop_offset_px = crop_offset_px
        self._body = tree
        self._tree = kernel.Tree(tree.parent, tree.order, tree.middle)
        self._lifter = lifter
        self._delivered = {camera.name: camera for camera in rig.cameras}
        self._judged_wh: dict[str, tuple[int, ...]] = {}  # size that each camera was last fitted to, or found unfit at
        self.noise_scale = 1.0
        self.misfits: dict[str, str] = {}
        self._take_over()

    def _take_over(self) -> None:
        """The rig as it is delivered, and its arrays."""
        self.rig = CameraRig(tuple(self._delivered.values()))
        self.arrays = RigArrays.of(self.rig)
        R = self.arrays.Ts_cam_world[:, :, :3]
        self._R_cam_world = np.ascontiguousarray(R)
        self._centre_m = np.ascontiguousarray(-np.einsum("cji,cj->ci", R, self.arrays.Ts_cam_world[:, :, 3]))

    def adapt(self, views: dict[str, View]) -> None:
        """Fit the calibration to the sizes that the cameras deliver; those that cannot be fitted become `misfits`."""
        for name, view in views.items():
            if view.size_wh == self._judged_wh.get(name, self._calibrated[name].size_wh):
                continue
            self._judged_wh[name] = view.size_wh
            camera = self._calibrated[name]
            try:
                self._delivered[name] = delivered(camera, view.size_wh, self._crop_offset_px.get(name))
                self.misfits.pop(name, None)
            except CalibrationError as error:
                self.misfits[name] = str(error)
            self._take_over()

    def rays(self, keypoints_px: F64) -> F64:
        """Undistorted normalised coordinates (C, …, 2) of pixels (C, …, 2), one row per camera of the rig."""
        flat = np.ascontiguousarray(keypoints_px.reshape(len(keypoints_px), -1, 2), dtype=np.float64)
        rays = triangulate_kernel.undistort(self.arrays.K, self.arrays.dist8, flat)
        return rays.reshape(keypoints_px.shape)

    def fuse(self, seen: Seen, known: Known) -> Fused:
        """All people, from the views that agree."""
        weight = self._weights(seen)
        lifts = self._lift(seen, weight, known)
        problem = self._problem(seen, weight, known, lifts)
        solved = kernel.solve(problem)
        odd = _odd(weight, solved.used)
        if odd.any():
            problem = _without(problem, odd)
            solved = kernel.solve(problem)
        self._learn_noise(solved.residual2, problem.views.weight)
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

    def _lift(self, seen: Seen, weight: F64, known: Known) -> "_Lifts | None":
        """The lifts of everybody in every view that saw enough of them."""
        enough = (weight > 0).sum(-1) >= MIN_SEEN
        if self._lifter is None or not enough.any():
            return None
        m, c = np.nonzero(enough)
        believed = (weight > 0) & ~self._far_off(seen.rays, known.expected)
        confidence = np.where(believed, np.clip(seen.confidence, 0.0, 1.0), 0.0)
        lifts = self._lifter.lift(seen.rays[m, c], confidence[m, c], self._R_cam_world[c, :, 2])
        n_joints = lifts.joints_cam_m.shape[1]
        joints = np.full((*weight.shape[:2], n_joints, 3), np.nan)
        sigma = np.full(joints.shape[:3], np.nan)
        joints[m, c], sigma[m, c] = lifts.joints_cam_m, lifts.sigma_m
        rays, sure = derive_known(seen.rays, confidence, self._lifter.given, self._lifter.skeleton)
        return _Lifts(joints, sigma, rays, sure)

    def _far_off(self, rays: F64, expected: kernel.Expected) -> Bools:
        """(M, C, J): joints far from where they were expected, which would spoil the whole lift of their view."""
        j = rays.shape[2]
        information = expected.witness[:, :j]
        there = information[..., 0, 0] > 0
        in_cam = expected.joints_m[:, None, :j] - self._centre_m[:, None]
        in_cam = np.einsum("cik,mcjk->mcji", self._R_cam_world, in_cam)
        depth = np.maximum(in_cam[..., 2], MIN_DEPTH_M)
        off = np.linalg.norm(in_cam[..., :2] / depth[..., None] - rays, axis=-1)
        sigma_m = np.sqrt(LOOSE2 / np.maximum(np.einsum("mjii->mj", information), 1e-9))
        gate = self._settings.outlier_sigmas * np.hypot(sigma_m[:, None] / depth, self._sigma)
        return there[:, None] & (off > gate)

    def _problem(self, seen: Seen, weight: F64, known: Known, lifts: "_Lifts | None") -> kernel.Problem:
        m, c, j = weight.shape
        n = len(self._body.names)
        rays = np.zeros((m, n, c, 2))
        weights = np.zeros((m, n, c))
        rays[:, :j] = seen.rays.transpose(0, 2, 1, 3)
        weights[:, :j] = weight.transpose(0, 2, 1)
        gate = self._settings.outlier_sigmas * self._sigma
        views = kernel.Views(self.arrays.Ts_cam_world, self._centre_m, rays, weights, gate)
        expected = known.expected
        news = np.minimum(known.since_s / LIFT_LASTS_S, 1.0)
        lengths = kernel.Lengths(known.length_m, known.length_information)
        if lifts is None:
            nothing = np.zeros((m, c, n))
            return kernel.Problem(
                views, expected, kernel.Lifted(np.zeros((m, c, n, 3)), nothing, nothing, news), lengths, self._tree
            )
        guess = self._guess(lifts, known)
        return kernel.Problem(views, guess, self._bones(lifts, guess, known, news), lengths, self._tree)

    def _guess(self, lifts: "_Lifts", known: Known) -> kernel.Expected:
        """For people of whom nothing was expected, where the lifts together put them."""
        expected = known.expected
        new = ~(expected.witness[..., 0, 0] > 0).any(-1) & np.isfinite(lifts.joints_cam_m[..., 0, 0]).any(-1)
        if not new.any():
            return expected
        m = np.flatnonzero(new)
        root = self._lifter.skeleton.root if self._lifter else 0
        merged = merge(
            lifts.joints_cam_m[m],
            lifts.sigma_m[m],
            lifts.rays[m],
            lifts.confidence[m],
            self._R_cam_world,
            self._centre_m,
            root,
        )
        joints_m, information = expected.joints_m.copy(), expected.information.copy()
        of_tree = np.flatnonzero(self._body.lifted >= 0)
        placed = (merged.root_m[:, None] + merged.joints_m)[:, self._body.lifted[of_tree]]
        good = np.isfinite(placed).all(-1)
        joints_m[m[:, None], of_tree] = np.where(good[..., None], placed, 0.0)
        information[m[:, None], of_tree] = np.where(good, GUESS_SIGMA_M**-2, 0.0)[..., None, None] * np.eye(3)
        witness = np.where(new[:, None, None, None], information, expected.witness)
        return expected._replace(joints_m=joints_m, information=information, witness=witness)

    def _bones(self, lifts: "_Lifts", guess: kernel.Expected, known: Known, news: F64) -> kernel.Lifted:
        """The lifts' bone vectors, scaled to the person's known lengths."""
        body = self._body
        bone_of = np.flatnonzero((body.lifted >= 0) & (body.parent >= 0))
        child, parent = body.lifted[bone_of], body.lifted[body.parent[bone_of]]
        there = np.isfinite(lifts.joints_cam_m[..., 0, 0])
        joints = np.where(there[..., None, None], lifts.joints_cam_m, 0.0) @ self._R_cam_world  # from the right: world
        bones = joints[:, :, child] - joints[:, :, parent]  # (M, C, B, 3)
        length = np.linalg.norm(bones, axis=-1)
        informed = known.length_information[:, None, bone_of] * np.maximum(length, 0.05) ** -2  # of the ratio
        ratio = (informed * known.length_m[:, None, bone_of] * length).sum(-1) / np.maximum(
            (informed * length**2).sum(-1), 1e-12
        )
        scale = np.where(informed.sum(-1) > 0, np.clip(ratio, 0.6, 1.6), 1.0)
        sigma2 = np.where(there[..., None], lifts.sigma_m, 1.0) ** 2
        added = np.maximum(sigma2[..., child] - sigma2[..., parent], LEAST_BONE**2 * sigma2[..., child])
        along = there[..., None] / (BONE_VARIANCE * added)
        middle = _middle(guess)
        distance = np.maximum(np.linalg.norm(middle[:, None] - self._centre_m, axis=-1), NEAREST_M)
        both = (lifts.confidence[..., child] > 0) & (lifts.confidence[..., parent] > 0)
        by_2d = (np.minimum(lifts.confidence[..., child], lifts.confidence[..., parent])
                 / (ACROSS * SIGMA_RAY * self.noise_scale * distance[..., None])) ** 2  # fmt: skip
        across = there[..., None] * np.where(both, by_2d, along / UNSEEN**2)
        along = np.where(both, along, along / UNSEEN**2)
        (m, c), n = there.shape, len(body.names)
        lifted = kernel.Lifted(np.zeros((m, c, n, 3)), np.zeros((m, c, n)), np.zeros((m, c, n)), news)
        lifted.bone_m[:, :, bone_of] = bones * scale[..., None, None]
        lifted.along[:, :, bone_of] = along
        lifted.across[:, :, bone_of] = across
        return lifted

    def _fused(self, solved: kernel.Solved, lifted: Bools, odd: Bools) -> Fused:
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
        distance = np.linalg.norm(middle - self._centre_m[sees.argmax(1)], axis=-1)
        return np.where(sees.sum(1) == 1, distance, 0.0)

    def _learn_noise(self, residual2: F64, weight: F64) -> None:
        """Measured noise over assumed noise, smoothed; from joints that three views saw, as two always half agree."""
        judged = (weight > 0) & ((weight > 0).sum(-1) >= 3)[..., None] & np.isfinite(residual2)
        if not judged.any():
            return
        in_sigmas = np.sqrt(residual2[judged] * weight[judged]) * self.noise_scale
        measured = float(np.median(in_sigmas)) / MEDIAN_OF_UNIT_NOISE
        self.noise_scale += NOISE_GAIN * (min(max(measured, MIN_NOISE_SCALE), MAX_NOISE_SCALE) - self.noise_scale)


@dataclass(frozen=True)
class _Lifts:
    """joints_cam_m (M, C, L, 3), sigma_m (M, C, L) of the lifter's L joints, NaN without a lift; and their 2D."""

    joints_cam_m: F64
    sigma_m: F64
    rays: F64
    confidence: F64


def _middle(expected: kernel.Expected) -> F64:
    """(M, 3): the middle of the joints that are expected somewhere, else the world's origin."""
    there = (expected.witness[..., 0, 0] > 0)[..., None]
    return np.where(there, expected.joints_m, 0.0).sum(1) / np.maximum(there.sum(1), 1)


def _odd(weight: F64, used: Bools) -> Bools:
    """(M, C): views most of whose joints are out-voted while the other views agree on the person."""
    seen = weight > 0
    counted = used.transpose(0, 2, 1)[:, :, : seen.shape[2]]
    n_seen, n_used = seen.sum(-1), counted.sum(-1)
    odd = (n_seen >= MIN_SEEN) & (n_used < (1.0 - ODD_SHARE) * n_seen)
    sound = (n_seen >= MIN_SEEN) & ~odd
    return odd & sound.any(1, keepdims=True)


def _without(problem: kernel.Problem, odd: Bools) -> kernel.Problem:
    """The problem without the views that are odd."""
    weight = np.where(odd[:, None], 0.0, problem.views.weight)
    gone = odd[:, :, None]
    lifted = problem.lifted._replace(
        along=np.where(gone, 0.0, problem.lifted.along), across=np.where(gone, 0.0, problem.lifted.across)
    )
    return problem._replace(views=problem.views._replace(weight=weight), lifted=lifted)


def delivered(camera: Camera, size_wh: tuple[int, ...], crop_offset_px: tuple[float, float] | None) -> Camera:
    """The calibrated camera as it delivers pictures of another size: scaled, or cropped from an offset.

    Raises CalibrationError when the picture has another shape and no crop offset says why.
    """
    width, height = size_wh[0], size_wh[1]
    if crop_offset_px is not None:
        K = camera.K.copy()
        K[:2, 2] -= crop_offset_px
        return Camera(camera.name, (width, height), K, camera.dist, camera.T_cam_world)
    aspect, calibrated_aspect = width / height, camera.size_wh[0] / camera.size_wh[1]
    if abs(aspect / calibrated_aspect - 1.0) > SAME_SHAPE:
        raise CalibrationError(
            f"delivers {width}x{height} but was calibrated at {camera.size_wh[0]}x{camera.size_wh[1]}: choose that "
            f"size, or, if the picture is a crop, say where it begins: `crop_offset_px: {{{camera.name}: [0, 0]}}`"
        )
    return camera.resized((width, height))
