"""`run_system.py calibrate convert`: a calibration file of one program as that of another."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.formats.kinds import Kind, Read
    from calibration.rig import CameraRig

DESCRIPTION = """\
Write a calibration as another program's file. What IN is, is told by its content; what OUT becomes, by its name:

  rig.toml            anipose, Pose2Sim, FreeMoCap; this system's own (--to toml)
  camera_array.toml   Caliscope (--to caliscope)
  rig.qca.txt         Qualisys (--to qualisys)
  rig.yml             OpenCV FileStorage, all cameras in one file (--to opencv)
  cameras/            the same, a file for each (--to opencv-folder, which must be said)
  calibration.json    CMU Panoptic (--to panoptic)
  mocap/              EasyMocap: intri.yml and extri.yml in a folder (--to easymocap)

A kind that cannot hold a camera's lens is refused, and those that can are named; what is written is read back and
compared."""

EXAMPLES = """\
examples:
  python run_system.py calibrate convert camera_array.toml rig.toml
  python run_system.py calibrate convert rig.toml mocap --to easymocap --names front=01,back=02
  python run_system.py calibrate convert calibration_171204_pose1.json rig.toml --cameras 00_00,00_06,00_12

docs/calibration-files.md tells what each kind holds."""

MOST_PX = 1e-6  # by which a matrix may come back differently: 1/64 pixels and centimetres round the last digit
MOST = 1e-9  # of a pose (metres, entries of the rotation) and of the distortion


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `calibrate convert`."""
    parser = words.add_parser(
        "convert",
        help="write a calibration file as another program's",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="IN", help="calibration file, or folder of EasyMocap or OpenCV")
    parser.add_argument("out", type=Path, metavar="OUT", help="what to write")
    parser.add_argument("--to", metavar="KIND", help="the kind of OUT, where its name does not tell")
    parser.add_argument("--cameras", type=_names, metavar="A,B,…", help="these cameras only, in this order")
    parser.add_argument("--names", type=_pairs, default={}, metavar="OLD=NEW,…", help="call these cameras otherwise")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from calibration.errors import CalibrationError
    from calibration.rig_file import read_rig_file, save_rig

    try:
        read = read_rig_file(options.source)
        rig = _chosen(read.rig, options.cameras, options.names)
        kind = _kind(options.out, options.to)
        _check_target(options.source, options.out, rig, kind, options.force)
        _refuse_loss(rig, kind, options.out)
        save_rig(rig, options.out, kind.name)
    except CalibrationError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    print(_told(read, rig, kind, options.out))
    return 0


def _chosen(rig: "CameraRig", cameras: list[str] | None, names: dict[str, str]) -> "CameraRig":
    """The cameras that are wanted, under their new names. Raises CalibrationError for one that is not there."""
    from dataclasses import replace

    from calibration.rig import CameraRig

    chosen = rig if cameras is None else rig.select(tuple(cameras))
    if names:
        chosen.select(tuple(names))  # refuses what is not there
    return CameraRig(tuple(replace(camera, name=names.get(camera.name, camera.name)) for camera in chosen.cameras))


def _kind(out: Path, to: str | None) -> "Kind":
    from calibration.errors import CalibrationError
    from calibration.formats.kinds import KINDS, kind_of_name

    kind = kind_of_name(out) if to is None else KINDS.get(to)
    if kind is None:
        which = f"{out}: its name tells no kind" if to is None else f"there is no kind {to!r}"
        raise CalibrationError(f"{which} of calibration file: say --to {'|'.join(KINDS)}")
    return kind


def _check_target(source: Path, out: Path, rig: "CameraRig", kind: "Kind", force: bool) -> None:
    """Raise CalibrationError where something would be written over."""
    from calibration.errors import CalibrationError
    from calibration.rig_file import texts_of

    if not out.absolute().parent.is_dir():
        raise CalibrationError(f"{out}: there is no folder {out.parent}: make it first")
    targets = texts_of(rig, out, kind)
    if out in targets and out.is_dir():
        raise CalibrationError(f"{out} is a folder: give a file, or --to easymocap or opencv-folder")
    if out not in targets and out.is_file() and out.name not in [target.name for target in targets]:
        raise CalibrationError(f"{out} is a file, and {kind.title} is a folder: give another name")
    for target in targets:
        if target.exists() and source.exists() and target.samefile(source):
            raise CalibrationError(f"{target} is what is read: give another name")
        if target.exists() and not force:
            raise CalibrationError(f"{target} exists already: give another name, or --force to write over it")


def _refuse_loss(rig: "CameraRig", kind: "Kind", out: Path) -> None:
    """Write the rig aside, read it back, and raise CalibrationError where it is another one."""
    from tempfile import TemporaryDirectory

    import numpy as np

    from calibration.errors import CalibrationError
    from calibration.rig_file import load_rig, save_rig

    with TemporaryDirectory() as folder:
        save_rig(rig, Path(folder) / out.name, kind.name)
        again = load_rig(Path(folder) / out.name)
    if again.names != rig.names:
        raise CalibrationError(f"{out}: read back, the cameras are {', '.join(again.names)}: nothing was written")
    for before, after in zip(rig.cameras, again.cameras, strict=True):
        off_px = float(np.abs(after.K - before.K).max())
        off = max(
            float(np.abs(after.T_cam_world - before.T_cam_world).max()),
            float(np.abs(after.dist8 - before.dist8).max()),
        )
        if (after.size_wh, after.lens) != (before.size_wh, before.lens) or off_px > MOST_PX or off > MOST:
            raise CalibrationError(
                f"{out}: read back, camera {before.name!r} differs by {off_px:.2g} px in its matrix and {off:.2g} in "
                "its pose or distortion: nothing was written"
            )


def _told(read: "Read", rig: "CameraRig", kind: "Kind", out: Path) -> str:
    cameras = f"{len(rig.cameras)} camera{'s' if len(rig.cameras) > 1 else ''}"
    lines = [f"{out}: {kind.title}, {cameras}: {', '.join(rig.names)}. Read back: nothing is lost"]
    if read.without_pose:
        lines.append(f"not in it, since they have no pose in {read.kind.title}'s file: {', '.join(read.without_pose)}")
    n_left = len(read.rig.cameras) - len(rig.cameras)
    if n_left:
        lines.append(f"left out, as asked: {n_left} of {len(read.rig.cameras)} cameras")
    return "\n".join(lines)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pairs(text: str) -> dict[str, str]:
    pairs = [tuple(part.strip() for part in each.split("=", 1)) for each in text.split(",") if each.strip()]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form old=new,old=new")
    return {pair[0]: pair[1] for pair in pairs}
