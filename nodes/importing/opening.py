"""The one table from what is given to who imports it."""

from pathlib import Path

from nodes.importing.camera_names import in_order
from nodes.importing.imported import Given, Imported
from nodes.sessions.errors import SessionError

KINDS = (
    "a neutral .npz, a project's folder of OpenPose JSON, Caliscope's xy .csv, FreeMoCap's 2dData .npy, or one video "
    "for each camera"
)

ENDINGS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".mts", ".ts")


def open_import(what: list[Path], given: Given) -> Imported:
    """Look at the files and begin to read. Raises SessionError, CalibrationError, ConfigError."""
    missing = next((path for path in what if not path.exists()), None)
    if missing is not None:
        raise SessionError(f"{missing} does not exist: check the path; import reads {KINDS}")
    first = what[0]
    if len(what) == 1 and first.is_dir():
        return _open_folder(first, given)
    if len(what) == 1 and first.suffix.lower() == ".npz":
        from nodes.importing.neutral import import_neutral

        return import_neutral(first, given)
    if len(what) == 1 and first.suffix.lower() == ".csv":
        from nodes.importing.keypoints_csv import import_csv

        return import_csv(first, given)
    if len(what) == 1 and first.suffix.lower() == ".npy":
        from nodes.importing.freemocap import import_freemocap

        return import_freemocap(first, given)
    keypoints = (".npz", ".npy", ".csv", ".json")
    odd = next((path for path in what if path.is_dir() or path.suffix.lower() in keypoints), None)
    if odd is not None:
        raise SessionError(f"{odd} cannot be imported together with others: import reads {KINDS}")
    from nodes.importing.videos import import_videos

    return import_videos(what, given)


def _open_folder(folder: Path, given: Given) -> Imported:
    """Of JSON files, or of videos."""
    from nodes.importing.openpose import import_openpose, is_project

    videos = [] if is_project(folder) else videos_in(folder)
    if not videos:
        return import_openpose(folder, given)
    from nodes.importing.videos import import_videos

    return import_videos(videos, given)


def videos_in(folder: Path) -> list[Path]:
    """The video files in a folder, in the order of their names."""
    found = {path.name: path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file()}
    return [found[name] for name in in_order(list(found))]
