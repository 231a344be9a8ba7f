"""The room: floor, axes, and the cameras with what they see."""

import re
from typing import Protocol

import numpy as np
import viser

from calibration.rig import Camera
from nodes.drawing import side_by_side
from nodes.page.camera_pictures import U8, picture_of
from nodes.page.part import Page
from nodes.page.room import (
    ROW_M,
    WALL_FOOT_M,
    WALL_GAP_M,
    WALL_M,
    WALL_X_M,
    Array,
    Floor,
    floor_of,
    frustum_of,
    wall_of,
    wxyz_of,
)
from nodes.page.seen import Seen
from nodes.watching.verdict import ALL_WELL
from nodes.watching.words import LEVEL_RGB, Level, Rgb
from nodes.wire.messages import Preview

CALM_RGB = Rgb(196, 204, 216)  # a camera that works draws no attention
OLD_RGB = Rgb(96, 100, 108)
OLD = frozenset(
    ("no frames", "silent", "restarting", "reconnecting", "awaited", "starting", "ready", "ended", "refused")
)
PICTURE_SHARE = 0.085  # of the floor's size: width and height of a camera's picture
LEAST_PICTURE_M, MOST_PICTURE_M = 0.55, 2.2
JPEG_QUALITY = 75
MOST_LETTERS = 50  # of what stands at a camera


class _Removable(Protocol):
    def remove(self) -> None: ...


class _Shown(_Removable, Protocol):
    """A camera as it stands in the room or hangs on the wall."""

    def show(self, picture: U8 | None, colour: Rgb) -> None: ...


class RigInRoom:
    """See `Part`."""

    every_s = 0.1

    def __init__(self, page: Page) -> None:
        self._page = page
        self._built = -1
        self._floor: list[_Removable] = []
        self._cameras: dict[str, _Shown] = {}
        self._labels: dict[str, viser.LabelHandle] = {}
        self._drawn: dict[str, tuple[Preview | None, bool, Rgb]] = {}
        self._why: viser.LabelHandle | None = None

    def show(self, seen: Seen, now_ns: int) -> None:
        if self._built != seen.changed:
            self._built = seen.changed
            self._build(seen)
        for name in self._cameras:
            self._show_camera(seen, name)

    def _show_camera(self, seen: Seen, name: str) -> None:
        verdict = seen.judged.cameras.get(name, ALL_WELL) if seen.judged is not None else ALL_WELL
        is_old = verdict.kind in OLD
        colour = OLD_RGB if is_old else LEVEL_RGB[verdict.level] if verdict.level >= Level.WARN else CALM_RGB
        self._labels[name].text = f"{name}: {_in_short(verdict.words)}" if verdict.words else name
        now = (seen.previews.get(name), is_old, colour)
        if self._drawn.get(name) != now:
            self._drawn[name] = now
            self._cameras[name].show(picture_of(seen, name, seen.skeleton, is_old), colour)

    def _build(self, seen: Seen) -> None:
        gone: list[_Removable] = [*self._floor, *self._labels.values(), *self._cameras.values()]
        for one in gone:
            one.remove()
        if self._why is not None:
            self._why.remove()
            self._why = None
        self._labels, self._cameras, self._drawn = {}, {}, {}
        floor = floor_of(seen.rig)
        self._floor = _floor(self._page.server.scene, floor)
        size_m = float(np.clip(PICTURE_SHARE * floor.size_m, LEAST_PICTURE_M, MOST_PICTURE_M))
        standing = seen.standing
        for camera in standing.values():
            self._stand(camera, size_m)
        hanging = [name for name in seen.cameras if name not in standing]
        self._hang(hanging, seen)

    def _stand(self, camera: Camera, size_m: float) -> None:
        self._cameras[camera.name] = _Standing(self._page.server.scene, camera, size_m)
        T = camera.T_world_cam
        above = T[:3, 3] + np.array([0, 0, 0.12])
        self._labels[camera.name] = self._page.server.scene.add_label(
            f"/camera names/{camera.name}", camera.name, position=above, anchor="bottom-center"
        )

    def _hang(self, names: list[str], seen: Seen) -> None:
        scene = self._page.server.scene
        columns, rows = wall_of(len(names))
        for index, name in enumerate(names):
            row, column = divmod(index, columns)
            left = ((columns - 1) / 2 - column) * (WALL_M + WALL_GAP_M)
            place = np.array([WALL_X_M, left, WALL_FOOT_M + (rows - row - 0.5) * ROW_M])
            self._cameras[name] = _Hanging(scene, name, place)
            below = place - np.array([0, 0, WALL_M * 0.375 + 0.03])
            self._labels[name] = scene.add_label(f"/camera names/{name}", name, position=below, anchor="top-center")
        if names:
            high = np.array([WALL_X_M, 0.0, WALL_FOOT_M + rows * ROW_M + 0.1])
            self._why = scene.add_label("/why", why_flat(seen), position=high, anchor="bottom-center")


def _in_short(words: str) -> str:
    """The first clause; the panel tells the rest."""
    clause = re.split(r"[,;:] ", words, maxsplit=1)[0]
    return clause if len(clause) <= MOST_LETTERS else clause[: MOST_LETTERS - 1] + "…"


def why_flat(seen: Seen) -> str:
    """Why cameras hang on the wall, in place of standing in the room."""
    if seen.rig is not None:
        return "these cameras are not in the calibration"
    if len(seen.cameras) == 1:
        return side_by_side.WORDS
    return "2D alone (--keypoints-only), for nobody knows where these cameras stand; the tab Calibrate finds out"


def _floor(scene: viser.SceneApi, floor: Floor) -> list[_Removable]:
    """Floor and axes of the world."""
    grid = scene.add_grid(
        "/floor",
        floor.size_m,
        floor.size_m,
        position=floor.centre_m,
        cell_size=0.5,
        section_size=1.0,
        cell_color=(52, 56, 64),
        section_color=(74, 80, 92),
        cell_thickness=0.7,
        section_thickness=1.0,
        plane_color=(34, 37, 43),
        plane_opacity=0.0,
        shadow_opacity=0.5,
        fade_distance=6 * floor.size_m,
    )
    axes = scene.add_frame(
        "/axes", axes_length=0.5, axes_radius=0.012, origin_radius=0.022, origin_color=(200, 200, 200)
    )
    names = [
        scene.add_label(f"/axes/{axis}", axis, position=0.58 * unit, anchor="center-center")
        for axis, unit in zip("xyz", np.eye(3), strict=True)
    ]
    return [grid, *names, axes]


class _Standing:
    """A calibrated camera: a frustum with its picture."""

    def __init__(self, scene: viser.SceneApi, camera: Camera, size_m: float) -> None:
        frustum = frustum_of(camera, size_m)
        self._handle = scene.add_camera_frustum(
            f"/cameras/{camera.name}",
            frustum.fov_rad,
            frustum.aspect,
            scale=frustum.scale,
            thickness=0.014,
            color=CALM_RGB,
            format="jpeg",
            jpeg_quality=JPEG_QUALITY,
            wxyz=frustum.wxyz,
            position=frustum.position_m,
            cast_shadow=False,
            receive_shadow=False,
        )

    def show(self, picture: U8 | None, colour: Rgb) -> None:
        self._handle.color = (colour.r, colour.g, colour.b)
        self._handle.thickness = 0.014 if colour in (CALM_RGB, OLD_RGB) else 0.03
        self._handle.image = picture

    def remove(self) -> None:
        self._handle.remove()


class _Hanging:
    """A camera of which nobody knows where it stands: its picture on a wall."""

    def __init__(self, scene: viser.SceneApi, name: str, place_m: Array) -> None:
        self._scene = scene
        self._name = name
        self._place_m = place_m
        self._handle: viser.ImageHandle | None = None

    def show(self, picture: U8 | None, colour: Rgb) -> None:
        if picture is None:
            picture = np.full((48, 64, 3), 40, np.uint8)
        else:
            picture[:4], picture[-4:], picture[:, :4], picture[:, -4:] = colour, colour, colour, colour
        if self._handle is None or self._handle.image.shape != picture.shape:
            self._make(picture)
        else:
            self._handle.image = picture

    def remove(self) -> None:
        if self._handle is not None:
            self._handle.remove()

    def _make(self, picture: U8) -> None:
        height, width = picture.shape[:2]
        share = min(1.0, 0.75 * width / height)
        towards = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.float64)  # right: -y, down: -z
        self._handle = self._scene.add_image(
            f"/wall/{self._name}",
            picture,
            WALL_M * share,
            WALL_M * share * height / width,
            format="jpeg",
            jpeg_quality=JPEG_QUALITY,
            wxyz=wxyz_of(towards),
            position=self._place_m,
            cast_shadow=False,
            receive_shadow=False,
        )
