"""Why a board is not found: what the markers in the pictures say, against what the board is said to be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import LARGEST, CharucoBoard
from calibration.sightings import CameraSightings
from nodes.calibrating.board_input_reels import Grey, Reel, reels_of

Array = npt.NDArray[np.float64]

FEWEST_PICTURES = 5  # with four corners and more
SAMPLES = 16  # pictures of a camera that are looked at again
FEWEST_MARKERS = 3  # in one picture: one or two may be read into wallpaper
STILL_LEVELS = 1.0  # mean difference of grey levels: noise and compression of one and the same picture have less
DARK, BRIGHT = 25.0, 240.0  # mean grey level
WIDEST = 24  # columns that are tried
NEAR = 0.35  # of a marker's side: its centre from where the layout has it

# The largest of each family: the smaller ones are its beginnings.
FAMILIES = {
    "DICT_4X4_1000": "DICT_4X4",
    "DICT_5X5_1000": "DICT_5X5",
    "DICT_6X6_1000": "DICT_6X6",
    "DICT_7X7_1000": "DICT_7X7",
    "DICT_ARUCO_ORIGINAL": "DICT_ARUCO_ORIGINAL",
    "DICT_ARUCO_MIP_36h12": "DICT_ARUCO_MIP_36h12",
    "DICT_APRILTAG_36h11": "DICT_APRILTAG_36h11",
    "DICT_APRILTAG_36h10": "DICT_APRILTAG_36h10",
    "DICT_APRILTAG_25h9": "DICT_APRILTAG_25h9",
    "DICT_APRILTAG_16h5": "DICT_APRILTAG_16h5",
}


@dataclass(frozen=True)
class Reading:
    """A way to look: markers of this dictionary, black and white exchanged, the picture mirrored."""

    dictionary: str
    inverted: bool
    mirrored: bool


@dataclass(frozen=True, eq=False)
class Markers:
    """Those of one picture: ids (M,), quads (M, 4, 2) pixels."""

    ids: npt.NDArray[np.int64]
    quads: Array


def diagnosed(seen: Sequence[CameraSightings], board: CharucoBoard, source: Path) -> list[str]:
    """What is wrong with each camera that hardly saw the board, one line for each cause, with cameras and remedy.

    The pictures of `source` are looked at again. Empty where nothing is wrong. Raises what reading them raises.
    """
    poor = {each.camera: each for each in seen if _pictures(each) < FEWEST_PICTURES}
    causes: dict[str, list[str]] = {}
    for reel in reels_of(source, [each.camera for each in seen]):
        still = _is_still(next(each for each in seen if each.camera == reel.camera))
        if reel.camera not in poor and not still:
            continue
        for cause in _causes(samples_of(reel), board, poor.get(reel.camera)):
            causes.setdefault(cause, []).append(reel.camera)
    causes = causes or _only_behind(seen, board)
    return [f"{_named(cameras)}: {cause}" for cause, cameras in causes.items()]


def described_wrongly(board: CharucoBoard, source: Path) -> list[str]:
    """What of the board's description does not go with the pictures, however much of it was found; as `diagnosed`."""
    causes: dict[str, list[str]] = {}
    for reel in reels_of(source):
        reading, found = best_reading(samples_of(reel), board)
        for cause in [] if reading is None else [*_other_reading(reading, board), *_other_layout(found, board)]:
            causes.setdefault(cause, []).append(reel.camera)
    return [f"{_named(cameras)}: {cause}" for cause, cameras in causes.items()]


def samples_of(reel: Reel) -> list[Grey]:
    """Up to SAMPLES pictures, evenly spread."""
    pictures, _ = reel.measured()
    every = max(1, pictures // SAMPLES)
    return [shown.grey() for i, shown in enumerate(reel.shown()) if i % every == 0]


def _causes(greys: Sequence[Grey], board: CharucoBoard, poor: CameraSightings | None) -> list[str]:
    """What is wrong with one camera's pictures, the worst first."""
    if len(greys) > 1 and all(np.abs(greys[0].astype(int) - grey).mean() < STILL_LEVELS for grey in greys[1:]):
        return ["all pictures are the same: the camera stood still or hung; move the board while it records"]
    if poor is None:
        return ["the board did not move: carry it through the whole picture, near and far, tilted to all sides"]
    reading, found = best_reading(greys, board)
    if reading is None:
        return [_nothing(greys, len(poor.frame))]
    causes = [*_other_reading(reading, board), *_other_layout(found, board)]
    if not causes:
        marker_px = np.median([np.linalg.norm(m.quads - np.roll(m.quads, 1, axis=1), axis=-1).mean() for m in found])
        causes.append(
            f"the board is the right one, but found in {_pictures(poor)} of {len(poor.frame)} pictures only (its "
            f"markers have {marker_px:.0f} px a side): hold it nearer, slower and in good light"
        )
    return causes


def _nothing(greys: Sequence[Grey], looked_at: int) -> str:
    level = float(np.mean([grey.mean() for grey in greys])) if greys else 0.0
    light = ""
    if level < DARK:
        light = f"; the pictures are dark (mean grey level {level:.0f} of 255): more light, or a longer exposure"
    elif level > BRIGHT:
        light = f"; the pictures are overexposed (mean grey level {level:.0f} of 255): less exposure"
    return (
        f"no board in any of {looked_at} pictures: show it to this camera, near enough for markers of 15 px and more, "
        f"whole and without glare{light}"
    )


def best_reading(greys: Sequence[Grey], board: CharucoBoard) -> tuple[Reading | None, list[Markers]]:
    """The way to look that finds the most markers, the board's own before others, and what it finds."""
    own = next((name for name, family in FAMILIES.items() if board.dictionary.startswith(family)), board.dictionary)
    best: tuple[int, Reading | None, list[Markers]] = (0, None, [])
    for family in [own, *(name for name in FAMILIES if name != own)]:
        for inverted in (board.inverted, not board.inverted):
            for mirrored in (False, True):
                reading = Reading(family, inverted, mirrored)
                found = markers_in(greys, reading)
                count = sum(len(markers.ids) for markers in found)
                if count > 1.5 * best[0]:
                    best = (count, reading, found)
        if family == own and best[0] >= FEWEST_MARKERS * 2:
            break
    return best[1], best[2]


def markers_in(greys: Iterable[Grey], reading: Reading) -> list[Markers]:
    """Of every picture with FEWEST_MARKERS different ones."""
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, reading.dictionary)))
    found = []
    for grey in greys:
        seen = np.asarray(255 - grey if reading.inverted else grey, np.uint8)
        quads, ids, _ = detector.detectMarkers(np.ascontiguousarray(seen[:, ::-1]) if reading.mirrored else seen)
        if ids is not None and len(np.unique(ids)) >= FEWEST_MARKERS:
            found.append(Markers(ids[:, 0].astype(np.int64), np.concatenate(quads).astype(np.float64)))
    return found


def _other_reading(reading: Reading, board: CharucoBoard) -> list[str]:
    causes = []
    if not board.dictionary.startswith(FAMILIES.get(reading.dictionary, reading.dictionary)):
        causes.append(
            f"its markers are of {reading.dictionary}, the board is said to have {board.dictionary}: write "
            f'dictionary = "{reading.dictionary}" to the board\'s .toml'
        )
    if reading.inverted != board.inverted:
        is_, told = ("white on black", "black on white") if reading.inverted else ("black on white", "white on black")
        causes.append(
            f"the board is {is_}, and said to be {told}: write inverted = {str(reading.inverted).lower()} to the "
            "board's .toml"
        )
    if reading.mirrored and not board.two_sided:
        causes.append(
            "the board is seen mirrored: turn off mirroring (selfie mode) in the settings of the camera or of what "
            "recorded it; if it filmed the back of a board printed on both sides, write two_sided = true to the .toml"
        )
    return causes


def _other_layout(found: Sequence[Markers], board: CharucoBoard) -> list[str]:
    """Another number of squares, or the other pattern."""
    looks = layout_of(found, board)
    if looks is None:
        return []
    if (looks.columns, looks.rows) != (board.columns, board.rows):
        return [
            f"the board in the pictures looks like {looks.columns}x{looks.rows} squares, given {board.columns}x"
            f"{board.rows}: write columns = {looks.columns} and rows = {looks.rows} to the board's .toml"
        ]
    if looks.legacy_pattern != board.legacy_pattern:
        return [
            f"the board has {'the' if looks.legacy_pattern else 'not the'} pattern of OpenCV before 4.6: write "
            f"legacy_pattern = {str(looks.legacy_pattern).lower()} to the board's .toml"
        ]
    return []


def layout_of(found: Sequence[Markers], board: CharucoBoard) -> CharucoBoard | None:
    """The board with the columns, rows and pattern that the places of the markers show; None where they show none."""
    tried = [(columns, odd) for columns in range(3, WIDEST + 1) for odd in (1, 0)]
    support = {layout: sum(len(_fitting(markers, *layout)) for markers in found) for layout in tried}
    own = (board.columns, 0 if board.legacy_pattern and board.rows % 2 == 0 else 1)
    best = max(tried, key=lambda layout: (support[layout], layout == own, layout[1]))
    if not support[best]:
        return None
    columns, odd = best
    places = marker_squares(columns, odd, 1 + max(int(m.ids.max()) for m in found))
    rows = int(places[_seen_ids(found, best), 1].max()) + 1
    if rows > LARGEST:
        return None
    if columns == board.columns and rows <= board.rows <= rows + 1 + (board.rows > 6):
        rows = board.rows  # the last ones are hidden
    legacy = odd == 0 or (board.legacy_pattern and rows % 2 == 1)
    return replace(board, columns=columns, rows=max(rows, 3), legacy_pattern=legacy)


def _seen_ids(found: Sequence[Markers], layout: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Ids that the layout explains; one that is misread in a single picture does not count where there are others."""
    ids, often = np.unique(np.concatenate([_fitting(m, *layout) for m in found]), return_counts=True)
    return ids[often > 1] if (often > 1).any() else ids


def marker_squares(columns: int, odd: int, count: int) -> npt.NDArray[np.int64]:
    """(count, 2) column and row of each marker's square: x + y is odd, or even in the legacy pattern."""
    rows = 2 * count // max(columns - 1, 1) + 2
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.stack([x, y], axis=1)[(x + y) % 2 == odd][:count]


def _fitting(markers: Markers, columns: int, odd: int) -> npt.NDArray[np.int64]:
    """Ids of the markers that lie as on such a board; none unless nearly all do."""
    none = markers.ids[:0]
    if len(markers.ids) < 5:
        return none
    at = marker_squares(columns, odd, int(markers.ids.max()) + 1)[markers.ids].astype(np.float64)
    centres = markers.quads.mean(1)
    side = float(np.median(np.linalg.norm(markers.quads - np.roll(markers.quads, 1, axis=1), axis=-1)))
    H, inliers = cv2.findHomography(at, centres, cv2.RANSAC, NEAR * side)
    if H is None or inliers.sum() < max(5, 0.8 * len(at)) or np.linalg.matrix_rank(at - at.mean(0)) < 2:
        return none
    step = cv2.perspectiveTransform(np.array([[at[0], at[0] + [1, 0], at[0] + [0, 1]]]), H)[0]
    across, down = np.linalg.norm(step[1:] - step[0], axis=1)
    return markers.ids[inliers[:, 0] > 0] if side < across < 3 * side and side < down < 3 * side else none


def _only_behind(seen: Sequence[CameraSightings], board: CharucoBoard) -> dict[str, list[str]]:
    """Cameras that only ever see the back while all others only ever see the front."""
    behind = {each.camera: bool(each.mirrored[_with_board(each)].mean() > 0.95) for each in seen if _pictures(each)}
    few = [camera for camera, is_behind in behind.items() if is_behind]
    if not board.two_sided or not few or len(few) * 2 > len(behind):
        return {}
    cause = (
        "the board is only ever seen mirrored: if it was not its back that was filmed, turn off mirroring (selfie "
        "mode) in the settings of the camera or of what recorded it"
    )
    return {cause: few}


def _is_still(each: CameraSightings) -> bool:
    """Whether the board was found, at one place only."""
    with_board = _with_board(each)
    if with_board.sum() < FEWEST_PICTURES:
        return False
    corners_px = each.corners_px[with_board]
    often = np.isfinite(corners_px[..., 0]).sum(0) >= FEWEST_PICTURES
    return bool(often.any() and np.nanmax(np.nanstd(corners_px[:, often], axis=0)) < 1.0)


def _with_board(each: CameraSightings) -> npt.NDArray[np.bool_]:
    return np.asarray(each.seen.sum(1) >= 4)


def _pictures(each: CameraSightings) -> int:
    return int(_with_board(each).sum())


def _named(cameras: Sequence[str]) -> str:
    return f"camera{'s' if len(cameras) > 1 else ''} {', '.join(cameras)}"
