"""A sheet: all cameras and the room at one instant, as one picture. Pure."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from calibration.rig import Camera, CameraRig
from lifter.skeleton import SKELETONS, Skeleton
from nodes.drawing.eye import eye_named
from nodes.drawing.layout import Box, Layout, lay_out
from nodes.drawing.room import Body, Room
from nodes.drawing.shape import dots_alone, shape_of
from nodes.drawing.side_by_side import standing_m
from nodes.drawing.strokes import DIM_TEXT, METAL, PANEL, TEXT, Picture, ball, blank, box
from nodes.drawing.text import shortened, text, width_of, wrapped
from nodes.drawing.tile import colours_of, draw_tile
from nodes.stills.moment import CameraMoment, Moment
from nodes.watching.words import BESIDE_RGB, LEVEL_RGB, ORIGIN_RGB, ORIGIN_WORDS, Level
from nodes.wire.messages import Origin, Pose3D

USUAL_ASPECT = 4 / 3
SMALLEST_WH = (320, 200)


@dataclass(frozen=True)
class Style:
    """How a sheet looks. only: room or cameras, "" for both. eye: see `eye_named`. title: above everything."""

    size_wh: tuple[int, int] = (1600, 900)
    eye: str = "corner"
    only: str = ""
    title: str = ""
    circles: bool = False  # the eye moves
    footer_lines: int = 0


@dataclass
class Sheet:
    """Draws moment after moment of one system. aspect: of the cameras' pictures. skeletons: besides the known ones."""

    style: Style
    rig: CameraRig | None
    n_cameras: int
    aspect: float = USUAL_ASPECT
    skeletons: dict[str, Skeleton] = field(default_factory=dict)
    _room: Room | None = None
    _turned_deg: float = 0.0

    @cached_property
    def layout(self) -> Layout:
        shown = 0 if self.style.only == "room" else self.n_cameras
        return lay_out(self.style.size_wh, shown, self.aspect, self.style.only != "cameras", self.style.footer_lines)

    def picture(self, moment: Moment, turned_deg: float = 0.0) -> Picture:
        """(H, W, 3) RGB. turned_deg: how far the eye has circled."""
        canvas = blank(self.style.size_wh)
        for place, camera in zip(self.layout.cameras, moment.cameras, strict=False):
            _put(canvas, place, self._tile(place, camera, moment.pose))
        if self.layout.room is not None:
            _put(canvas, self.layout.room, self._draw_room(self.layout.room, moment, turned_deg))
            self._legend(canvas, self.layout.room, moment)
        self._header(canvas, moment)
        if self.layout.footer is not None:
            self._footer(canvas, self.layout.footer, moment)
        return canvas

    def _tile(self, place: Box, camera: CameraMoment, pose: Pose3D | None) -> Picture:
        known = None if self.rig is None or camera.name not in self.rig.names else self.rig[camera.name]
        people = pose.people if pose is not None and pose.frame == "world" else ()
        skeleton = None if camera.keypoints is None else self._skeleton(camera.keypoints.skeleton)
        colours = colours_of(camera.keypoints, people, known)
        return draw_tile(
            (place.width, place.height),
            camera.name,
            camera.picture_rgb,
            camera.keypoints,
            skeleton,
            colours,
            camera.verdict,
            camera.instead,
            self.layout.scale,
        )

    def _draw_room(self, place: Box, moment: Moment, turned_deg: float) -> Picture:
        if self._room is None or (self.style.circles and turned_deg != self._turned_deg):
            self._room = Room(self.rig, self._eye(place, turned_deg), self.layout.scale)
            self._turned_deg = turned_deg
        bodies = self._bodies(moment.pose, False) + self._bodies(moment.beside, True)
        colours = {
            camera.name: LEVEL_RGB[camera.verdict.level] if camera.verdict.level >= Level.WARN else METAL
            for camera in moment.cameras
        }
        return self._room.picture(bodies, colours)

    def _eye(self, place: Box, turned_deg: float) -> Camera:
        return eye_named(
            self.style.eye, self.rig, (place.width, place.height), turned_deg if self.style.circles else None
        )

    def _bodies(self, pose: Pose3D | None, is_beside: bool) -> list[Body]:
        if pose is None:
            return []
        skeleton, bodies = self._skeleton(pose.skeleton), []
        for index, person in enumerate(pose.people):
            joints_m = person.joints_m.astype(np.float64)
            if pose.frame != "world":
                joints_m = standing_m(joints_m, index, len(pose.people))
            absent = (person.origin == Origin.ABSENT)[:, None] | ~np.isfinite(joints_m).all(axis=1, keepdims=True)
            n_joints = len(joints_m)
            fits = skeleton is not None and len(skeleton.joints) == n_joints
            shape = shape_of(skeleton) if skeleton is not None and fits else dots_alone(n_joints)
            joints_m = np.where(absent, np.nan, joints_m)
            bodies.append(Body(person.id, joints_m, shape, person.origin, person.sigma_m, is_beside))
        return bodies

    def _skeleton(self, name: str) -> Skeleton | None:
        return self.skeletons.get(name) or SKELETONS.get(name)

    def _header(self, canvas: Picture, moment: Moment) -> None:
        place, scale = self.layout.header, self.layout.scale
        middle, left = place.height / 2, 16 * scale
        right = place.width - 16 * scale
        right -= text(canvas, moment.clock, (right, middle), 17 * scale, DIM_TEXT, align="right") + 24 * scale
        if self.style.title:
            words = shortened(self.style.title, 21 * scale, right - left)
            left += text(canvas, words, (left, middle), 21 * scale, TEXT) + 24 * scale
        if moment.headline is not None:
            ball(canvas, np.array([left + 6 * scale, middle]), LEVEL_RGB[moment.headline.level], 6 * scale)
            left += 22 * scale
            words = shortened(moment.headline.words, 18 * scale, right - left)
            text(canvas, words, (left, middle), 18 * scale, TEXT)

    def _legend(self, canvas: Picture, place: Box, moment: Moment) -> None:
        """What the joints' colours mean; why nobody is seen."""
        size_px, left = 13 * self.layout.scale, place.left + 12 * self.layout.scale
        if moment.room_words:
            middle, top = place.left + place.width / 2, place.top + 0.12 * place.height
            for row, line in enumerate(wrapped(moment.room_words, 1.2 * size_px, 0.94 * place.width, 3)):
                text(
                    canvas, line, (middle, top + 1.7 * row * size_px), 1.2 * size_px, DIM_TEXT, align="middle", rim=True
                )
        shown = [(ORIGIN_RGB[origin], words) for origin, words in ORIGIN_WORDS.items()]
        if moment.beside is not None:
            shown.append((BESIDE_RGB, "the second result"))
        rows = 1 if sum(width_of(words, size_px) + 2.6 * size_px for _, words in shown) < place.width else len(shown)
        if rows * 1.5 * size_px > 0.3 * place.height:
            return
        x, y = left, place.top + place.height - (rows - 0.3) * 1.5 * size_px
        for colour, words in shown:
            ball(canvas, np.array([x + 0.4 * size_px, y]), colour, 0.36 * size_px)
            width = text(canvas, words, (x + 1.2 * size_px, y), size_px, DIM_TEXT, rim=True)
            x, y = (x + width + 2.6 * size_px, y) if rows == 1 else (x, y + 1.5 * size_px)

    def _footer(self, canvas: Picture, place: Box, moment: Moment) -> None:
        scale = self.layout.scale
        box(canvas, place.left, place.top, place.width, place.height, PANEL)
        notes = moment.notes[: self.style.footer_lines]
        for row, note in enumerate(notes):
            more = len(moment.notes) - len(notes)
            words = f"{note}  (and {more} more)" if more and row == len(notes) - 1 else note
            at = 16 * scale, place.top + (18 + 25 * row) * scale
            text(canvas, shortened(words, 16 * scale, place.width - 32 * scale), at, 16 * scale, TEXT)


def _put(canvas: Picture, place: Box, picture: Picture) -> None:
    region = canvas[place.top : place.top + place.height, place.left : place.left + place.width]
    region[:] = picture[: region.shape[0], : region.shape[1]]
