"""Measure a lifter against 3D truth.

    python -m lifter.evaluate --data DIR                               # shipped weights, test split of captured motion
    python -m lifter.evaluate --weights W.onnx --data DIR --files 'h36m_S9_*.npz' 'h36m_S11_*.npz' --json out.json

Prints the error of single views, of their average, and of all views merged with the calibration (`lifter.merge`),
root-relative over all joints, with triangulation of the same 2D beside them. DIR holds captured motion (seen as
`lifter.protocol` says), or neutral multi-view files or VideoPose3D's, with truth. Weights: .onnx, run as the live
system runs them, or a trainer's .pt.
"""

import argparse
import glob
import json
import math
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from configs.training_data import Recordings
from lifter import runtime
from lifter.datasets.errors import DatasetError
from lifter.datasets.files import matching
from lifter.datasets.motion_file import read_clips
from lifter.datasets.recording import Recording
from lifter.datasets.select import select
from lifter.derive import DeriveError
from lifter.errors import LifterError
from lifter.judge import Verdict, alike, judge_takes, open_weights
from lifter.metrics import Tally
from lifter.protocol import MOTION_WORDS, REPEATS, Take, motion_takes, recorded_takes
from lifter.skeleton import Skeleton

SHOWN = {"mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE", "pck_150": "PCK@150 mm"}
EVERYDAY = re.compile(r"\b(walk|run|jog|sit|stand|wait|wash|sweep|carry)", re.IGNORECASE)  # actions, by their names


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns 0; 2 when something has to be changed first, with the reason on stderr."""
    options = _parser().parse_args(arguments)
    try:
        if options.json and not options.json.parent.is_dir():
            raise LifterError(f"--json {options.json}: its folder does not exist; make it, or write elsewhere")
        document = evaluate(options)
        _print(document)
        if options.json:
            options.json.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except (DatasetError, DeriveError, LifterError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    except pydantic.ValidationError as error:
        told = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        print(f"evaluate: {told}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lifter.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", type=Path, metavar="FILE", help=".onnx or .pt; default: the shipped ones, sequence weights too")
    add("--data", type=Path, required=True, metavar="DIR", help="folder of captured motion or of recordings")
    add("--files", nargs="+", default=["*.npz"], metavar="PATTERN", help="names of files in it (default: *.npz)")
    add("--split", default="test", help="captured motion: part of its splits.json (default: test), or all")
    add("--actions", nargs="+", metavar="ACTION", help="recordings: only frames of these actions")
    add("--subjects", nargs="+", metavar="S", help="VideoPose3D's files: only these subjects, such as S9 S11")
    add("--cameras", nargs="+", metavar="NAME", help="recordings: only these cameras")
    add("--keypoints", choices=("detected", "projected"), help="recordings: 2D to lift (default: detected)")
    add("--every", type=_step, default=1, metavar="N", help="judge every N-th frame only")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def _step(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return int(text)


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """The figures, as --json writes them. Raises LifterError, DatasetError, DeriveError."""
    document = _figures_of(options.weights, options)
    if options.weights is None and runtime.SEQUENCE.is_file():
        sequence = _figures_of(runtime.SEQUENCE, options)
        document["sequence"] = sequence["single_view"] | {key: sequence[key] for key in ("weights", "merged", "sigma")}
    return document


def _figures_of(weights: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    lifter = open_weights(weights)
    takes, count, words = _open_takes(options, lifter.skeleton)
    verdict = Verdict(lifter.skeleton)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"{lifter.kind} model", total=count)
        for group in alike(takes):
            judge_takes(verdict, lifter, group, options.every)
            progress.advance(bar, len(group))
    name = str(weights or runtime.DEFAULT.name)
    about = {"weights": name, "kind": lifter.kind, "runs_on": lifter.runs_on, "skeleton": lifter.skeleton.name}
    return about | {"protocol": _protocol(words, options), **_figures(verdict)}


def _open_takes(options: argparse.Namespace, skeleton: Skeleton) -> tuple[Iterator[Take], int, str]:
    """The takes, how many there are, and in words what they are."""
    paths = matching(options.data, options.files)
    kinds = {path: _kind(path) for path in paths}
    if len(set(kinds.values())) > 1:
        told = "; ".join(f"{path.name}: {kind}" for path, kind in kinds.items())
        raise DatasetError(f"{options.data}: evaluate one kind of file at a time, chosen with --files ({told})")
    if kinds[paths[0]] == "motion":
        _refuse_choices_of_recordings(options)
        split = None if options.split == "all" else options.split
        clips = [clip for path in paths for clip in read_clips(path, skeleton, split)]
        return motion_takes(clips, skeleton), len(clips) * REPEATS, f"{options.split} split of {MOTION_WORDS}"
    keypoints = options.keypoints or "detected"
    recordings = _recordings(options, kinds, keypoints, skeleton)
    count = sum(len(set(recording.chunk.tolist())) for recording in recordings)
    return recorded_takes(recordings), count, f"{len(recordings)} recordings, {keypoints} 2D"


def _refuse_choices_of_recordings(options: argparse.Namespace) -> None:
    given = [f"--{key}" for key in ("actions", "subjects", "cameras", "keypoints") if getattr(options, key)]
    if given:
        raise DatasetError(
            f"{options.data}: {' and '.join(given)} choose among recordings, and these files are captured motion; "
            "leave them out, or choose recordings with --files"
        )


def _kind(path: Path) -> str:
    """By name or content: captured motion, or the layout of recordings."""
    if path.name.startswith(("data_2d_", "data_3d_")):
        return "videopose3d"
    try:
        with zipfile.ZipFile(path) as archive:
            return "motion" if {"format.npy", "delta.npy"} <= set(archive.namelist()) else "neutral"
    except (OSError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: damaged, or no .npz: {error}") from error


def _recordings(
    options: argparse.Namespace, kinds: dict[Path, str], keypoints: str, skeleton: Skeleton
) -> list[Recording]:
    layout = next(iter(kinds.values()))
    names = [glob.escape(str(path.relative_to(options.data))) for path in kinds]
    if layout == "videopose3d":  # 2D and truth are files of their own, and each finds the other
        names = [n for n in names if ("data_2d_" if keypoints == "detected" else "data_3d_") in n] or names
    chosen = {key: getattr(options, key) for key in ("actions", "subjects", "cameras")}
    settings = {"files": names, "layout": layout, "keypoints": keypoints, **chosen}
    return select(Recordings.model_validate(settings), options.data, skeleton)


def _protocol(words: str, options: argparse.Namespace) -> str:
    of = f"every {options.every}th frame" if options.every > 1 else "every frame"
    return f"{words}; errors relative to the root, over all joints (the root included), views and {of}"


def _figures(verdict: Verdict) -> dict[str, Any]:
    if not verdict.single:
        raise DatasetError("nothing to evaluate: the files that were chosen have no frames")
    single = _summed(verdict.single)
    joints = zip(verdict.skeleton.joints, single.mpjpe_mm_per_joint(), strict=True)
    everyday = {action: tally for action, tally in verdict.single.items() if EVERYDAY.search(action)}
    document = {
        "frames": verdict.moments,
        "views": verdict.views,
        "single_view": _shown(single),
        "averaged": _shown(_summed(verdict.averaged)),
        "merged": _shown(_summed(verdict.merged)),
        "triangulated": _shown(_summed(verdict.triangulated)),
        "sigma": {"calibration": single.figures()["sigma_calibration"]},
        "per_joint": {joint: float(mm) for joint, mm in joints},
        "per_action": {action: t.figures()["mpjpe_mm"] for action, t in verdict.single.items()},
        "per_action_merged": {action: t.figures()["mpjpe_mm"] for action, t in verdict.merged.items()},
    }
    if everyday and len(everyday) < len(verdict.single):
        document["everyday"] = _shown(_summed(everyday)) | {"actions": list(everyday)}
    return _without_nan(document)


def _summed(tallies: dict[str, Tally]) -> Tally:
    first, *others = tallies.values()
    return sum(others, first)


def _shown(tally: Tally) -> dict[str, float]:
    figures = tally.figures()
    return {name: figures[name] for name in (*SHOWN, "given")}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _print(document: dict[str, Any]) -> None:
    console = Console()
    console.print(f"{document['weights']} ({document['kind']}, {document['skeleton']}) with {document['runs_on']}")
    console.print(f"{document['protocol']}: {document['frames']} frames, {document['views']} views", highlight=False)
    table = Table(title="millimetres; PCK and given are shares of the joints")
    for column in ("", *SHOWN.values(), "given"):
        table.add_column(column, justify="right" if column else "left")
    rows = {"single view": document["single_view"], "views averaged": document["averaged"]}
    rows["views merged by calibration"] = document["merged"]
    if "sequence" in document:
        rows |= {"sequence, single view": document["sequence"], "sequence, merged": document["sequence"]["merged"]}
    if "everyday" in document:
        rows["everyday, single view"] = document["everyday"]
    rows["triangulated"] = document["triangulated"]
    for name, figures in rows.items():
        shares = {"pck_150", "given"}
        table.add_row(name, *(_number(figures[key], 3 if key in shares else 1) for key in (*SHOWN, "given")))
    console.print(table)
    console.print(f"error² over what sigma says (1 is honest): {_number(document['sigma']['calibration'], 2)}")
    for title, key in (("joint", "per_joint"), ("action", "per_action")):
        parts = Table(title=f"single view, by {title}")
        parts.add_column(title)
        parts.add_column("MPJPE, mm", justify="right")
        for name, mm in document[key].items():
            parts.add_row(name, _number(mm, 1))
        console.print(parts)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
