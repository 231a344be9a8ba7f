"""Pictures of a scene: `Renderer(scene, camera).image_at(t_s, frame_id)`. Same arguments, same picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from calibration.rig import Camera
from lifter.synthetic_body import JOINT_INDEX
from nodes.sources.virtual import march, paint
from nodes.sources.virtual.board_plate import TEXTURE_PX_PER_SQUARE, BoardPlate
from nodes.sources.virtual.body import MATERIALS, surface
from nodes.sources.virtual.room import view_of
from nodes.sources.virtual.scene import Actor, Scene

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

NOISE_MARGIN_PX = 64  # the noise is one larger picture, moved about by up to this much from frame to frame
LENS_BLUR_SIGMA_PX = 0.6
SHADOW_JOINTS = (("left_foot_index", 0.16, 0.30), ("right_foot_index", 0.16, 0.30), ("pelvis", 0.34, 0.35))


class Renderer:
    """Draws one camera's pictures of a scene, on one core."""

    def __init__(self, scene: Scene, camera: Camera) -> None:
        self.scene = scene
        self.camera = camera
        self._view = view_of(camera, scene)
        tables = [actor.clothing.table() for actor in scene.actors]
        self._colours = np.concatenate([np.zeros((0, 3)), *tables]).astype(np.float32)
        self._noise = _noise_picture(scene, camera)

    def image_at(self, t_s: float, frame_id: int = 0) -> npt.NDArray[np.uint8]:
        """RGB (H, W, 3) at t_s seconds; frame_id chooses the noise."""
        view = self._view
        image, depth = view.image.copy(), view.depth.copy()
        joints_m = self.scene.joints_at([t_s])[0]
        if self.scene.actors:
            paint.darken_floor(image, depth, view.on_floor, view.rays, view.origin, _shadows(joints_m))
        if self.scene.board is not None:
            self._draw_board(self.scene.board, t_s, image, depth)
        if self.scene.actors:
            cones, balls, first = cones_of(joints_m, self.scene.actors)
            origin = view.origin.astype(np.float32)
            march.draw_cones(image, depth, view.rays, origin, view.tile_rays, cones, balls, first, self._colours)
        image = np.asarray(cv2.GaussianBlur(image, (3, 3), LENS_BLUR_SIGMA_PX), dtype=np.uint8)
        if self.scene.sensor_noise > 0:
            shift = np.random.default_rng([self.scene.seed, frame_id]).integers(0, NOISE_MARGIN_PX, 2)
            paint.add_noise(image, self._noise, shift[0], shift[1])
        return image

    def _draw_board(
        self, board: BoardPlate, t_s: float, image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]
    ) -> None:
        edge, size = board.edge_m, board.plate_size_m
        T_board_plate = np.eye(4)
        T_board_plate[:2, 3] = -edge
        T_world_plate = board.T_world_board(t_s) @ T_board_plate
        rim = np.array([(a, b) for s in np.linspace(0, 1, 9) for a, b in ((s, 0), (s, 1), (0, s), (1, s))]) * size
        rim_px = self.camera.project(rim @ T_world_plate[:3, :2].T + T_world_plate[:3, 3])
        if not np.isfinite(rim_px).all():
            return
        w, h = self.camera.size_wh
        low, high = np.clip(rim_px.min(axis=0) - 3, 0, (w, h)), np.clip(rim_px.max(axis=0) + 4, 0, (w, h))
        box = np.array([*low, *high]).astype(np.int64)
        view = self._view
        paint.draw_plate(image, depth, view.rays, view.origin, np.linalg.inv(T_world_plate), size, board.texture,
                         TEXTURE_PX_PER_SQUARE / board.square_m, box)  # fmt: skip


def _noise_picture(scene: Scene, camera: Camera) -> npt.NDArray[np.int8]:
    """Grey-level noise larger than the picture; each camera has its own by its name."""
    rng = np.random.default_rng([scene.seed, *camera.name.encode()])
    w, h = camera.size_wh
    noise = rng.standard_normal((h + NOISE_MARGIN_PX, w + NOISE_MARGIN_PX, 3), dtype=np.float32) * scene.sensor_noise
    return np.asarray(np.clip(np.rint(noise), -127, 127), dtype=np.int8)


def cones_of(joints_m: Floats, actors: tuple[Actor, ...]) -> tuple[Singles, Singles, npt.NDArray[np.int64]]:
    """All actors' cones (N, 11), a ball round each actor (A, 4), and where each actor's cones begin (A+1,)."""
    parts, balls, first = [], [], [0]
    for i, actor in enumerate(actors):
        cones = surface(joints_m[i], actor.body)
        cones[:, 9] += i * len(MATERIALS)
        length_sq = np.sum((cones[:, 3:6] - cones[:, :3]) ** 2, axis=-1, keepdims=True)
        parts.append(np.concatenate([cones, 1.0 / (length_sq + 1e-9)], axis=-1))
        ends = np.concatenate([cones[:, :3], cones[:, 3:6]])
        middle = 0.5 * (ends.min(axis=0) + ends.max(axis=0))
        balls.append([*middle, np.linalg.norm(ends - middle, axis=-1).max() + 0.2 * actor.body.scale])
        first.append(first[-1] + len(cones))
    return np.concatenate(parts).astype(np.float32), np.array(balls, np.float32), np.array(first)


def _shadows(joints_m: Floats) -> Floats:
    """Blobs (B, 4): x, y, 1/width², strength."""
    return np.array([
        [*joints[JOINT_INDEX[name]][:2], 1.0 / width_m**2, strength]
        for joints in joints_m for name, width_m, strength in SHADOW_JOINTS
    ])  # fmt: skip
