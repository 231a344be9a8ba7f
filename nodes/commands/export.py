"""`run_system.py export`: a session's poses for other programs."""

import argparse
import sys
from pathlib import Path

from nodes.sessions.play_options import seconds

FORMATS = ("csv", "parquet", "npz", "trc", "c3d", "bvh", "gltf", "keypoints")

DESCRIPTION = """\
Write the fused poses of a session as a file of other programs.

  csv, parquet   tidy rows: time, captured_ns, person, joint, x, y, z, sigma, views, origin, cameras
  npz            plain arrays, as `reprocess` writes them
  trc, c3d       markers for OpenSim, Mokka, Visual3D; one file for each person
  bvh            a skeleton with bones of constant length for Blender; one file for each person
  gltf           the same skeletons with a simple body, everybody in one .glb
  keypoints      2D of all cameras, one .npz for each person: what `lifter.train` and `lifter.adapt` learn from

The format follows from the ending of FILE where --format is not given. Several people: FILE_p3.trc for person 3."""

EXAMPLES = """\
examples:
  python run_system.py export walk.mcap --out walk.csv
  python run_system.py export walk.mcap --out walk.trc --rate 60         OpenSim: millimetres, y up
  python run_system.py export walk.mcap --out walk.bvh --person 3        Blender: File, Import, Motion Capture
  python run_system.py export walk.mcap --out walk.glb --from 10 --to 25
  python run_system.py export walk.mcap --out walk_2d.npz --format keypoints    to train the lifter on

docs/export.md tells units, axes, names and what becomes of gaps, for each format."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        help="a session's poses for other programs: CSV, Parquet, NPZ, TRC, C3D, BVH, glTF",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("session", type=Path, metavar="S.mcap", help="the recording")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where it goes")
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of FILE")
    parser.add_argument(
        "--rate",
        type=float,
        metavar="HZ",
        help="poses per second, interpolated over gaps up to 0.25 s; default: csv, parquet, npz as recorded, others at "
        "the session's usual rate",
    )
    parser.add_argument(
        "--person", type=int, action="append", default=[], metavar="ID", help="only this one; may be given again"
    )
    parser.add_argument("--from", type=seconds, dest="from_s", metavar="S", help="seconds since the session's start")
    parser.add_argument("--to", type=seconds, dest="to_s", metavar="S", help="seconds since the session's start")
    parser.add_argument(
        "--min-seconds",
        type=seconds,
        default=0.0,
        metavar="S",
        help="leave out whoever is there for less (default 0: everybody is kept)",
    )
    parser.add_argument(
        "--axes", choices=("z-up", "y-up"), help="default: y-up for trc, bvh, gltf, else z-up as in the session"
    )
    parser.add_argument(
        "--unit",
        choices=("m", "cm"),
        help="of bvh: m (default) as Blender takes it, cm for MotionBuilder, Maya, Unreal",
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.exporting.export import Wish, export
    from nodes.exporting.keypoints_file import KeypointsWish, export_keypoints
    from nodes.exporting.plan import Axes
    from nodes.sessions.errors import SessionError
    from nodes.sessions.progress import bars

    wish = Wish(
        out=options.out,
        format=options.format,
        rate_hz=options.rate,
        people=tuple(options.person),
        from_s=options.from_s,
        to_s=options.to_s,
        min_seconds=options.min_seconds,
        axes=None if options.axes is None else Axes(options.axes),
        unit=options.unit,
        force=options.force,
    )
    try:
        with bars([options.session.name]) as bar:

            def progress(done: float) -> None:
                bar(options.session.name, done)

            if options.format == "keypoints":
                keypoints = KeypointsWish(wish.out, wish.people, wish.from_s, wish.to_s, wish.force)
                lines = export_keypoints(options.session, keypoints, progress)
            else:
                lines = export(options.session, wish, progress)
        print("\n".join(lines))
    except SessionError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0
