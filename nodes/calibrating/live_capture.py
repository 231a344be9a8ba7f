"""The board looked for in running cameras, several times a second, until enough was seen. Stop with Ctrl-C at any time.

Cameras run freely: each moment takes every camera's newest picture, and the pictures keep their own times of capture.
"""

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from pydantic import BaseModel, Field, ValidationError

from calibration.board import CharucoBoard
from calibration.errors import CalibrationError
from calibration.rig_file import load_rig
from calibration.sightings import CameraSightings
from configs import schema
from configs.errors import ConfigError
from configs.load import explain
from nodes.calibrating.board_finder import BoardFinder
from nodes.calibrating.found import Found
from nodes.calibrating.live_progress import Tally
from nodes.capture import Capture
from nodes.sources.opening import open_source
from nodes.sources.source import Frame, Source

LOOKS_HZ = 8.0
WAIT_S = 0.05  # for a camera's next picture, once the moment has come
FIRST_PICTURE_S = 15.0
WORKERS = 4

Told = Callable[[Tally, Mapping[str, str]], None]  # shows how far it is, and what each camera's capture complains of


class _Cameras(BaseModel):
    """The part of a configuration that is needed before there is a calibration."""

    cameras: dict[schema.CameraName, schema.Source] = Field(min_length=1)


@dataclass(frozen=True)
class _Sight:
    captured_ns: int
    frame_id: int
    found: Found


def capture(config: Path, board: CharucoBoard) -> tuple[CameraSightings, ...]:
    """What the cameras of a configuration see of the board, until it is enough or Ctrl-C.

    A calibration need not be named in it. Raises ConfigError, CalibrationError, SourceError.
    """
    with shown() as told:
        return captured(openers_of(config), board, told)


def openers_of(config: Path) -> dict[str, Callable[[], Source]]:
    """What opens each camera of a configuration; virtual ones need its calibration. Raises ConfigError."""
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{config} cannot be read: {type(error).__name__}; start from configs/webcams.yaml") from None
    if not isinstance(document, dict) or not document.get("cameras"):
        raise ConfigError(f"{config}: no `cameras:` in it; start from configs/webcams.yaml")
    folder = config.parent.resolve()
    try:
        sources = _Cameras.model_validate({"cameras": document["cameras"]}, context={"folder": folder}).cameras
    except ValidationError as error:
        raise ConfigError("\n".join(f"{config}: {line}" for line in explain(error))) from error
    virtual = any(isinstance(source, schema.VirtualSource) for source in sources.values())
    rig = load_rig(folder / document["calibration"]) if virtual and "calibration" in document else None
    start_ns = time.time_ns()
    return {name: lambda n=name, s=source: open_source(n, s, rig, start_ns) for name, source in sources.items()}  # type: ignore[misc]


def captured(
    openers: Mapping[str, Callable[[], Source]],
    board: CharucoBoard,
    told: Told,
    seconds: float | None = None,
) -> tuple[CameraSightings, ...]:
    """What the opened cameras see, until the tally misses nothing, `seconds` are over, all have ended, or Ctrl-C.

    Raises CalibrationError when a camera has shown nothing for FIRST_PICTURE_S.
    """
    finder, tally = BoardFinder(board), Tally(tuple(openers), board.corner_grid)
    sights: dict[str, list[_Sight]] = {name: [] for name in openers}
    sizes_wh: dict[str, tuple[int, int]] = {}
    began_s = time.monotonic()
    with ExitStack() as stack:
        captures = {name: stack.enter_context(_running(opener)) for name, opener in openers.items()}
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))  # OpenCV and the kernels let go of the lock
        try:
            while seconds is None or time.monotonic() - began_s < seconds:
                turn_s = time.monotonic()
                frames = _newest(captures)
                found = dict(zip(frames, pool.map(lambda f: finder.find(_grey(f)), frames.values()), strict=True))
                for name, frame in frames.items():
                    sizes_wh[name] = (frame.image_rgb.shape[1], frame.image_rgb.shape[0])
                    sights[name].append(_Sight(frame.captured_ns, frame.frame_id, found[name]))
                tally.take(found, sizes_wh)
                notes = {name: each.snapshot().note for name, each in captures.items()}
                told(tally, notes)
                if not tally.missing() or all(each.snapshot().state == "ended" for each in captures.values()):
                    break
                _refuse_dead(sights, notes, time.monotonic() - began_s)
                time.sleep(max(0.0, 1 / LOOKS_HZ - (time.monotonic() - turn_s)))
        except KeyboardInterrupt:
            if not any(sights.values()):
                raise
    return _gathered(sights, sizes_wh, board)


@contextmanager
def _running(opener: Callable[[], Source]) -> Any:
    running = Capture(opener, lossless=False)
    try:
        yield running
    finally:
        running.close()


def _newest(captures: Mapping[str, Capture]) -> dict[str, Frame]:
    """The cameras' newest pictures that were not looked at yet; of some there may be none."""
    frames = {name: each.take(WAIT_S) for name, each in captures.items()}
    return {name: frame for name, frame in frames.items() if frame is not None}


def _grey(frame: Frame) -> Any:
    return cv2.cvtColor(frame.image_rgb, cv2.COLOR_RGB2GRAY)


def _refuse_dead(sights: Mapping[str, list[_Sight]], notes: Mapping[str, str], waited_s: float) -> None:
    dead = [name for name, seen in sights.items() if not seen]
    if dead and waited_s > FIRST_PICTURE_S:
        why = "; ".join(f"{name}: {notes[name] or 'it says nothing'}" for name in dead)
        raise CalibrationError(
            f"no picture in {FIRST_PICTURE_S:.0f} s from {why}. `run_system.py doctor --config` looks into cameras; "
            "or take them out of the configuration"
        )


def _gathered(
    sights: Mapping[str, list[_Sight]], sizes_wh: Mapping[str, tuple[int, int]], board: CharucoBoard
) -> tuple[CameraSightings, ...]:
    first_ns = min((seen[0].captured_ns for seen in sights.values() if seen), default=0)
    nothing = np.zeros((0, board.corner_count, 2))
    return tuple(
        CameraSightings(
            camera=name,
            size_wh=sizes_wh.get(name, (1, 1)),
            captured_s=np.array([(s.captured_ns - first_ns) / 1e9 for s in seen]),
            frame=np.array([s.frame_id for s in seen], np.int64),
            corners_px=np.stack([s.found.corners_px for s in seen]) if seen else nothing,
            mirrored=np.array([s.found.mirrored for s in seen], bool),
            sync=np.full(len(seen), -1, np.int64),
        )
        for name, seen in sights.items()
    )


# ------------------------------------------------------------------------------------------------------- what is seen


@contextmanager
def shown() -> Any:
    """A picture of how far it is on a terminal; elsewhere a line whenever there is something else to do."""
    if not sys.stderr.isatty():
        said: list[str] = []

        def line(tally: Tally, _notes: Mapping[str, str]) -> None:
            word = next(iter(tally.missing()), "enough")
            if said[-1:] != [word]:
                said.append(word)
                print(f"… {word}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=5, transient=False) as live:
        yield lambda tally, notes: live.update(table_of(tally, notes))


def table_of(tally: Tally, notes: Mapping[str, str]) -> Any:
    """The cameras side by side: which parts of the picture had the board, how often, with which others; what to do."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("camera", "where it was seen", "useful", "now", "together with", "")
    for i, name in enumerate(tally.cameras):
        each = tally.of[name]
        area = "\n".join("".join("■ " if cell else "· " for cell in row) for row in each.covered)
        others = ", ".join(f"{o} {n}" for o, n in zip(tally.cameras, tally.together[i], strict=True) if n)
        table.add_row(name, area, str(each.useful), f"{each.in_sight} corners", others or "-", notes.get(name, ""))
    todo = tally.missing()[:3] or ["enough"]
    return Group(table, Text("\n".join(todo), style="bold"), Text("Ctrl-C ends it and keeps what was found"))
