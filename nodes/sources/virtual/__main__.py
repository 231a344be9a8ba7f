"""Film the virtual actor: `python -m nodes.sources.virtual --help`.

The clips of configs/demo/ were made by:
    python -m nodes.sources.virtual --ring 4 --motion demo --fps 25 --size 640x480 --noise 1.5 --out configs/demo
(its config.yaml is not kept: configs/demo.yaml is the one).
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from calibration.synthetic import ring_rig
from configs.errors import ConfigError
from lifter.synthetic import MOTIONS
from nodes.sources.virtual.board_plate import BoardPlate, load_board_plate
from nodes.sources.virtual.clips import ClipSet, write_clips
from nodes.sources.virtual.scene import cast_radius_m, stage

FOCAL_PER_HEIGHT = 1.29  # 41 degrees from top to bottom: a person fits in at 2.5 m
BOARD_REACH_SHARE = 0.28  # of the ring's radius

EXAMPLES = """examples:
  four cameras film one loop of the demo motion (14 s), 640x480, 25 fps:
    python -m nodes.sources.virtual --ring 4 --out clips
  then watch it live:
    python run_system.py live --config clips/config.yaml
  three people, six cameras that are not in step, two pillars in the way:
    python -m nodes.sources.virtual --ring 6 --actors 3 --phase-ms random --occluders 2 --out crowd
  your own cameras (any calibration file that we read), for ten seconds:
    python -m nodes.sources.virtual --rig my/rig.toml --seconds 10 --motion walk --out rehearsal
  a calibration board instead of a person:
    python -m nodes.sources.virtual --radius 2 --actors 0 --board default --fps 6 --size 1280x720 --out board
"""


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 when everything was written, 2 for a fault in what was asked."""
    console = Console(stderr=True)
    options = _parser().parse_args(arguments)
    try:
        clips = _clip_set(options)
        total = clips.n_frames * len(clips.rig.cameras)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(f"{len(clips.rig.cameras)} cameras", total=total)
            write_clips(clips, options.out, progress=lambda _name: bar.advance(task))
    except (ConfigError, CalibrationError) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return 2
    megabytes = sum(path.stat().st_size for path in options.out.glob("*.mp4")) / 1e6
    console.print(f"{len(clips.rig.cameras)} clips of {clips.n_frames} frames, {megabytes:.1f} MB, in {options.out}")
    console.print(f"next: python run_system.py live --config {options.out / 'config.yaml'}", soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nodes.sources.virtual",
        description="Film a virtual actor with a virtual rig: clips, calibration, exact 3D truth, config.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cameras = parser.add_argument_group("cameras")
    which = cameras.add_mutually_exclusive_group()
    which.add_argument("--rig", type=Path, metavar="RIG.toml", help="cameras from a calibration file")
    which.add_argument("--ring", type=int, default=4, metavar="N", help="N cameras around the actor (default: 4)")
    cameras.add_argument(
        "--radius", type=float, metavar="M", help="of the ring, metres (default: 3.4, more for a crowd)"
    )
    cameras.add_argument("--height", type=float, default=1.5, metavar="M", help="of the ring, metres (default: 1.5)")
    cameras.add_argument("--size", type=_size, metavar="WxH", help="pixels (default: 640x480, or the rig's own)")
    cameras.add_argument(
        "--focal-px", type=float, metavar="F", help="of the ring (default: 1.29 times the picture's height)"
    )
    cameras.add_argument(
        "--dist", type=_numbers, metavar="K1,K2,P1,P2,K3", help="lens distortion of the ring (default: none)"
    )
    cameras.add_argument("--fps", type=_rate, default=Fraction(25), metavar="F", help="such as 25, 29.97 or 30000/1001")
    cameras.add_argument(
        "--phase-ms", default="0", metavar="LIST", help='how late each is: "0,8,16,24" or "random" (default: 0)'
    )
    scene = parser.add_argument_group("scene")
    scene.add_argument("--motion", default="demo", choices=list(MOTIONS), help="(default: demo)")
    scene.add_argument("--seconds", type=float, metavar="S", help="(default: one loop of the motion)")
    scene.add_argument("--actors", type=int, default=1, metavar="N", help="people, 0 to 10 (default: 1)")
    scene.add_argument("--occluders", type=int, default=0, metavar="N", help="pillars in the way (default: 0)")
    scene.add_argument("--board", default="none", metavar="BOARD.toml", help='ChArUco board on the move, or "default"')
    scene.add_argument(
        "--noise", type=float, default=2.0, metavar="LEVELS", help="of the sensor, grey levels (default: 2)"
    )
    scene.add_argument("--seed", type=int, default=0, metavar="K", help="of noise, phases and pillars (default: 0)")
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made if need be")
    output.add_argument("--crf", type=int, default=23, metavar="Q", help="0 (lossless) to 51, H.264 (default: 23)")
    output.add_argument(
        "--keypoint-noise", type=float, default=0.0, metavar="PX", help="on truth.npz's 2D (default: 0)"
    )
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give width x height such as 640x480")
    return int(width), int(height)


def _rate(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate: give 25, 29.97 or 30000/1001") from error


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _clip_set(options: argparse.Namespace) -> ClipSet:
    rig = _rig(options)
    for camera in rig.cameras:
        if camera.size_wh[0] % 2 or camera.size_wh[1] % 2:
            size = f"{camera.size_wh[0]}x{camera.size_wh[1]}"
            raise ConfigError(f"camera {camera.name!r} is {size}, but H.264 needs even sides: give --size")
    if options.fps <= 0 or not 0 <= options.actors <= 10 or options.occluders < 0:
        raise ConfigError(f"--fps {options.fps} --actors {options.actors} --occluders {options.occluders}: "
                          "fps must be positive, actors 0 to 10, occluders 0 or more")  # fmt: skip
    board = _board(options)
    scene = stage(rig, options.motion, options.actors, options.occluders, board, options.noise, options.seed)
    seconds = options.seconds or (board.period_s if board and not options.actors else MOTIONS[options.motion].period_s)
    phase_s = _phases(options.phase_ms, len(rig.cameras), options.fps, options.seed)
    return ClipSet(scene, rig, options.fps, seconds, phase_s, options.crf, options.keypoint_noise)


def _rig(options: argparse.Namespace) -> CameraRig:
    if options.rig:
        rig = load_rig(options.rig)
        return rig if options.size is None else CameraRig(tuple(camera.resized(options.size) for camera in rig.cameras))
    if not 1 <= options.ring <= 32:
        raise ConfigError(f"--ring {options.ring}: a ring has 1 to 32 cameras")
    size_wh = options.size or (640, 480)
    focal_px = options.focal_px or FOCAL_PER_HEIGHT * size_wh[1]
    return ring_rig(options.ring, _radius_m(options), options.height, size_wh, focal_px, dist=options.dist)


def _radius_m(options: argparse.Namespace) -> float:
    return float(options.radius or 3.4 + cast_radius_m(options.actors))


def _board(options: argparse.Namespace) -> BoardPlate | None:
    if options.board == "none":
        return None
    reach_m = BOARD_REACH_SHARE * _radius_m(options)
    return BoardPlate(reach_m=reach_m) if options.board == "default" else load_board_plate(Path(options.board), reach_m)


def _phases(text: str, n_cameras: int, fps: Fraction, seed: int) -> tuple[float, ...]:
    if text == "random":
        return tuple(float(p) for p in np.random.default_rng([seed, 1]).uniform(0, 1 / float(fps), n_cameras).round(4))
    try:
        phase_s = tuple(number / 1000 for number in _numbers(text))
    except ValueError as error:
        raise ConfigError(f'--phase-ms {text}: give milliseconds such as "0,8,16,24", or "random"') from error
    if len(phase_s) not in (1, n_cameras):
        raise ConfigError(
            f"--phase-ms has {len(phase_s)} numbers for {n_cameras} cameras: give one for each, or one for all"
        )
    if min(phase_s) < 0:
        raise ConfigError(f"--phase-ms {text}: a frame cannot be early, count from the first camera's")
    return phase_s * n_cameras if len(phase_s) == 1 else phase_s


if __name__ == "__main__":
    sys.exit(main())
