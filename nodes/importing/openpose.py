"""OpenPose's JSON, one file a frame, in one folder a camera, as Pose2Sim lays a project out.

    project/pose/cam01_json/cam01.0000.json … · project/calibration/*.toml or *.qca.txt · project/Config.toml

A file's frame is the last number in its name; the frames of all cameras are of one instant. Files are read one by one.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.rig_file import load_rig
from lifter.skeleton import Skeleton
from nodes.importing.calibration import find_calibration, in_session
from nodes.importing.camera_names import in_order, matched, named, usable
from nodes.importing.detector_joints import POSE2SIM_WORDS, skeleton_called, skeleton_of_count
from nodes.importing.imported import BEGIN_NS, Given, Imported, config_of
from nodes.offline.timeline import Seen, keypoints_of, with_silences
from nodes.sessions.errors import SessionError

F32 = npt.NDArray[np.float32]

DEFAULT_FPS = 30.0
POSE_FOLDERS = ("pose-sync", "pose")  # Pose2Sim's: the first has the cameras brought into step
KEYPOINTS = "pose_keypoints_2d"
PEEKED_FILES = 300  # of each camera, to see which joints there are
PEEKED_PEOPLE = 100
ABOVE = 2  # folders: a trial's settings may lie with its session


@dataclass(frozen=True)
class JsonFolder:
    """A camera's files: prefix, number with at least so many digits, suffix. frames: (N,) rising numbers."""

    folder: Path
    prefix: str
    digits: int
    suffix: str
    frames: npt.NDArray[np.int64]

    def path(self, frame: int) -> Path:
        return self.folder / f"{self.prefix}{frame:0{self.digits}d}{self.suffix}"


def import_openpose(project: Path, given: Given) -> Imported:
    """The recording of a project's folder. Raises SessionError, CalibrationError, ConfigError."""
    parts = {each.folder.name: each for each in map(json_folder, _camera_folders(project))}
    calibration = given.calibration or find_calibration(project, ABOVE)
    whole = load_rig(calibration)
    found = in_order(list(parts))
    bare = {_bare(name): name for name in found}
    if given.names:
        cameras = named(list(bare), given.names, whole.names, "folder")
    else:
        cameras = matched(list(bare), whole.names, "folder")
    told = [f"{bare[name]} is camera {camera}" for name, camera in cameras.items() if bare[name] != camera]
    rig, renamed = in_session(whole.select(tuple(cameras.values())))
    ours = usable(list(cameras.values()))
    folders = {ours[camera]: parts[bare[name]] for name, camera in cameras.items()}
    settings = _pose2sim_settings(project)
    fps, fps_told = _fps(settings, given.fps)
    skeleton = _skeleton(list(folders.values()), settings, given.skeleton)
    config = config_of({name: each.folder for name, each in folders.items()}, calibration, given.settings, fps)
    first = min(int(each.frames[0]) for each in folders.values())
    seen = {name: _frames(each, first, fps, len(skeleton.joints)) for name, each in folders.items()}
    max_gap_ns = round(config.fusion.synchroniser.max_gap_ms * 1e6)
    total = sum(len(each.frames) for each in folders.values())
    notes = (*told, *renamed, *fps_told, f"joints are {skeleton.name}'s")
    messages = with_silences(keypoints_of(seen, rig, skeleton.name), rig.names, max_gap_ns)
    return Imported(config, rig, skeleton, messages, total, notes)


def is_project(folder: Path) -> bool:
    """Whether there are folders of JSON files in it."""
    return any(_with_json(base) for base in (*(folder / name for name in POSE_FOLDERS), folder))


def json_folder(folder: Path) -> JsonFolder:
    """The frames in a folder. Raises SessionError when there are none, or those of two recordings."""
    names = [path.name for path in folder.iterdir() if path.suffix == ".json"]
    numbered = [re.fullmatch(r"(.*?)(\d+)(\D*\.json)", name) for name in names]
    found = [each for each in numbered if each is not None]
    if not found:
        raise SessionError(
            f"{folder} has no frames, which are files such as cam1_000000000000_keypoints.json ({len(names)} .json "
            "there): remove the folder to import without this camera, or detect its video again"
        )
    kinds = {(each[1], each[3]) for each in found}
    frames = np.array(sorted(int(each[2]) for each in found), dtype=np.int64)
    if len(kinds) > 1 or (np.diff(frames) == 0).any():
        one, other = sorted(f"{prefix}*{suffix}" for prefix, suffix in kinds)[:2] if len(kinds) > 1 else ("", "")
        which = (
            f" ({one} and {other})" if one else f" (frame {int(frames[:-1][np.diff(frames) == 0][0])} is there twice)"
        )
        raise SessionError(f"{folder} has the files of more than one recording{which}: give each a folder of its own")
    prefix, suffix = kinds.pop()
    return JsonFolder(folder, prefix, min(len(each[2]) for each in found), suffix, frames)


def people_in(path: Path) -> list[F32]:
    """The people (J, 3) of a frame; 0 where absent. Raises SessionError that names the file."""
    try:
        document = json.loads(path.read_bytes())
        lists = [person[KEYPOINTS] for person in document["people"]]
        people = [np.array(values, dtype=np.float32).reshape(-1, 3) for values in lists]
    except OSError as error:
        raise SessionError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SessionError(
            f"{path} is cut off or damaged ({error}): detect this frame again, or remove the file"
        ) from error
    except (KeyError, TypeError) as error:
        raise SessionError(
            f'{path} is no frame of OpenPose: it lacks "people" with "{KEYPOINTS}" ({error!r})'
        ) from error
    except ValueError as error:
        raise SessionError(f"{path}: {KEYPOINTS} are no x, y, confidence of each joint: {error}") from error
    return [each for each in people if each.size]


def _camera_folders(project: Path) -> list[Path]:
    base = next((project / name for name in POSE_FOLDERS if _with_json(project / name)), project)
    folders = _with_json(base)
    if not folders:
        raise SessionError(
            f"{project}: no folders of OpenPose JSON files in it, such as {project}/pose/cam1_json/, and no videos: "
            "give the project's folder"
        )
    return folders


def _with_json(base: Path) -> list[Path]:
    """Folders of cameras: those called so, and those with such files."""
    if not base.is_dir():
        return []
    inside = [entry for entry in base.iterdir() if entry.is_dir()]
    return [entry for entry in inside if "json" in entry.name.lower() or next(entry.glob("*.json"), None) is not None]


def _bare(folder_name: str) -> str:
    """cam01 of cam01_json."""
    return re.sub(r"[_\-. ]?json$", "", folder_name, flags=re.IGNORECASE) or folder_name


def _frames(part: JsonFolder, first: int, fps: float, n_joints: int) -> Iterator[Seen]:
    for frame in part.frames.tolist():
        path = part.path(frame)
        people = people_in(path)
        wrong = next((len(each) for each in people if len(each) != n_joints), None)
        if wrong is not None:
            raise SessionError(
                f"{path}: a person has {wrong} joints, and those before {n_joints}: all frames must be of one detector"
            )
        at_ns = BEGIN_NS + round((frame - first) * 1e9 / fps)
        yield Seen(at_ns, frame, np.stack(people) if people else np.zeros((0, n_joints, 3), np.float32))


def _skeleton(parts: Sequence[JsonFolder], settings: Mapping[str, Any], told: str | None) -> Skeleton:
    people: list[F32] = []
    for part in parts:
        for frame in part.frames[:PEEKED_FILES].tolist():
            people += people_in(part.path(frame))
            if len(people) >= PEEKED_PEOPLE:
                break
    if not people:
        if told is not None and told.upper() in POSE2SIM_WORDS:
            return POSE2SIM_WORDS[told.upper()]
        raise SessionError(
            f"nobody is in the first {PEEKED_FILES} frames of any camera, so which joints they have cannot be seen: "
            "say it with --skeleton, such as --skeleton HALPE_26"
        )
    n_joints = len(people[0])
    if told is not None:
        return skeleton_called(told, n_joints)
    model = POSE2SIM_WORDS.get(str(settings.get("pose", {}).get("pose_model", "")).upper())
    if model is not None and len(model.joints) == n_joints:
        return model
    _refuse_scaled(people, parts[0].folder)
    return skeleton_of_count(n_joints, [each for each in people if len(each) == n_joints])


def _refuse_scaled(people: Sequence[F32], folder: Path) -> None:
    if max(float(np.abs(each[:, :2]).max()) for each in people) <= 1.0:
        raise SessionError(
            f"{folder}: its coordinates go from 0 to 1 and must be pixels: OpenPose's --keypoint_scale 0"
        )


def _pose2sim_settings(project: Path) -> dict[str, Any]:
    """What Config.toml says, that of the folder before those above it, as Pose2Sim reads them."""
    settings: dict[str, Any] = {}
    for place in [project.resolve(), *project.resolve().parents[:ABOVE]]:
        path = place / "Config.toml"
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SessionError(f"{path}: this is not TOML: {error}") from error
        for section, values in document.items():
            if isinstance(values, dict):
                settings[section] = {**values, **settings.get(section, {})}
    return settings


def _fps(settings: Mapping[str, Any], told: float | None) -> tuple[float, tuple[str, ...]]:
    """Frames per second, and a note where they are assumed."""
    if told is not None:
        return told, ()
    rate = settings.get("project", {}).get("frame_rate")
    if isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 0:
        return float(rate), ()
    why = "Config.toml says 'auto'" if rate == "auto" else "no Config.toml with frame_rate"
    return DEFAULT_FPS, (f"{DEFAULT_FPS:g} frames per second are assumed ({why}): --fps says otherwise",)
