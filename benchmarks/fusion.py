"""Fusion beside what others do, on the same observations of captured motion whose truth is known.

    python -m benchmarks.fusion [--data DIR] [--windows N] [--only WORDS] [--json FILE] [--check]

Windows of at most 5 s of CMU's test motion (`benchmarks.fusion_scenes`), seen by random rigs with 3 px noise and
confidences like MediaPipe's, sent as keypoint messages through the live pipeline with the shipped lifter: "per frame"
without smoothing, "smoothed" with the default settings. The peers (`benchmarks.fusion_peers`) see every tick by itself:
confidence-weighted linear triangulation, RANSAC, Pose2Sim's drop-worst-camera rule, and the best single lift, chosen by
who knows the truth: standing where it places itself, and put onto the true root. All use the same least confidence.
Where cameras are out of phase, the peers take each camera's nearest frame.

Errors are means over all joints that exist, from the first tick of a window on; one that is not reported counts as
300 mm, in "rel mm", after aligning the pelvis, too. "median mm" is over those that are reported. "sigma": mean squared
error over the squared sigma that was told, per axis, 1 when honest. "others %": ticks with further people.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import fusion_peers as peers
from benchmarks import fusion_scenes as scenes
from benchmarks.fusion_scenes import Scene, Window
from benchmarks.report import Report, parser, refuse
from configs import schema
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion_file import read_clips
from lifter.runtime import Lifter, load
from lifter.skeleton import BODY17
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import Person3D, Pose3D

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNREPORTED_MM = 300.0
MOTION_FILE = "cmu_motion.npz"
PER_FRAME, SMOOTHED = "livepose3d, per frame", "livepose3d, smoothed"
OURS = {PER_FRAME: schema.Smoothing(kind="none"), SMOOTHED: schema.Smoothing()}
PEERS = ("DLT", "DLT with RANSAC", "Pose2Sim's rule", "best lift", "best lift, root known")
MIN_CONFIDENCE = schema.Triangulation().min_confidence
VIEWS = (2, 3, 4)
LAGS_MS = np.arange(-40.0, 91.0, 2.5)
RETURN_TICKS = 15  # half a second after the views are back, in which a jump would be seen

CLEAN, OUTLIERS, MISSING, LASTING = (
    "{} views",
    "{} views, 10 % moved",
    "{} views, 30 % missing",
    "{} views, 30 % gone for 1 s",
)
ONE_VIEW, SWAPS, PHASES = "one view for 2 s", "one view swapped 20 %", "4 views out of phase"
BYSTANDER, LEFT_OUT = "one view at a bystander", "that view left out"


def _seen_with(fault: Callable[[Scene, float], Scene], share: float, n_views: int) -> Callable[[Window], Scene]:
    return lambda window: fault(scenes.seen(window, n_views), share)


CONDITIONS: dict[str, Callable[[Window], Scene]] = {
    **{CLEAN.format(n): partial(scenes.seen, n_views=n) for n in VIEWS},
    **{OUTLIERS.format(n): _seen_with(scenes.moved, 0.1, n) for n in VIEWS},
    **{MISSING.format(n): _seen_with(scenes.missing, 0.3, n) for n in VIEWS},
    **{LASTING.format(n): _seen_with(scenes.missing_for_long, 0.3, n) for n in VIEWS},
    ONE_VIEW: lambda window: scenes.one_view(scenes.seen(window, 4)),
    SWAPS: _seen_with(scenes.swapped, 0.2, 4),
    BYSTANDER: lambda window: scenes.bystander(scenes.seen(window, 4)),
    LEFT_OUT: lambda window: scenes.without_view(scenes.seen(window, 4)),
    PHASES: partial(scenes.seen, n_views=4, out_of_phase=True),
}


@dataclass(frozen=True)
class Estimate:
    """What a method says of a window: joints_m (T, J, 3), NaN where not reported; sigma_m (T, J), NaN where not told.

    others: (T,) whether there were further people than the one who is there.
    """

    joints_m: F64
    sigma_m: F64
    others: Bools

    @staticmethod
    def of_joints(joints_m: F64) -> "Estimate":
        return Estimate(joints_m, np.full(joints_m.shape[:2], np.nan), np.zeros(len(joints_m), dtype=np.bool_))


@dataclass
class Trial:
    """All windows under one condition, and what every method made of them."""

    scenes: list[Scene]
    estimates: dict[str, list[Estimate]] = field(default_factory=dict)

    def error_mm(self, method: str, which: Sequence[Bools] | None = None) -> F64:
        """Errors of the joints that exist, 300 where not reported; `which`: (T, J) of every window, those alone."""
        pairs = zip(self.scenes, self.estimates[method], strict=True)
        error = [_error_mm(each.joints_m, scene.truth_m()) for scene, each in pairs]
        chosen = error if which is None else [e[w] for e, w in zip(error, which, strict=True)]
        return np.concatenate([e.ravel() for e in chosen])

    def mean_mm(self, method: str, which: Sequence[Bools] | None = None) -> float:
        """The mean of `error_mm`."""
        return float(np.nan_to_num(self.error_mm(method, which), nan=UNREPORTED_MM).mean())

    def relative_mm(self, method: str, which: Sequence[Bools] | None = None) -> float:
        """As `mean_mm`, after the pelvis was put onto the true one."""
        shifted = Trial(self.scenes)
        for scene, each in zip(self.scenes, self.estimates[method], strict=True):
            root_m = scene.truth_m()[:, [BODY17.root]] - each.joints_m[:, [BODY17.root]]
            shifted.estimates.setdefault(method, []).append(Estimate.of_joints(each.joints_m + root_m))
        return shifted.mean_mm(method, which)

    def reported(self, method: str, which: Sequence[Bools] | None = None) -> float:
        """Per cent of the joints that exist."""
        return float(100 * np.isfinite(self.error_mm(method, which)).mean())

    def honesty(self, method: str, which: Sequence[Bools] | None = None) -> float:
        """Mean squared error per axis over sigma squared; NaN for methods that tell no sigma."""
        sigma_mm = np.concatenate(
            [
                1000 * (each.sigma_m if which is None else each.sigma_m[which[i]]).ravel()
                for i, each in enumerate(self.estimates[method])
            ]
        )
        squared = (self.error_mm(method, which) / sigma_mm) ** 2 / 3
        told = np.isfinite(squared)
        return float(squared[told].mean()) if told.any() else float("nan")

    def lag_ms(self, method: str) -> float:
        """How much older the motion is that the estimates fit best: the shift in time with the least mean error."""
        mean_mm = []
        for lag in LAGS_MS:
            pairs = zip(self.scenes, self.estimates[method], strict=True)
            error = [_error_mm(each.joints_m, scene.truth_m(later_ms=-lag)) for scene, each in pairs]
            mean_mm.append(np.nanmean(np.concatenate([e.ravel() for e in error])))
        return float(LAGS_MS[int(np.argmin(mean_mm))])

    def jump_mm(self, method: str) -> float:
        """The largest step of a joint from tick to tick beyond its true one, as the views come back in `one_view`.

        A joint that was not reported is taken for standing as far off as when it last was.
        """
        largest = []
        for scene, each in zip(self.scenes, self.estimates[method], strict=True):
            back = int(np.flatnonzero(scenes.alone(scene))[-1])
            off_m = _held(each.joints_m - scene.truth_m())
            steps_m = np.diff(off_m, axis=0)[back : back + RETURN_TICKS]
            largest.append(np.nanmax(np.linalg.norm(steps_m, axis=-1), initial=0.0))
        return float(1000 * max(largest))

    def others(self, method: str) -> float:
        """Per cent of the ticks with further people."""
        return float(100 * np.concatenate([each.others for each in self.estimates[method]]).mean())

    def seen_once(self) -> list[Bools]:
        """(T, J) of every window: joints that exactly one view detected."""
        return [(scene.nearest()[1] > MIN_CONFIDENCE).sum(axis=1) == 1 for scene in self.scenes]

    def while_alone(self) -> list[Bools]:
        """(T, J) of every window: the two seconds of `one_view`."""
        return [np.repeat(scenes.alone(scene)[:, None], len(BODY17.joints), axis=1) for scene in self.scenes]


def _error_mm(joints_m: F64, truth_m: F64) -> F64:
    return 1000 * np.linalg.norm(joints_m - truth_m, axis=-1)


def _held(values: F64) -> F64:
    """Values (T, J, 3), those that are NaN as they last were."""
    ticks = np.where(np.isfinite(values).all(-1), np.arange(len(values))[:, None], 0)
    return np.take_along_axis(values, np.maximum.accumulate(ticks, axis=0)[..., None], axis=0)


def through_the_pipeline(scene: Scene, smoothing: schema.Smoothing, lifter: Lifter) -> Estimate:
    """The live stages' poses at the scene's ticks; of several people the one who is nearest to the truth."""
    settings = schema.Fusion(
        synchroniser=schema.Synchroniser(rate_hz=scenes.FPS, deadline_ms=None), smoothing=smoothing
    )
    names, ticks_ns = scene.rig.names, scene.ticks_ns
    pipeline = FusionPipeline(scene.rig, names, settings, BODY17, lifter=lifter, ticks_ns=ticks_ns)
    poses = [pose for message in scene.messages() for pose in pipeline.push(message)] + pipeline.finish()
    return _estimate({pose.captured_ns: pose for pose in poses}, ticks_ns, scene.truth_m())


def _estimate(poses: dict[int, Pose3D], ticks_ns: list[int], truth_m: F64) -> Estimate:
    """From poses by their time."""
    joints_m, sigma_m = np.full(truth_m.shape, np.nan), np.full(truth_m.shape[:2], np.nan)
    others = np.zeros(len(truth_m), dtype=np.bool_)
    for tick, captured_ns in enumerate(ticks_ns):
        people = poses[captured_ns].people if captured_ns in poses else ()
        if people:
            nearest = people[int(np.argmin([_distance_m(person, truth_m[tick]) for person in people]))]
            joints_m[tick], sigma_m[tick] = nearest.joints_m, nearest.sigma_m
            others[tick] = len(people) > 1
    return Estimate(joints_m, sigma_m, others)


def _distance_m(person: Person3D, truth_m: F64) -> float:
    return float(np.nan_to_num(np.linalg.norm(person.joints_m - truth_m, axis=-1), nan=1.0).mean())


def by_peers(scene: Scene, lifter: Lifter) -> dict[str, Estimate]:
    """What every peer makes of the scene."""
    keypoints_px, confidence = scene.nearest()
    confidence = np.where(confidence > MIN_CONFIDENCE, confidence, 0.0)
    keypoints_px = np.where(confidence[..., None] > 0, keypoints_px, np.nan)
    T, C, J = confidence.shape
    of_points = keypoints_px.swapaxes(1, 2).reshape(-1, C, 2), confidence.swapaxes(1, 2).reshape(-1, C)
    sightings = peers.Sightings.of(scene.rig, *of_points)
    truth_m = scene.truth_m()
    lifts = peers.best_lifts(lifter, scene.rig, keypoints_px, confidence, truth_m, BODY17)
    points_m = [peers.dlt(sightings), peers.ransac(sightings), peers.pose2sim_rule(sightings)]
    poses_m = [*(each.reshape(T, J, 3) for each in points_m), lifts.placed_m, lifts.at_root_m]
    return {name: Estimate.of_joints(each) for name, each in zip(PEERS, poses_m, strict=True)}


class Trials:
    """Trials by condition, each run when it is first asked for."""

    def __init__(self, windows: list[Window], long_windows: list[Window], lifter: Lifter) -> None:
        self._windows = windows
        self._long_windows = long_windows  # for the conditions that need all of the five seconds
        self._lifter = lifter
        self.of = cache(self._run)

    def _run(self, condition: str) -> Trial:
        windows = self._long_windows if condition == ONE_VIEW else self._windows
        trial = Trial([CONDITIONS[condition](window) for window in windows])
        for scene in trial.scenes:
            for name, smoothing in OURS.items():
                trial.estimates.setdefault(name, []).append(through_the_pipeline(scene, smoothing, self._lifter))
            for name, estimate in by_peers(scene, self._lifter).items():
                trial.estimates.setdefault(name, []).append(estimate)
        return trial


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument(
        "--data", type=Path, default=Path("../shared/data/cmu"), help="folder of the motion (default %(default)s)"
    )
    made.add_argument("--windows", type=int, default=24, help="windows per condition (default %(default)s)")
    made.add_argument("--only", default="", metavar="WORDS", help="aims and conditions whose name has these words")
    options = made.parse_args()
    try:
        clips = read_clips(options.data / MOTION_FILE, split="test")
    except DatasetError as error:
        return refuse(f"{error}. Say where the folder with {MOTION_FILE} is: --data DIR")
    windows = scenes.choose(clips, options.windows)
    trials = Trials(windows, scenes.choose(clips, options.windows // 2, scenes.LONGEST_S), load())
    n_ticks = sum(window.ticks for window in windows)
    report = Report(f"fusion, {len(windows)} windows of captured motion ({n_ticks} ticks), 3 px noise")
    for condition in CONDITIONS:
        if options.only in condition:
            print(f"{condition} …", file=sys.stderr)
            tell(report, condition, trials.of(condition))
    for condition, hold in AIMS.items():
        if options.only in condition:
            hold(report, trials)
    return report.finish(options)


def tell(report: Report, condition: str, trial: Trial) -> None:
    """A row for each method; for `one_view`, and for joints that one view saw, also rows of these alone."""
    parts: list[tuple[str, list[Bools] | None]] = [(condition, None)]
    if condition == ONE_VIEW:
        parts.append((f"{condition}, during", trial.while_alone()))
    if "missing" in condition or "gone" in condition:
        parts.append((f"{condition}, seen once", trial.seen_once()))
    for name, which in parts:
        for method in (*OURS, *PEERS):
            error_mm = trial.error_mm(method, which)
            reported = np.isfinite(error_mm)
            ours = method in OURS and which is None
            report.row(
                condition=name,
                method=method,
                **{
                    "mean mm": trial.mean_mm(method, which),
                    "median mm": float(np.median(error_mm[reported])) if reported.any() else float("nan"),
                    "reported %": float(100 * reported.mean()),
                    "rel mm": trial.relative_mm(method, which),
                    "sigma": trial.honesty(method, which),
                    "lag ms": trial.lag_ms(method) if ours else float("nan"),
                    "others %": trial.others(method) if ours else float("nan"),
                },
            )


def hold_clean(report: Report, trials: Trials) -> None:
    """All joints seen."""
    trial = trials.of(CLEAN.format(4))
    linear_mm = trial.mean_mm("DLT")
    report.aim("4 views, per frame: error over DLT's", trial.mean_mm(PER_FRAME) / linear_mm, 1.0)
    report.aim("4 views, smoothed: error over DLT's", trial.mean_mm(SMOOTHED) / linear_mm, 0.75)
    report.aim("4 views, smoothed: lag in ms", trial.lag_ms(SMOOTHED), 30.0)


def hold_outliers(report: Report, trials: Trials, n_views: int) -> None:
    """Observations moved."""
    condition = OUTLIERS.format(n_views)
    for method in OURS:
        ratio = trials.of(condition).mean_mm(method) / trials.of(CLEAN.format(n_views)).mean_mm(method)
        report.aim(f"{condition}, {_kind(method)}: error over that without", ratio, 1.2)
        _hold_below_peers(report, condition, trials.of(condition), method)


def hold_missing(report: Report, trials: Trials, n_views: int) -> None:
    """Observations missing."""
    condition = MISSING.format(n_views)
    trial = trials.of(condition)
    for method in OURS:
        name = f"{condition}, {_kind(method)}"
        report.aim(f"{name}: joints reported, %", trial.reported(method), 100.0, at_least=True)
        report.aim(f"{name}: joints seen once, mm", trial.mean_mm(method, trial.seen_once()), 50.0)
        _hold_below_peers(report, condition, trial, method)


def hold_one_view(report: Report, trials: Trials) -> None:
    """One view left for a while."""
    trial = trials.of(ONE_VIEW)
    during = trial.while_alone()
    report.aim(f"{ONE_VIEW}, smoothed: root-relative during, mm", trial.relative_mm(SMOOTHED, during), 80.0)
    report.aim(f"{ONE_VIEW}, smoothed: absolute during, mm", trial.mean_mm(SMOOTHED, during), 150.0)
    report.aim(f"{ONE_VIEW}, smoothed: largest jump per tick at return, mm", trial.jump_mm(SMOOTHED), 50.0)
    report.aim(f"{ONE_VIEW}, smoothed: squared error over sigma's during", trial.honesty(SMOOTHED, during), 2.0)
    name = f"{ONE_VIEW}, smoothed: squared error over sigma's during, at least"
    report.aim(name, trial.honesty(SMOOTHED, during), 0.5, at_least=True)


def hold_ratio(report: Report, trials: Trials, condition: str, beside: str, limit: float) -> None:
    """Hardly worse than under the condition beside it."""
    for method in OURS:
        ratio = trials.of(condition).mean_mm(method) / trials.of(beside).mean_mm(method)
        report.aim(f"{condition}, {_kind(method)}: error over that of {beside}", ratio, limit)


def _hold_below_peers(report: Report, condition: str, trial: Trial, method: str) -> None:
    best = min(PEERS, key=trial.mean_mm)
    ratio = trial.mean_mm(method) / trial.mean_mm(best)
    report.aim(f"{condition}, {_kind(method)}: error over the best peer's ({best})", ratio, 1.0)


def _kind(method: str) -> str:
    return method.partition(", ")[2]


AIMS: dict[str, Callable[[Report, Trials], None]] = {  # by the condition that --only looks for
    CLEAN.format(4): hold_clean,
    **{OUTLIERS.format(n): partial(hold_outliers, n_views=n) for n in VIEWS},
    **{MISSING.format(n): partial(hold_missing, n_views=n) for n in VIEWS},
    ONE_VIEW: hold_one_view,
    SWAPS: partial(hold_ratio, condition=SWAPS, beside=CLEAN.format(4), limit=1.05),
    BYSTANDER: partial(hold_ratio, condition=BYSTANDER, beside=LEFT_OUT, limit=1.05),
    PHASES: partial(hold_ratio, condition=PHASES, beside=CLEAN.format(4), limit=1.10),
}


if __name__ == "__main__":
    sys.exit(main())
