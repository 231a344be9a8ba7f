"""`reprocess --smooth` beside the live poses and the usual zero-phase filter, on captured motion whose truth is known.

    python -m benchmarks.smoothing [--data DIR] [--windows N] [--split test|val] [--only WORDS] [--json FILE] [--check]

Scenes as in `benchmarks.fusion`: windows of at most 5 s of CMU's motion, seen by random rigs with 3 px noise; and
"unseen": nobody is seen for 0.3, 0.6 and 0.9 s. Methods: "live", the pipeline as it runs; "live, Butterworth" and "per
frame, Butterworth", its poses with smoothing and without through a 4th-order Butterworth filter of 6 Hz forward and
backward, as Pose2Sim does; "smoothed", ours.

Errors are means over all joints that exist, one that is not reported counts as 300 mm. jitter: mean error of the
acceleration, m/s². lag: shift in time that fits the truth best. sigma: mean squared error over squared sigma, per axis,
1 when honest. "while …": of the ticks in which it happens alone. ids: of the person, per window.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, filtfilt

from benchmarks import fusion
from benchmarks import fusion_scenes as scenes
from benchmarks.fusion import Estimate, Trial
from benchmarks.fusion_scenes import Scene, Window
from benchmarks.report import Report, parser, refuse
from configs import schema
from lifter.datasets.errors import DatasetError
from lifter.datasets.motion_file import read_clips
from lifter.runtime import Lifter, load
from lifter.skeleton import BODY17
from nodes.hindsight.spool import Spool
from nodes.hindsight.time_order import by_capture, mirrored, with_silences
from nodes.smoothing_pass import Hindsight, fuse_backward, fuse_forward, hindsight
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import FusionHealth, Keypoints2D, Pose3D

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CUTOFF_HZ, ORDER = 6.0, 4  # Pose2Sim's defaults
LIVE, LIVE_LOW, FRAME_LOW, SMOOTHED = "live", "live, Butterworth", "per frame, Butterworth", "smoothed"
UNSEEN, UNSEEN_S, BETWEEN_S = "unseen", (0.3, 0.6, 0.9), 0.6


def unseen(window: Window) -> Scene:
    """Four views, all of which see nobody for a while, again and again."""
    scene = scenes.seen(window, 4)
    gone = np.zeros(scene.confidence.shape, dtype=np.bool_)
    begin = round(BETWEEN_S * scenes.FPS)
    for seconds in UNSEEN_S:
        end = begin + round(seconds * scenes.FPS)
        gone[:, begin:end] = True
        begin = end + round(BETWEEN_S * scenes.FPS)
    return scenes._without(scene, gone)


CONDITIONS: dict[str, Callable[[Window], Scene]] = {
    name: fusion.CONDITIONS[name]
    for name in (
        fusion.CLEAN.format(4),
        fusion.CLEAN.format(2),
        fusion.OUTLIERS.format(4),
        fusion.MISSING.format(4),
        fusion.MISSING.format(2),
        fusion.LASTING.format(4),
        fusion.ONE_VIEW,
        fusion.SWAPS,
        fusion.BYSTANDER,
        fusion.PHASES,
    )
} | {UNSEEN: unseen}
LONG = (fusion.ONE_VIEW, UNSEEN)  # conditions that take all of the five seconds


@dataclass(frozen=True)
class Measured:
    """A method's row."""

    mean_mm: float
    jitter: float
    during_mm: float


def low_passed(estimate: Estimate) -> Estimate:
    """Every joint forward and backward through the filter, stretch by stretch where it is known."""
    b, a = butter(ORDER // 2, CUTOFF_HZ / (scenes.FPS / 2))
    joints_m = estimate.joints_m.copy()
    for j in range(joints_m.shape[1]):
        there = np.isfinite(joints_m[:, j, 0]).astype(np.int64)
        edges = np.flatnonzero(np.diff(there, prepend=0, append=0))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            if end - begin > 3 * max(len(a), len(b)):
                joints_m[begin:end, j] = filtfilt(b, a, joints_m[begin:end, j], axis=0)
    return Estimate(joints_m, estimate.sigma_m, estimate.others)


def smoothed(scene: Scene, lifter: Lifter) -> list[Pose3D]:
    """As `reprocess --smooth` does it, without a session."""
    settings = schema.Fusion(synchroniser=schema.Synchroniser(rate_hz=scenes.FPS, deadline_ms=None))
    gap_ns, names = round(settings.synchroniser.max_gap_ms * 1e6), scene.rig.names

    def pipeline(ticks_ns: Sequence[int]) -> FusionPipeline:
        return FusionPipeline(scene.rig, names, settings, BODY17, lifter=lifter, ticks_ns=ticks_ns)

    messages: list[tuple[Keypoints2D, int]] = [(each, each.published_ns) for each in scene.messages()]
    folder = Path(tempfile.gettempdir())
    with Spool(Pose3D, folder) as ahead, Spool(Pose3D, folder) as back, Spool(FusionHealth, folder) as healths:
        events = with_silences(by_capture(messages), names, gap_ns)
        fuse_forward(events, pipeline(scene.ticks_ns), ahead, healths)
        pivot_ns = ahead.captured_ns[0] + ahead.captured_ns[-1]
        reverse = [(mirrored(each, pivot_ns), 0) for each, _ in reversed(messages)]
        ticks_ns = [pivot_ns - ns for ns in reversed(ahead.captured_ns)]
        fuse_backward(with_silences(by_capture(reverse), names, gap_ns), pipeline(ticks_ns), back)
        return list(hindsight(ahead, back, settings.people.max_sigma_m, Hindsight()))


def trial_of(condition: str, windows: Sequence[Window], lifter: Lifter) -> tuple[Trial, dict[str, float]]:
    """What every method makes of a condition; ids that ours gave, per window."""
    trial, ids = Trial([CONDITIONS[condition](window) for window in windows]), []
    for scene in trial.scenes:
        live = fusion.through_the_pipeline(scene, schema.Smoothing(), lifter)
        frame = fusion.through_the_pipeline(scene, schema.Smoothing(kind="none"), lifter)
        poses = smoothed(scene, lifter)
        ours = fusion._estimate({pose.captured_ns: pose for pose in poses}, scene.ticks_ns, scene.truth_m())
        ids.append(len({person.id for pose in poses for person in pose.people}))
        for name, estimate in (
            (LIVE, live),
            (LIVE_LOW, low_passed(live)),
            (FRAME_LOW, low_passed(frame)),
            (SMOOTHED, ours),
        ):
            trial.estimates.setdefault(name, []).append(estimate)
    return trial, {SMOOTHED: float(np.mean(ids))}


def during(condition: str, trial: Trial) -> list[Bools] | None:
    """(T, J) of every window: the ticks in which it happens, where that is for a while."""
    if condition == fusion.ONE_VIEW:
        return trial.while_alone()
    if condition == UNSEEN:
        seen = [(scene.nearest()[1] > 0).any((1, 2)) for scene in trial.scenes]
        return [np.repeat(~each[:, None], len(BODY17.joints), axis=1) for each in seen]
    return None


def jitter(trial: Trial, method: str) -> float:
    """Mean error of the joints' acceleration, where three ticks running are reported."""
    pairs = zip(trial.scenes, trial.estimates[method], strict=True)
    error = [np.diff(each.joints_m - scene.truth_m(), 2, axis=0) * scenes.FPS**2 for scene, each in pairs]
    return float(np.nanmean(np.concatenate([np.linalg.norm(each, axis=-1).ravel() for each in error])))


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--data", type=Path, default=Path("../shared/data/cmu"), help="folder of the motion")
    made.add_argument("--windows", type=int, default=24, help="windows per condition (default %(default)s)")
    made.add_argument("--split", default="test", choices=("test", "val"), help="subjects (default %(default)s)")
    made.add_argument("--only", default="", metavar="WORDS", help="conditions whose name has these words")
    options = made.parse_args()
    try:
        clips = read_clips(options.data / fusion.MOTION_FILE, split=options.split)
    except DatasetError as error:
        return refuse(f"{error}. Say where the folder with {fusion.MOTION_FILE} is: --data DIR")
    short = scenes.choose(clips, options.windows)
    long = scenes.choose(clips, options.windows // 2, scenes.LONGEST_S)
    report, lifter = Report(f"smoothing with hindsight, {options.windows} windows of captured motion"), load()
    for condition in CONDITIONS:
        if options.only in condition:
            print(f"{condition} …", file=sys.stderr)
            trial, ids = trial_of(condition, long if condition in LONG else short, lifter)
            hold(report, condition, trial, tell(report, condition, trial, ids))
    return report.finish(options)


def tell(report: Report, condition: str, trial: Trial, ids: dict[str, float]) -> dict[str, Measured]:
    """A row for each method."""
    measured, which = {}, during(condition, trial)
    for method in (LIVE, LIVE_LOW, FRAME_LOW, SMOOTHED):
        during_mm = float("nan") if which is None else trial.mean_mm(method, which)
        measured[method] = Measured(trial.mean_mm(method), jitter(trial, method), during_mm)
        report.row(
            condition=condition,
            method=method,
            **{
                "mean mm": measured[method].mean_mm,
                "reported %": trial.reported(method),
                "jitter": measured[method].jitter,
                "lag ms": trial.lag_ms(method),
                "sigma": trial.honesty(method),
                "while, mm": during_mm,
                "while, reported %": float("nan") if which is None else trial.reported(method, which),
                "while, sigma": float("nan") if which is None else trial.honesty(method, which),
                "ids": ids.get(method, float("nan")),
            },
        )
    return measured


def hold(report: Report, condition: str, trial: Trial, measured: dict[str, Measured]) -> None:
    """Never worse than live, clearly smoother, on time."""
    ours, live = measured[SMOOTHED], measured[LIVE]
    best = min(measured[LIVE_LOW].mean_mm, measured[FRAME_LOW].mean_mm)
    report.aim(f"{condition}: error over live", ours.mean_mm / live.mean_mm, 0.9)
    report.aim(f"{condition}: error over the better Butterworth", ours.mean_mm / best, 1.0)
    report.aim(f"{condition}: jitter over live", ours.jitter / live.jitter, 0.6)
    report.aim(f"{condition}: lag in ms, either way", abs(trial.lag_ms(SMOOTHED)), 2.5)


if __name__ == "__main__":
    sys.exit(main())
