"""The static part of a picture: floor, walls and pillars, seen once per camera and then kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.rig import Camera
from nodes.sources.virtual.march import FAR_M, GAMMA, TILE_PX
from nodes.sources.virtual.scene import Pillar, Scene

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

TILE_SQUARE_M = 0.5
WALL_HEIGHT_M = 3.0
FACE_LIGHT = (0.80, 0.92, 1.0)  # pillars' faces across x, y, z


@dataclass(frozen=True, eq=False)
class View:
    """One camera's rays and its picture of the empty room.

    rays (h,w,3) unit, world; origin (3,); tile_rays (th,tw,4): middle ray and half width per metre of each tile;
    image (h,w,3) uint8; depth (h,w) metres along the ray; on_floor (h,w).
    """

    camera: Camera
    rays: Singles
    origin: Floats
    tile_rays: Singles
    image: npt.NDArray[np.uint8]
    depth: Singles
    on_floor: npt.NDArray[np.bool_]


def view_of(camera: Camera, scene: Scene) -> View:
    """Compute the rays, lens distortion included, and draw the room."""
    w, h = camera.size_wh
    grid = np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=-1).astype(np.float64)
    normalised = camera.undistort(grid)
    dark = ~np.isfinite(normalised).all(axis=-1)  # beyond what the lens sees: nothing is drawn there
    normalised[dark] = 0.0
    rays = np.concatenate([normalised, np.ones((h, w, 1))], axis=-1) @ camera.T_world_cam[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    origin = camera.T_world_cam[:3, 3].copy()
    colour, depth, on_floor = _room(rays, origin, scene.room_half_m)
    for pillar in scene.pillars:
        _draw_pillar(pillar, rays, origin, colour, depth, on_floor)
    colour[dark], depth[dark], on_floor[dark] = 0.0, 0.0, False
    image = (255 * np.clip(colour, 0, 1) ** GAMMA).astype(np.uint8)
    return View(camera, rays.astype(np.float32), origin, _tile_rays(rays), image, depth.astype(np.float32), on_floor)


def _tile_rays(rays: Floats) -> Singles:
    h, w, _ = rays.shape
    th, tw = -(-h // TILE_PX), -(-w // TILE_PX)
    padded = np.pad(rays, ((0, th * TILE_PX - h), (0, tw * TILE_PX - w), (0, 0)), mode="edge")
    tiles = padded.reshape(th, TILE_PX, tw, TILE_PX, 3).swapaxes(1, 2).reshape(th, tw, TILE_PX * TILE_PX, 3)
    middle = tiles.mean(axis=2)
    middle /= np.linalg.norm(middle, axis=-1, keepdims=True)
    cosine = np.einsum("abkc,abc->abk", tiles, middle).min(axis=-1)
    spread = np.tan(np.arccos(np.clip(cosine, -1, 1))) * 1.02
    return np.concatenate([middle, spread[..., None]], axis=-1).astype(np.float32)


def _room(rays: Floats, origin: Floats, half_m: float) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Colour (h,w,3), depth (h,w) and where the floor is, of a square room with a checkered floor."""
    with np.errstate(divide="ignore", invalid="ignore"):
        to_floor = np.where(rays[..., 2] < -1e-9, -origin[2] / rays[..., 2], FAR_M)
        level = rays[..., :2]
        to_walls = (np.sign(level) * half_m - origin[:2]) / level
        to_wall = np.where(np.abs(level) > 1e-9, to_walls, FAR_M).min(axis=-1)
    on_floor = to_floor < to_wall
    depth = np.where(on_floor, to_floor, to_wall)
    hit = origin + rays * depth[..., None]
    checker = (np.floor(hit[..., 0] / TILE_SQUARE_M) + np.floor(hit[..., 1] / TILE_SQUARE_M)) % 2
    floor = np.array([0.44, 0.41, 0.38]) + 0.07 * checker[..., None]
    return np.where(on_floor[..., None], floor, _wall(hit, half_m)), depth, on_floor


def _wall(hit: Floats, half_m: float) -> Floats:
    """Panels, a skirting board, a few pictures; plain above WALL_HEIGHT_M."""
    on_x = np.abs(np.abs(hit[..., 0]) - half_m) < 1e-6
    along = np.where(on_x, hit[..., 1], hit[..., 0])
    height = hit[..., 2]
    base = np.where(on_x[..., None], (0.74, 0.73, 0.68), (0.68, 0.70, 0.70)) - 0.02 * np.clip(height, 0, 3)[..., None]
    seam = np.abs(along / 1.1 - np.round(along / 1.1)) < 0.012
    panel = np.floor(along / 1.1)
    picture = (np.abs(along / 1.1 - panel - 0.5) < 0.3) & (np.abs(height - 1.9) < 0.3) & (panel % 3 == 0)
    tint = 0.45 + 0.2 * np.stack([np.sin(panel), np.cos(2 * panel), np.sin(3 * panel)], axis=-1)
    wall = np.where(seam[..., None], base * 0.85, base)
    wall = np.where(picture[..., None], tint, wall)
    wall = np.where((height < 0.12)[..., None], (0.35, 0.30, 0.26), wall)
    return np.where((height > WALL_HEIGHT_M)[..., None], (0.80, 0.80, 0.78), wall)


def _draw_pillar(
    pillar: Pillar, rays: Floats, origin: Floats, colour: Floats, depth: Floats, on_floor: npt.NDArray[np.bool_]
) -> None:
    """Slab test (Kay and Kajiya 1986) of all rays against the box; draws in place."""
    size = np.array(pillar.size_m)
    low = np.array([*pillar.centre_m, 0.5 * size[2]]) - 0.5 * size
    safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    a, b = (low - origin) / safe, (low + size - origin) / safe
    enter, leave = np.minimum(a, b), np.maximum(a, b)
    at, axis = enter.max(axis=-1), enter.argmax(axis=-1)
    hit = (at < leave.min(axis=-1)) & (at > 0) & (at < depth)
    colour[hit] = np.array(pillar.colour) * np.array(FACE_LIGHT)[axis[hit]][:, None]
    depth[hit] = at[hit]
    on_floor[hit] = False
