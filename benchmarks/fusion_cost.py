"""What fusion costs on one core, for 1 to 10 people and 2 to 16 views: a tick from its keypoint messages to its poses.

    python -m benchmarks.fusion_cost [--ticks N] [--json FILE] [--check]

Virtual actors stand 1.5 m apart on a grid and reach, turn and crouch inside a ring of cameras; every view detects the
33 landmarks of all of them in an order of its own, with 3 px noise. A tick is one message from each camera, pushed
through the live pipeline with its default settings. Told is the processor time of the whole process, pinned to one
core: "lifts excluded" is a run with the shipped lifter less the time inside it, "lifts" that time, "no lifter" a run
without one. "found": people published, mean. The exponents are those of time ~ people^a and time ~ views^b through the
medians of the curves.
"""

import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, parser
from benchmarks.scenes import FOCAL_PX, LANDMARKS, SIZE_WH
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from configs import schema
from lifter.runtime import Lifter, Lifts, load
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, Body, joints_at
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import Keypoints2D

F64 = npt.NDArray[np.float64]

AIMS_MS = {(1, 8): 1.0, (4, 8): 5.0, (10, 16): 12.0}  # people, views
PEOPLE = (1, 2, 3, 4, 6, 8, 10)  # of the curve at CURVE_VIEWS
CURVE_VIEWS = 8
VIEWS = (2, 4, 6, 8, 12, 16)  # of the curve at CURVE_PEOPLE
CURVE_PEOPLE = 4
LINEAR, QUADRATIC = 1.1, 2.0  # the fit through medians is good to about 0.1

FPS = 30.0
START_NS = 1_800_000_000_000_000_000
WARM_UP_TICKS = 60  # births, bones learnt, caches
APART_M = 1.5
ROWS_OF = 4  # people in a row of the grid
RADIUS_M = 7.0
MOVES = ("reach", "turn", "crouch")
NOISE_PX = 3.0


class TimedLifter(Lifter):
    """A lifter that adds up the processor time inside it."""

    def __init__(self, lifter: Lifter) -> None:
        self.__dict__.update(lifter.__dict__)
        self.spent_ns = 0

    def lift(self, rays: npt.ArrayLike, confidence: npt.ArrayLike, up_cam: npt.ArrayLike | None = None) -> Lifts:
        started_ns = time.process_time_ns()
        try:
            return super().lift(rays, confidence, up_cam)
        finally:
            self.spent_ns += time.process_time_ns() - started_ns


@dataclass(frozen=True)
class Cost:
    """Processor time of each tick in ms: all of it, and what of it was the lifter's. found: people published, mean."""

    total_ms: F64
    lifts_ms: F64
    found: float

    @property
    def fusion_ms(self) -> F64:
        return self.total_ms - self.lifts_ms


def crowd(n_people: int, n_ticks: int) -> F64:
    """Landmarks (T, P, 33, 3) of people on a grid about the middle, no two in step."""
    t_s = np.arange(n_ticks) / FPS
    places = np.array([divmod(i, ROWS_OF) for i in range(n_people)]) * APART_M
    places = places - places.mean(axis=0)
    people = []
    for i, place in enumerate(places):
        body = Body.of_stature(1.6 + 0.03 * i)
        joints_m = joints_at(MOTIONS[MOVES[i % len(MOVES)]], t_s + 1.7 * i, body)[:, LANDMARKS]
        people.append(joints_m + np.append(place, 0.0))
    return np.stack(people, axis=1)


def ticks(rig: CameraRig, joints_m: F64) -> list[list[Keypoints2D]]:
    """One message of each camera for every tick of landmarks (T, P, 33, 3)."""
    rng = np.random.default_rng(0)
    T, P, J = joints_m.shape[:3]
    keypoints_px = rig.project(joints_m) + rng.normal(0.0, NOISE_PX, (len(rig.cameras), T, P, J, 2))
    confidence = rng.uniform(0.85, 1.0, keypoints_px.shape[:-1])
    messages = []
    for tick in range(T):
        order = [rng.permutation(P) for _ in rig.cameras]
        captured_ns = START_NS + round(tick * 1e9 / FPS)
        messages.append(
            [
                Keypoints2D(
                    captured_ns=captured_ns,
                    published_ns=captured_ns + 20_000_000,
                    source=camera.name,
                    seq=tick,
                    skeleton=MEDIAPIPE33.name,
                    size_wh=camera.size_wh,
                    keypoints_px=keypoints_px[c, tick, order[c]].astype(np.float32),
                    confidence=confidence[c, tick, order[c]].astype(np.float32),
                )
                for c, camera in enumerate(rig.cameras)
            ]
        )
    return messages


def measure(n_people: int, n_views: int, n_ticks: int, lifter: TimedLifter | None) -> Cost:
    """Ticks after a warm-up through a new pipeline."""
    rig = ring_rig(n_views, RADIUS_M, 2.5, SIZE_WH, FOCAL_PX)
    pipeline = FusionPipeline(rig, rig.names, schema.Fusion(), MEDIAPIPE33, lifter=lifter)
    total_ns, lifts_ns, found = [], [], []
    for messages in ticks(rig, crowd(n_people, WARM_UP_TICKS + n_ticks)):
        before_ns = lifter.spent_ns if lifter else 0
        started_ns = time.process_time_ns()
        poses = [pose for message in messages for pose in pipeline.push(message)]
        total_ns.append(time.process_time_ns() - started_ns)
        lifts_ns.append((lifter.spent_ns if lifter else 0) - before_ns)
        found.append(sum(len(pose.people) for pose in poses))
    told = slice(WARM_UP_TICKS, None)
    return Cost(np.array(total_ns)[told] / 1e6, np.array(lifts_ns)[told] / 1e6, float(np.mean(found[told])))


def exponent(sizes: tuple[int, ...], times_ms: list[float]) -> float:
    """a of time ~ size^a, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(times_ms), 1)[0])


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--ticks", type=int, default=200, help="ticks per figure (default %(default)s)")
    options = made.parse_args()
    numba.set_num_threads(1)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    layouts = [*((p, CURVE_VIEWS) for p in PEOPLE), *((CURVE_PEOPLE, v) for v in VIEWS), *AIMS_MS]
    lifter = TimedLifter(load(skeleton=MEDIAPIPE33))
    measure(2, 4, 10, lifter)  # compilers are not what is measured
    report = Report("fusion, processor time of a tick on one core, 33 joints")
    medians, found = {}, {}
    for people, views in dict.fromkeys(layouts):
        print(f"{people} people × {views} views …", file=sys.stderr)
        with_lifts, without = (measure(people, views, options.ticks, each) for each in (lifter, None))
        medians[people, views] = float(np.median(with_lifts.fusion_ms))
        found[people, views] = with_lifts.found / people
        report.row(people=people, views=views, **_figures(with_lifts, without))
    os.sched_setaffinity(0, allowed)
    for (people, views), aim_ms in AIMS_MS.items():
        report.aim(f"{people} people × {views} views, median ms, lifts excluded", medians[people, views], aim_ms)
        name = f"{people} people × {views} views, share of the people published"
        report.aim(name, found[people, views], 0.99, at_least=True)
    by_people = exponent(PEOPLE, [medians[people, CURVE_VIEWS] for people in PEOPLE])
    by_views = exponent(VIEWS, [medians[CURVE_PEOPLE, views] for views in VIEWS])
    report.aim(f"exponent of the time over people, {CURVE_VIEWS} views", by_people, LINEAR)
    report.aim(f"exponent of the time over views, {CURVE_PEOPLE} people", by_views, QUADRATIC)
    return report.finish(options)


def _figures(with_lifts: Cost, without: Cost) -> dict[str, Any]:
    return {
        "median ms, lifts excluded": float(np.median(with_lifts.fusion_ms)),
        "p95 ms": float(np.percentile(with_lifts.fusion_ms, 95)),
        "lifts, median ms": float(np.median(with_lifts.lifts_ms)),
        "found": with_lifts.found,
        "no lifter, median ms": float(np.median(without.total_ms)),
        "no lifter, p95 ms": float(np.percentile(without.total_ms, 95)),
        "no lifter, found": without.found,
    }


if __name__ == "__main__":
    sys.exit(main())
