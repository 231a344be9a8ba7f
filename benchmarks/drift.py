"""How soon a moved camera is named, how well its move is told and mended, and who is named wrongly.

    python -m benchmarks.drift [--seeds N] [--minutes M] [--json FILE] [--check]

Rigs of 3, 4 and 8 cameras at 4 m, 900 px focal length, with lenses; one person, detectors that err (`drift_scenes`).
Each bump comes in a random second of the second minute, each time another camera and direction; a turn is about a
random axis of the picture (a roll is told apart: it hardly moves a person in the middle). "delay": until the camera is
named, of those named within 15 s; "by 5 s": the share of all. "off": how far the told move is from the true one, when
told first and, for turn and place, after self-repair and 40 s more. "px": what is left of the bump in the picture then.
Where `../shared` is, two real recordings are played to and fro, and the keypoints of one camera turned after 75 s.
"""

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import drift_real
from benchmarks.drift_scenes import (
    LOOKS_HZ,
    START_NS,
    Actor,
    bumped,
    calibrated_badly,
    errors_px,
    in_picture,
    rig_of,
)
from benchmarks.report import Report, parser
from calibration.drift import between
from calibration.rig import CameraRig
from configs.schema import Drift
from nodes.stages.delivered import DeliveredRig
from nodes.stages.matching import Detected
from nodes.stages.rig_watch import RigWatch

F64 = npt.NDArray[np.float64]

RIGS = (3, 4, 8)
BUMPS = ((0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (0.0, 5.0), (0.0, 20.0), (0.0, 50.0), (0.0, 100.0), (1.0, 20.0))
LEARN_S = 75.0
WATCHED_S, MENDED_S = 15.0, 50.0  # after the bump
SOON_S = 5.0
ROLL = "roll 1°"


@dataclass
class Room:
    """A rig, what it is believed to be, and who watches it."""

    rig: CameraRig
    actor: Actor
    off_px: F64
    believed: DeliveredRig
    watch: RigWatch
    looked: int = 0

    def run(
        self, until_s: float, cameras: CameraRig | None = None, change: Callable[[F64, F64, slice], F64] | None = None
    ) -> list[tuple[float, frozenset[str]]]:
        """Look on until a time; (seconds, who is said to have moved) at every look.

        cameras: where they really stand. change: what becomes of keypoints (C, T, J, 2) of the looks of a slice.
        """
        looks = slice(self.looked, round(until_s * LOOKS_HZ))
        joints_m, velocity_m_s = self.actor.joints_m[looks], self.actor.velocity_m_s[looks]
        keypoints_px = (cameras or self.rig).project(joints_m) + self.off_px[:, looks]
        if change is not None:
            keypoints_px = change(keypoints_px, joints_m, looks)
        confidence = in_picture(keypoints_px)
        found = []
        for k, t_s in enumerate(self.actor.t_s[looks]):
            rays = self.believed.rays(np.ascontiguousarray(keypoints_px[:, k, None]))
            asked = np.full((len(rays), 1), -1)
            detected = Detected(rays, confidence[:, k, None], asked)
            now_ns = START_NS + round(t_s * 1e9)
            self.watch.take(now_ns, self.believed, detected, joints_m[k, None], velocity_m_s[k, None])
            found.append((float(t_s), frozenset(self.watch.moved)))
        self.looked = looks.stop
        return found


def room_of(n_cameras: int, seconds: float, seed: int, repairs: bool = True) -> Room:
    """A rig that nobody has bumped yet."""
    rng = np.random.default_rng((seed, n_cameras))
    rig, actor = rig_of(n_cameras), Actor(seconds, rng)
    off_px = errors_px(rig, actor, rng)
    believed = DeliveredRig(calibrated_badly(rig, rng), {})
    return Room(rig, actor, off_px, believed, RigWatch(rig.names, Drift(self_repair=repairs)))


@dataclass(frozen=True)
class Bump:
    """What became of one. delay_s: NaN when it was not found. left: turn and way after the repair, in ° and mm."""

    delay_s: float
    wrongly: int
    told_off: tuple[float, float]
    left: tuple[float, float]
    left_px: float


def bump(room: Room, camera: int, turn_deg: F64, shift_m: F64) -> Bump:
    """Bump a camera of a room that is known, now."""
    room = copy.deepcopy(room)
    now_s = room.looked / LOOKS_HZ
    name = room.rig.names[camera]
    cameras = list(room.rig.cameras)
    cameras[camera] = bumped(cameras[camera], turn_deg, shift_m)
    really = CameraRig(tuple(cameras))
    T_before = room.believed.pose(name)
    T_after = bumped(room.believed.calibrated[name], turn_deg, shift_m).T_cam_world
    delay_s, told_off = float("nan"), (float("nan"), float("nan"))
    wrongly: set[str] = set()
    while room.looked / LOOKS_HZ < now_s + WATCHED_S and np.isnan(delay_s):
        found = room.run(room.looked / LOOKS_HZ + 0.2, really)[-1]
        wrongly |= found[1] - {name}
        if name in found[1]:
            delay_s = found[0] - now_s
            moved, truth = room.watch.moved[name], between(T_before, T_after)
            told_off = (abs(np.degrees(moved.turn - truth[0])), 1000 * abs(moved.way_m - truth[1]))
    if np.isnan(delay_s):
        return Bump(delay_s, len(wrongly), told_off, told_off, float("nan"))
    room.run(now_s + MENDED_S, really)
    left = between(T_after, room.believed.pose(name))
    there = room.actor.joints_m[room.looked - 50 : room.looked]
    believed = room.believed.calibrated[name]
    off_px = believed.project(there) - replace(believed, T_cam_world=T_after).project(there)
    left_px = float(np.nanmedian(np.linalg.norm(off_px, axis=-1)))
    return Bump(delay_s, len(wrongly), told_off, (np.degrees(left[0]), 1000 * left[1]), left_px)


def turned(size_deg: float, rng: np.random.Generator) -> F64:
    """About an axis of the picture: up, sideways, or between."""
    angle = rng.uniform(0.0, 2 * np.pi)
    return size_deg * np.array([np.cos(angle), np.sin(angle), 0.0])


def shifted(size_mm: float, rng: np.random.Generator) -> F64:
    """Any way."""
    way = rng.normal(size=3)
    return np.asarray(size_mm / 1000 * way / np.linalg.norm(way))


def summed_up(bumps: list[Bump]) -> dict[str, Any]:
    """A row of the table."""
    delays = np.array([each.delay_s for each in bumps])
    named = delays[np.isfinite(delays)]

    def median(values: list[float]) -> float:
        return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")

    return {
        "by 5 s": float(np.mean(delays <= SOON_S)),
        "named": float(np.mean(np.isfinite(delays))),
        "delay p50 s": float(np.median(named)) if len(named) else float("nan"),
        "p95 s": float(np.percentile(named, 95)) if len(named) else float("nan"),
        "others named": sum(each.wrongly for each in bumps),
        "told off °": median([each.told_off[0] for each in bumps]),
        "told off mm": median([each.told_off[1] for each in bumps]),
        "mended off °": median([each.left[0] for each in bumps]),
        "mended off mm": median([each.left[1] for each in bumps]),
        "mended off px": median([each.left_px for each in bumps]),
    }


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=10, help="rooms per row (default %(default)s)")
    made.add_argument("--minutes", type=float, default=10.0, help="watched for false alarms (default %(default)s)")
    made.add_argument("--data", type=Path, default=Path("../shared/data"), help="the recordings, where they are")
    options = made.parse_args()
    report = Report("a camera is bumped")
    for n_cameras in RIGS:
        _bumps(report, n_cameras, options.seeds)
    for n_cameras in RIGS:
        alarms = _false_alarms(n_cameras, options.seeds, 60 * options.minutes)
        report.aim(f"false alarms in {options.minutes:g} minutes, {n_cameras} cameras", alarms, 0.0)
    _real(report, options.data, 60 * options.minutes)
    return report.finish(options)


def _real(report: Report, folder: Path, seconds: float) -> None:
    for turn_deg in (1.0, 2.0, 4.0):
        for name, delays_s, others in drift_real.bumps(folder, turn_deg):
            named = np.array(delays_s)[np.isfinite(delays_s)]
            figures = {
                "by 5 s": float(np.mean(np.array(delays_s) <= SOON_S)),
                "named": len(named) / len(delays_s),
                "delay p50 s": float(np.median(named)) if len(named) else float("nan"),
                "p95 s": float(np.percentile(named, 95)) if len(named) else float("nan"),
                "others named": others,
            }
            report.row(bump=f"{turn_deg:g}°, {name}", cameras=4, **figures)
    for name, moved, _ in drift_real.false_alarms(folder, seconds):
        report.aim(f"false alarms, {name}", moved, 0.0)


def _bumps(report: Report, n_cameras: int, seeds: int) -> None:
    found: dict[str, list[Bump]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng((seed, n_cameras, 1))
        print(f"{n_cameras} cameras, room {seed} …", file=sys.stderr)
        room = room_of(n_cameras, LEARN_S + MENDED_S + 5.0, seed)
        room.run(LEARN_S - 1 + rng.integers(0, 6) / 5)
        camera = int(rng.integers(n_cameras))
        for turn_deg, way_mm in BUMPS:
            name = " and ".join([f"{turn_deg:g}°"] * (turn_deg > 0) + [f"{way_mm:g} mm"] * (way_mm > 0))
            result = bump(room, camera, turned(turn_deg, rng), shifted(way_mm, rng))
            found.setdefault(name, []).append(result)
        found.setdefault(ROLL, []).append(bump(room, camera, np.array([0.0, 0.0, 1.0]), np.zeros(3)))
    for name, bumps in found.items():
        figures = summed_up(bumps)
        report.row(bump=name, cameras=n_cameras, **figures)
        if name == "1°":
            report.aim(f"1°, {n_cameras} cameras, share named within 5 s", figures["by 5 s"], 1.0, at_least=True)


def _false_alarms(n_cameras: int, seeds: int, seconds: float) -> float:
    """How many cameras are named on average."""
    alarms = 0
    for seed in range(seeds):
        print(f"{n_cameras} cameras, nobody moves, room {seed} …", file=sys.stderr)
        room = room_of(n_cameras, seconds, 1000 + seed, repairs=False)
        found = room.run(seconds)
        alarms += len(frozenset().union(*(names for _, names in found)))
    return alarms / seeds


if __name__ == "__main__":
    sys.exit(main())
