"""`run_system.py import`: other people's recordings as sessions."""

import argparse
import importlib.util
import sys
from pathlib import Path

NEEDED = ("numpy", "msgpack", "pydantic", "yaml", "tomli_w", "numba", "scipy", "mcap")
NEEDED_FOR_VIDEOS = (*NEEDED, "mediapipe", "cv2", "av")
KEYPOINTS = (".npz", ".npy", ".csv")

DESCRIPTION = """\
Make a session of a recording of other programs: keypoints of calibrated cameras, which `reprocess` then fuses.

WHAT is one of
  walk.npz                a neutral multi-view file (docs/reprocess.md); its calibration is in it
  project/                OpenPose JSON as Pose2Sim lays it out: project/pose/cam1_json/*_0000.json …,
                          project/calibration/*.toml or *.qca.txt, project/Config.toml
  xy_HOLISTIC.csv         2D points of Caliscope; its camera_array.toml is looked for beside it
  …_2dData_….npy          2D points of FreeMoCap, its cameras in the order of the calibration
  cam1.mp4 cam2.mp4 …     videos that begin together (or their folder): the 2D detector runs on each"""

EXAMPLES = """\
examples:
  python run_system.py import walk.npz --out walk.mcap
  python run_system.py import project --out trial.mcap --skeleton BODY_25B --fps 60
  python run_system.py import xy_HOLISTIC.csv --out walk.mcap --calibration camera_array.toml
  python run_system.py import cam1.mp4 cam2.mp4 --out walk.mcap --calibration rig.toml
  python run_system.py reprocess walk.mcap --out walk_3d.mcap                               then fuses it

docs/import.md tells which camera is which, and what is read of each kind."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `import`."""
    parser = commands.add_parser(
        "import",
        help="make a session of other programs' keypoints, or of videos",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", type=Path, nargs="+", metavar="WHAT", help="file, folder, or several videos")
    parser.add_argument("--out", type=Path, required=True, metavar="S.mcap", help="the session to make")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="of any kind in docs/calibration-files.md")
    parser.add_argument(
        "--names", nargs="+", default=[], metavar="CAMERA", help="the calibration's cameras, in the order of the files"
    )
    parser.add_argument("--fps", type=_positive, metavar="HZ", help="frames per second of keypoints that do not tell")
    parser.add_argument("--skeleton", metavar="NAME", help="whose joints they are, such as BODY_25B or HALPE_26")
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE.yaml",
        help="a configuration, of which fusion, detector and crops are used",
    )
    parser.add_argument("--force", action="store_true", help="write over an existing session")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    keypoints = all(path.suffix.lower() in KEYPOINTS or path.is_dir() for path in options.what)
    needed, extra = (NEEDED, "fusion") if keypoints else (NEEDED_FOR_VIDEOS, "live")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[{extra}]"', file=sys.stderr)
        return 2
    return _import(options)


def _import(options: argparse.Namespace) -> int:
    from calibration.errors import CalibrationError
    from configs.errors import ConfigError
    from nodes.commands.quiet import without_chatter
    from nodes.importing.imported import Given
    from nodes.importing.opening import open_import
    from nodes.importing.save import save
    from nodes.sessions.errors import SessionError
    from nodes.sessions.target import check_target

    given = Given(options.calibration, tuple(options.names), options.fps, options.skeleton, options.settings)
    try:
        check_target(options.out, [*options.what, *([given.calibration] if given.calibration else [])], options.force)
        imported = open_import(options.what, given)
        for note in imported.notes:
            print(note, file=sys.stderr)
        with without_chatter():
            told = save(imported, options.out, options.force)
        print(told)
    except (SessionError, CalibrationError, ConfigError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of frames per second")
    return value
