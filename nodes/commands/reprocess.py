"""`reprocess`: recordings through the stages again."""

import argparse
import importlib.util
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from nodes.commands.quiet import without_chatter

NEEDED = ("numpy", "msgpack", "pydantic", "yaml", "tomli_w", "numba", "scipy", "mcap")

FOR_SESSIONS = ("calibration", "lifter", "smooth", "from_video", "video_folder", "jobs")

DESCRIPTION = """\
Fuse recordings again, through exactly the stages of the live system: with another calibration, other settings, newer
weights; or with nothing changed, and then to the last digit what was live.

S.mcap is a recording of this system, or what `import` makes of others'. SEQ.npz is a neutral multi-view file: cameras
with K, dist, R, t and image_size, joint names, and keypoints2d (frames, cameras, detections, joints, 3); row t of
OUT.npz is row t of SEQ.npz."""

EXAMPLES = """\
examples:
  python run_system.py reprocess walk.mcap --out better.mcap --calibration new.toml
  python run_system.py reprocess walk.mcap --out smooth.mcap --smooth        the future is known: steadier, no lag
  python run_system.py reprocess walk.mcap --out again.mcap --from-video     the 2D detector runs again, too
  python run_system.py reprocess takes/*.mcap --out better/                  several, side by side
  python run_system.py reprocess walk.npz --out walk_3d.npz --config my.yaml
  python -m nodes.evaluate walk_3d.npz walk.npz --json scores.json           against the truth in walk.npz

docs/sessions.md is about recordings, docs/reprocess.md about the .npz files and the scores."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    parser = commands.add_parser(
        "reprocess",
        help="recordings, or 2D detections of calibrated cameras, through the live stages again",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sessions", type=Path, nargs="+", metavar="S.mcap|SEQ.npz", help="what to fuse")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="where it goes; a folder for several")
    parser.add_argument("--calibration", type=Path, metavar="C.toml", help="another calibration of the same cameras")
    parser.add_argument(
        "--config", "--settings", dest="config", type=Path, metavar="F.yaml", help="a file whose `fusion:` is used"
    )
    parser.add_argument("--lifter", type=Path, metavar="L.onnx", help="other weights of the lifter")
    parser.add_argument("--no-lifter", action="store_true", help="geometry alone, without the lifter's prior")
    parser.add_argument("--smooth", action="store_true", help="a second pass backwards in time: steadier, gaps filled")
    parser.add_argument("--from-video", action="store_true", help="run the 2D detector again on the videos of the take")
    parser.add_argument("--video-folder", type=Path, metavar="DIR", help="where they lie (default: beside S.mcap)")
    parser.add_argument("--jobs", type=int, metavar="N", help="sessions at a time (default: the processor's cores)")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    parser.set_defaults(run=_run)


def _reprocess_npz(options: argparse.Namespace) -> int:
    """A neutral file into another; what else can be asked for is for sessions."""
    asked = [name for name in FOR_SESSIONS if getattr(options, name)]
    if asked or len(options.sessions) > 1:
        what = f"--{asked[0].replace('_', '-')} is" if asked else "several at a time are"
        print(f"{what} for sessions: run_system.py import SEQ.npz --out SEQ.mcap makes one of it", file=sys.stderr)
        return 2
    from nodes.reprocess import reprocess

    return reprocess(options.sessions[0], options.out, options.config, not options.no_lifter, options.force)


def _run(options: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: threads for tiny matrices only wait for each other
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[fusion]"', file=sys.stderr)
        return 2
    if any(path.suffix.lower() == ".npz" for path in options.sessions):
        return _reprocess_npz(options)
    from nodes.reprocess_sessions import Changes, reprocess_sessions

    changes = Changes(
        calibration=options.calibration,
        settings=options.config,
        lifter=options.lifter,
        no_lifter=options.no_lifter,
        smooth=options.smooth,
        from_video=options.from_video,
        video_folder=options.video_folder,
    )
    with without_chatter() if changes.from_video else nullcontext():
        return reprocess_sessions(options.sessions, options.out, changes, options.force, options.jobs)
