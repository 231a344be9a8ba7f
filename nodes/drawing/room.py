"""A picture of a room from any place in it: floor, cameras, people. Pure: values in, picture out, RGB."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from calibration import rigid
from calibration.rig import Camera, CameraRig
from nodes.drawing import shape as shapes
from nodes.drawing.eye import middle_of
from nodes.drawing.shape import HEAD_RADIUS_M, NECK_RADIUS_M, Shape
from nodes.drawing.strokes import F64, FAINT, GROUND, METAL, RIM, Picture, ball, blank, line, mix, surface
from nodes.drawing.text import text
from nodes.watching.words import BESIDE_RGB, ORIGIN_RGB, Rgb, person_rgb
from nodes.wire.messages import Origin

FARTHEST_M = 1e4
NEAR_M = 0.05  # nothing nearer to the eye is drawn
FADE = 0.35  # how much darker the farthest is
AXES = ((0, Rgb(235, 90, 90)), (1, Rgb(110, 210, 110)), (2, Rgb(110, 150, 250)))
WHITE = Rgb(255, 255, 255)
GHOST_RADIUS_M = 0.012
FRUSTUM = 0.11  # of the room's reach: how long a camera is drawn
DOT_M, LARGEST_DOT_M = 0.026, 0.09


@dataclass(frozen=True, eq=False)
class Body:
    """Somebody. joints_m: (J, 3) world, NaN where absent, and made so where nobody can be. origin, sigma_m: (J,).
    is_beside: of a second result."""

    id: int
    joints_m: F64
    shape: Shape
    origin: npt.NDArray[np.uint8] | None = None
    sigma_m: npt.NDArray[np.float32] | None = None
    is_beside: bool = False

    def __post_init__(self) -> None:
        there = (np.abs(self.joints_m) < FARTHEST_M).all(axis=1, keepdims=True)
        object.__setattr__(self, "joints_m", np.where(there, self.joints_m, np.nan))


@dataclass(frozen=True)
class Room:
    """A room and its cameras, seen by an eye; the floor is painted once. scale: of words and thin lines."""

    rig: CameraRig | None
    eye: Camera
    scale: float = 1.0
    _floor: Picture = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_floor", _floor(self.rig, self.eye, self.scale))

    def picture(self, bodies: Sequence[Body], colours: dict[str, Rgb] | None = None) -> Picture:
        """The room with people in it. colours: of cameras that are not drawn as usual."""
        canvas = self._floor.copy()
        _shadows(canvas, self.eye, bodies)
        strokes: list[tuple[float, Callable[[], None]]] = []
        for camera in self.rig.cameras if self.rig is not None else ():
            strokes += _frustum(canvas, self.eye, camera, (colours or {}).get(camera.name, METAL), self)
        depths_m = [_depth(self.eye, body.joints_m) for body in bodies]
        known = np.concatenate([np.empty(0), *depths_m])
        known = known[np.isfinite(known)]
        span_m = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        for body in bodies:
            strokes += _ghost(canvas, self.eye, body) if body.is_beside else _body(canvas, self.eye, body, span_m)
        for _, stroke in sorted(strokes, key=lambda each: -each[0]):
            stroke()
        for body in bodies:
            if not body.is_beside:
                _label(canvas, self.eye, body, self.scale)
        return canvas


def reach_of(rig: CameraRig | None) -> float:
    """How far the room goes from its middle, metres."""
    if rig is None:
        return 2.5
    places_m = np.array([camera.T_world_cam[:2, 3] for camera in rig.cameras])
    return float(np.clip(np.hypot(*(places_m - middle_of(rig)[:2]).T).max(), 1.5, 100.0))


def project(eye: Camera, points_m: F64) -> F64:
    """Pixels (..., 2); NaN for what is not clearly before the eye."""
    depth_m = _depth(eye, points_m)
    return np.asarray(np.where((depth_m > NEAR_M)[..., None], eye.project(points_m), np.nan))


def _depth(eye: Camera, points_m: F64) -> F64:
    return np.asarray(rigid.transform(eye.T_cam_world, points_m)[..., 2])


def _size_px(eye: Camera, length_m: float, depth_m: float) -> float:
    return float(eye.K[0, 0] * length_m / max(depth_m, NEAR_M))


def _segment(canvas: Picture, eye: Camera, begin_m: F64, end_m: F64, colour: Rgb, width_px: float) -> None:
    """A line in the room, cut off where it goes behind the eye."""
    ends_m = np.array([begin_m, end_m], dtype=np.float64)
    depth_m = _depth(eye, ends_m)
    if not np.isfinite(depth_m).all() or (depth_m <= NEAR_M).all():
        return
    behind = int(np.argmin(depth_m))
    if depth_m[behind] <= NEAR_M:
        share = (1.01 * NEAR_M - depth_m[behind]) / (depth_m[1 - behind] - depth_m[behind])
        ends_m[behind] += share * (ends_m[1 - behind] - ends_m[behind])
    line(canvas, eye.project(ends_m), colour, width_px)


def _floor(rig: CameraRig | None, eye: Camera, scale: float) -> Picture:
    """The ground with a grid of metres that fades out, axes at the world's origin, and poles below the cameras."""
    canvas = blank(eye.size_wh)
    reach_m, middle_m = reach_of(rig), middle_of(rig)
    _grid(canvas, eye, middle_m, reach_m, 1.3 * scale)
    for axis, colour in AXES if rig is not None else ():
        tip_m = 0.5 * np.eye(3)[axis]
        _segment(canvas, eye, np.zeros(3), tip_m, mix(GROUND, colour, 0.8), 2.5 * scale)
        at_px = project(eye, 1.16 * tip_m)
        if np.isfinite(at_px).all() and (np.abs(at_px) < 10_000).all():
            text(canvas, "xyz"[axis], (at_px[0], at_px[1]), 14 * scale, colour, align="middle")
    for camera in rig.cameras if rig is not None else ():
        place_m = camera.T_world_cam[:3, 3]
        _segment(canvas, eye, place_m, place_m * [1, 1, 0], mix(GROUND, METAL, 0.35), 1.3 * scale)
    return canvas


def _grid(canvas: Picture, eye: Camera, middle_m: F64, reach_m: float, width_px: float) -> None:
    """Metres, in large rooms five of them."""
    step_m = 1.0 if reach_m < 12 else 5.0
    count = int(np.ceil(1.25 * reach_m / step_m))
    edge_m = count * step_m
    across, along = np.meshgrid(np.arange(-count, count + 1) * step_m, np.linspace(-edge_m, edge_m, 8 * count + 1)[:-1])
    begin = np.stack([across.ravel(), along.ravel()], axis=1)
    end = begin + np.array([0.0, step_m / 4])
    light = np.clip(1.3 - 1.25 * np.hypot(*((begin + end) / 2).T) / edge_m, 0, 1)
    ends = np.stack([begin, end], axis=1)[light > 0]
    centre_m = step_m * np.round(middle_m[:2] / step_m)
    for turned in (ends, ends[..., ::-1]):
        floor_m = np.concatenate([turned + centre_m, np.zeros((*turned.shape[:2], 1))], axis=2)
        for ends_px, share in zip(project(eye, floor_m), light[light > 0], strict=True):
            line(canvas, ends_px, mix(GROUND, FAINT, float(share)), width_px)


def _shadows(canvas: Picture, eye: Camera, bodies: Sequence[Body]) -> None:
    """What a lamp straight above would cast; without it nobody sees how far away people stand."""
    mask = np.zeros(canvas.shape[:2], dtype=np.uint8)
    for body in bodies:
        if body.is_beside:
            continue
        floor_m = np.column_stack([body.joints_m[:, :2], np.zeros(len(body.joints_m))])
        floor_px, depth_m = project(eye, floor_m), _depth(eye, floor_m)
        for parent, child, radius_m in body.shape.bones:
            line(mask, floor_px[[parent, child]], 255, _size_px(eye, 2.6 * radius_m, float(depth_m[parent])))
        if body.shape.trunk and np.isfinite(floor_px[list(body.shape.trunk)]).all():
            corners = np.clip(floor_px[list(body.shape.trunk)], -4000, 4000)
            cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(corners).astype(np.int32)), 255)
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return
    soft_px = max(2, round(eye.size_wh[1] / 200))
    left, top = max(0, x - 3 * soft_px), max(0, y - 3 * soft_px)
    region = canvas[top : y + height + 3 * soft_px, left : x + width + 3 * soft_px]
    soft = cv2.GaussianBlur(mask[top : y + height + 3 * soft_px, left : x + width + 3 * soft_px], (0, 0), soft_px)
    region[:] = region * (1 - 0.7 * soft[..., None].astype(np.float32) / 255)


def _frustum(
    canvas: Picture, eye: Camera, camera: Camera, colour: Rgb, room: Room
) -> list[tuple[float, Callable[[], None]]]:
    """A camera as the pyramid that it sees, the beginning of it, with its name."""
    width, height = camera.size_wh
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)
    rays = np.concatenate([camera.undistort(corners), np.ones((4, 1))], axis=1)
    if not np.isfinite(rays).all() or np.abs(rays).max() > 3:  # beyond what a lens's model holds for
        rays = np.concatenate([(corners - camera.K[:2, 2]) / camera.K[[0, 1], [0, 1]], np.ones((4, 1))], axis=1)
    length_m = FRUSTUM * reach_of(room.rig)
    corners_m = rigid.transform(camera.T_world_cam, length_m * np.clip(rays, -2, 2))
    place_m = camera.T_world_cam[:3, 3]
    if np.linalg.norm(place_m - rigid.inverse(eye.T_cam_world)[:3, 3]) < 2 * length_m:
        return []  # we look through it

    def stroke() -> None:
        surface(canvas, project(eye, corners_m), colour, 0.18)
        for begin_m, end_m in zip(corners_m, np.roll(corners_m, 1, axis=0), strict=True):
            _segment(canvas, eye, begin_m, end_m, colour, 1.8 * room.scale)
            _segment(canvas, eye, begin_m, place_m, colour, 1.3 * room.scale)
        at_px = project(eye, corners_m).min(axis=0), project(eye, corners_m).mean(axis=0)
        if np.isfinite(at_px).all() and np.abs(at_px).max() < 10_000:
            at = (float(at_px[1][0]), float(at_px[0][1]) - 11 * room.scale)
            text(canvas, camera.name, at, 15 * room.scale, mix(GROUND, colour, 0.9), align="middle", rim=True)

    return [(float(_depth(eye, place_m)), stroke)]


def _body(
    canvas: Picture, eye: Camera, body: Body, span_m: tuple[float, float]
) -> list[tuple[float, Callable[[], None]]]:
    """Bones as tubes, the head as a ball, the trunk as a surface; on the joints, where they are known from."""
    joints_m, shape = body.joints_m, body.shape
    joints_px, depth_m = project(eye, joints_m), _depth(eye, joints_m)
    predicted = np.zeros(len(joints_m), bool) if body.origin is None else body.origin == Origin.PREDICTED

    def light(at_m: float) -> float:
        return 1.0 - FADE * float(np.clip((at_m - span_m[0]) / max(span_m[1] - span_m[0], 1.5), 0, 1))

    strokes: list[tuple[float, Callable[[], None]]] = []

    def tube(ends_px: F64, at_m: float, radius_m: float, share: float) -> None:
        width_px = max(1.6, 2 * _size_px(eye, radius_m, at_m))
        colour = mix(RIM, person_rgb(body.id), light(at_m) * share)
        strokes.append((at_m, lambda: _tube(canvas, ends_px, width_px, colour)))

    front_m = depth_m.copy()  # of all that meets at a joint
    for parent, child, radius_m in shape.bones:
        at_m = float(depth_m[[parent, child]].mean())
        if np.isfinite(joints_px[[parent, child]]).all():
            front_m[[parent, child]] = np.minimum(front_m[[parent, child]], at_m)
            share = 0.5 if predicted[parent] or predicted[child] else 1.0
            tube(joints_px[[parent, child]], at_m, radius_m, share)
    _head(body, eye, tube)
    trunk = list(shape.trunk)
    if trunk and np.isfinite(joints_px[trunk]).all():
        at_m = float(depth_m[trunk].mean())
        colour = mix(RIM, person_rgb(body.id), 0.55 * light(at_m))
        strokes.append((at_m + 0.02, lambda: surface(canvas, joints_px[trunk], colour, 0.85)))
    for joint in shape.dots if body.origin is not None else ():
        if np.isfinite(joints_px[joint]).all():
            strokes.append(_dot(canvas, eye, body, joint, joints_px[joint], float(front_m[joint])))
    return strokes


def _head(body: Body, eye: Camera, tube: Callable[[F64, float, float, float], None]) -> None:
    head_m, neck_m = shapes.middle(body.joints_m, body.shape.head), shapes.middle(body.joints_m, body.shape.neck)
    head_px, neck_px = project(eye, head_m), project(eye, neck_m)
    if np.isfinite(head_px).all():
        at_m = float(_depth(eye, head_m))
        tube(np.array([head_px, head_px]), at_m, HEAD_RADIUS_M, 1.0)
        if np.isfinite(neck_px).all():
            tube(np.array([head_px, neck_px]), at_m + 0.05, NECK_RADIUS_M, 1.0)


def _tube(canvas: Picture, ends_px: F64, width_px: float, colour: Rgb) -> None:
    """With a dark rim and a light side, so that it looks round."""
    line(canvas, ends_px, RIM, width_px + max(1.5, width_px / 6))
    line(canvas, ends_px, colour, width_px)
    if width_px > 3:
        line(canvas, ends_px - width_px / 6, mix(colour, WHITE, 0.35), width_px / 3)


def _dot(
    canvas: Picture, eye: Camera, body: Body, joint: int, at_px: F64, at_m: float
) -> tuple[float, Callable[[], None]]:
    """A joint, in the colour of its origin, and the larger the less sure it is."""
    assert body.origin is not None
    origin = int(body.origin[joint])
    colour = ORIGIN_RGB[Origin(origin)] if origin in ORIGIN_RGB else ORIGIN_RGB[Origin.ABSENT]
    sigma_m = 0.0 if body.sigma_m is None else float(np.nan_to_num(body.sigma_m[joint], posinf=LARGEST_DOT_M))
    radius_px = max(1.6, _size_px(eye, float(np.clip(sigma_m, DOT_M, LARGEST_DOT_M)), at_m))

    def stroke() -> None:
        ball(canvas, at_px, RIM, radius_px + max(0.8, radius_px / 4))
        ball(canvas, at_px, colour, radius_px)

    return at_m - 0.01, stroke


def _ghost(canvas: Picture, eye: Camera, body: Body) -> list[tuple[float, Callable[[], None]]]:
    """A second result: thin lines."""
    joints_px, depth_m = project(eye, body.joints_m), _depth(eye, body.joints_m)

    def stroke() -> None:
        for parent, child, _ in body.shape.bones:
            width_px = 2 * _size_px(eye, GHOST_RADIUS_M, float(depth_m[parent]))
            line(canvas, joints_px[[parent, child]], RIM, max(2.5, width_px + 2))
            line(canvas, joints_px[[parent, child]], BESIDE_RGB, max(1.0, width_px))

    known = depth_m[np.isfinite(depth_m)]
    return [(float(known.min()) - 0.3, stroke)] if len(known) else []


def _label(canvas: Picture, eye: Camera, body: Body, scale: float) -> None:
    """The person's number above them."""
    known_m = body.joints_m[np.isfinite(body.joints_m).all(axis=1)]
    if not len(known_m):
        return
    top_m = known_m[np.argmax(known_m[:, 2])]
    at_px = project(eye, np.array([*known_m[:, :2].mean(axis=0), top_m[2] + 0.26]))
    if np.isfinite(at_px).all() and np.abs(at_px).max() < 10_000:
        text(canvas, f"{body.id}", (at_px[0], at_px[1]), 17 * scale, person_rgb(body.id), align="middle", rim=True)
