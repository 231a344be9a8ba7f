"""Caliscope's 2D points: a CSV with a row for each point of a person in a picture.

    sync_index,port,frame_index,frame_time,point_id,img_loc_x,img_loc_y,obj_loc_x,obj_loc_y     MediaPipe's points by id
    sync_index,cam_id,object_id,keypoint_id,img_loc_x,img_loc_y,…,frame_time                    its newer versions

Ids are the detector's: 0 to 32 of MediaPipe's body, 0 to 25 of Halpe-26; those of hands (from 100 and from 200 on)
and face (500) are passed over. https://mprib.github.io/caliscope. The file is walked over once for where each camera's
frames are, and then read frame by frame, so that it may be longer than the memory.
"""

import csv
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from calibration.rig_file import load_rig
from lifter.skeleton import HALPE26, MEDIAPIPE33, Skeleton
from nodes.importing.calibration import find_calibration, in_session
from nodes.importing.camera_names import in_order, matched, named, usable
from nodes.importing.detector_joints import BY_NAME
from nodes.importing.imported import BEGIN_NS, Given, Imported, config_of
from nodes.offline.timeline import Seen, keypoints_of, with_silences
from nodes.sessions.errors import SessionError

CAMERA_COLUMNS = ("port", "cam_id")
POINT_COLUMNS = ("point_id", "keypoint_id")
LAYOUT = "sync_index, port (or cam_id), point_id (or keypoint_id), img_loc_x, img_loc_y and, if known, frame_time"
BESIDE_THE_BODY = 100  # hands are from 100 and 200, the face from 500 on
DEFAULT_FPS = 30.0
SNAPSHOT = "camera_array.toml"  # Caliscope's calibration, which it puts beside the file


@dataclass(frozen=True)
class Columns:
    """Where in a row what stands; -1 where the file has no such column."""

    frame: int
    camera: int
    point: int
    x: int
    y: int
    time: int = -1
    person: int = -1
    confidence: int = -1
    count: int = 0


@dataclass
class Places:
    """Of one camera: each frame's number, seconds (NaN where not told), and place in the file in bytes."""

    frames: "array[int]" = field(default_factory=lambda: array("q"))
    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))


@dataclass(frozen=True)
class Walked:
    """What walking over a file found. cameras: by their text in it. largest_id: of the body's points."""

    columns: Columns
    cameras: dict[str, Places]
    largest_id: int


def import_csv(path: Path, given: Given) -> Imported:
    """The recording of a CSV file. Raises SessionError, CalibrationError, ConfigError."""
    walked = walk(path)
    calibration = given.calibration or _calibration_of(path)
    whole = load_rig(calibration)
    ports = in_order(list(walked.cameras))
    if given.names:
        cameras = named(ports, given.names, whole.names, "camera")
    else:
        cameras = matched(ports, whole.names, "camera")
    told = [f"{path.name}'s camera {port} is camera {camera}" for port, camera in cameras.items() if port != camera]
    rig, renamed = in_session(whole.select(tuple(cameras.values())))
    ours = usable(list(cameras.values()))
    skeleton = _skeleton(path, walked.largest_id, given.skeleton)
    times_ns, fps, fps_told = _times(walked, ports, given.fps)
    config = config_of(dict.fromkeys(rig.names, path), calibration, given.settings, fps)
    seen = {
        ours[cameras[port]]: _frames(path, walked.columns, walked.cameras[port], times_ns[port], len(skeleton.joints))
        for port in ports
    }
    max_gap_ns = round(config.fusion.synchroniser.max_gap_ms * 1e6)
    messages = with_silences(keypoints_of(seen, rig, skeleton.name), rig.names, max_gap_ns)
    total = sum(len(places.frames) for places in walked.cameras.values())
    return Imported(
        config, rig, skeleton, messages, total, (*told, *renamed, *fps_told, f"joints are {skeleton.name}'s")
    )


def walk(path: Path) -> Walked:
    """Find every camera's frames. Raises SessionError with the line that is wrong."""
    if not path.is_file():
        raise SessionError(f"{path} does not exist: check the path")
    with path.open("rb") as file:
        columns = _columns(path, file.readline())
        walked_cameras: dict[str, Places] = {}
        largest, before, offset = -1, ("", ""), file.tell()
        for number, line in enumerate(file, start=2):
            values = line.decode("utf-8", "replace").rstrip("\r\n").split(",")
            if values != [""]:
                key = _key(path, number, values, columns)
                if key != before:
                    _begin_frame(path, number, values, columns, walked_cameras.setdefault(key[1], Places()), offset)
                    before = key
                point = _whole(path, number, values[columns.point], "point")
                largest = max(largest, point) if point < BESIDE_THE_BODY else largest
            offset += len(line)
    if largest < 0:
        raise SessionError(f"{path} has no points of a body: its ids go from 0 (nose) on")
    return Walked(columns, walked_cameras, largest)


def _columns(path: Path, line: bytes) -> Columns:
    try:
        names = [name.strip() for name in next(csv.reader([line.decode("utf-8-sig")]), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SessionError(f"{path}: this is no CSV file: {error}") from error
    place = {name: index for index, name in enumerate(names)}
    camera = next((name for name in CAMERA_COLUMNS if name in place), None)
    point = next((name for name in POINT_COLUMNS if name in place), None)
    if camera is None or point is None or not {"sync_index", "img_loc_x", "img_loc_y"} <= place.keys():
        raise SessionError(
            f"{path}: its columns {','.join(names)[:200]!r} are not those of 2D points, which are {LAYOUT}"
        )
    return Columns(
        frame=place["sync_index"],
        camera=place[camera],
        point=place[point],
        x=place["img_loc_x"],
        y=place["img_loc_y"],
        time=place.get("frame_time", -1),
        person=place.get("object_id", -1),
        confidence=place.get("confidence", -1),
        count=len(names),
    )


def _key(path: Path, number: int, values: list[str], columns: Columns) -> tuple[str, str]:
    if len(values) != columns.count:
        raise SessionError(
            f"{path}, line {number}: {len(values)} values for {columns.count} columns; it is cut off or damaged there"
        )
    return values[columns.frame], values[columns.camera].strip()


def _begin_frame(path: Path, number: int, values: list[str], columns: Columns, places: Places, offset: int) -> None:
    frame = _whole(path, number, values[columns.frame], "sync_index")
    if places.frames and frame <= places.frames[-1]:
        raise SessionError(
            f"{path}, line {number}: frame {frame} of camera {values[columns.camera]} comes after its frame "
            f"{places.frames[-1]}: sort the rows by sync_index and camera"
        )
    places.frames.append(frame)
    places.times_s.append(_real(path, number, values[columns.time], "frame_time") if columns.time >= 0 else math.nan)
    places.offsets.append(offset)


def _times(
    walked: Walked, ports: list[str], told_fps: float | None
) -> tuple[dict[str, npt.NDArray[np.int64]], float, tuple[str, ...]]:
    """When each camera's frames were taken, their rate, and a note where it is assumed."""
    frames = {port: np.array(walked.cameras[port].frames) for port in ports}
    times_s = {port: np.array(walked.cameras[port].times_s) for port in ports}
    notes: tuple[str, ...] = ()
    if told_fps is None and all(np.isfinite(each).all() for each in times_s.values()):
        steps = np.concatenate([np.diff(times_s[port]) / np.diff(frames[port]) for port in ports] or [np.zeros(0)])
        steps = steps[steps > 0]
        fps = float(1.0 / np.median(steps)) if len(steps) else DEFAULT_FPS
    else:
        fps = told_fps or DEFAULT_FPS
        if told_fps is None:
            notes = (f"{fps:g} frames per second are assumed (not every row has a frame_time): --fps says otherwise",)
        times_s = {port: frames[port] / fps for port in ports}
    first_s = min(float(each.min()) for each in times_s.values())
    return (
        {port: BEGIN_NS + np.round((each - first_s) * 1e9).astype(np.int64) for port, each in times_s.items()},
        fps,
        notes,
    )


def _frames(
    path: Path, columns: Columns, places: Places, times_ns: npt.NDArray[np.int64], n_joints: int
) -> Iterator[Seen]:
    with path.open("rb") as file:
        for index, offset in enumerate(places.offsets):
            file.seek(offset)
            people = list(_people(path, file, columns, n_joints).values())
            detections = np.stack(people) if people else np.zeros((0, n_joints, 3), np.float32)
            yield Seen(int(times_ns[index]), max(0, places.frames[index]), detections)


def _people(path: Path, file: IO[bytes], columns: Columns, n_joints: int) -> dict[str, npt.NDArray[np.float32]]:
    """Those of the frame whose first row the file stands at: (J, 3) by who they are in it."""
    people: dict[str, npt.NDArray[np.float32]] = {}
    begun: list[str] = []
    for line in iter(file.readline, b""):
        values = line.decode("utf-8", "replace").rstrip("\r\n").split(",")
        if values == [""]:
            continue
        key = [values[columns.frame], values[columns.camera].strip()]
        begun = begun or key
        if key != begun:
            break
        point = int(values[columns.point])
        if point >= n_joints:
            continue
        who = values[columns.person] if columns.person >= 0 else ""
        person = people.setdefault(who, np.full((n_joints, 3), np.nan, np.float32))
        told = values[columns.confidence] if columns.confidence >= 0 else ""
        x, y = (_real(path, None, values[at], "img_loc") for at in (columns.x, columns.y))
        person[point] = (x, y, float(told) if told else 1.0)
    return people


def _skeleton(path: Path, largest_id: int, told: str | None) -> Skeleton:
    """By name, else Halpe-26 where the file is called so, else MediaPipe's."""
    if told is not None:
        skeleton = BY_NAME.get(told.upper()) or {each.name: each for each in BY_NAME.values()}.get(told)
        if skeleton is None:
            raise SessionError(f"--skeleton {told} is not known; known are {', '.join(BY_NAME)}")
    else:
        skeleton = HALPE26 if "halpe26" in str(path.resolve()).lower().replace("_", "") else MEDIAPIPE33
    if largest_id >= len(skeleton.joints):
        raise SessionError(
            f"{path}: its points go up to {largest_id}, and {skeleton.name} has {len(skeleton.joints)} joints: say "
            "whose they are with --skeleton"
        )
    return skeleton


def _calibration_of(path: Path) -> Path:
    beside = path.parent / SNAPSHOT
    return beside if beside.is_file() else find_calibration(path.parent)


def _whole(path: Path, number: int, text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SessionError(f"{path}, line {number}: {what} is {text[:40]!r}, expected a whole number") from None


def _real(path: Path, number: int | None, text: str, what: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        where = "" if number is None else f", line {number}"
        raise SessionError(f"{path}{where}: {what} is {text[:40]!r}, expected a number") from None
