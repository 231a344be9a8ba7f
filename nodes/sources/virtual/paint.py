"""What is painted besides the actors, in place: shadows on the floor, a textured plate, the sensor's noise."""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(cache=True, fastmath=True, nogil=True)


@_jit
def darken_floor(image, depth, on_floor, rays, origin, blobs):  # type: ignore[no-untyped-def]
    """Soft shadows: blobs (B,4) of x, y, 1/width², strength darken the floor pixels of image in place."""
    h, w = depth.shape
    for v in range(h):
        for u in range(w):
            if not on_floor[v, u]:
                continue
            x, y = origin[0] + depth[v, u] * rays[v, u, 0], origin[1] + depth[v, u] * rays[v, u, 1]
            keep = 1.0
            for b in range(blobs.shape[0]):
                dx, dy = x - blobs[b, 0], y - blobs[b, 1]
                far = (dx * dx + dy * dy) * blobs[b, 2]
                if far < 4.0:
                    keep *= 1.0 - blobs[b, 3] * (1.0 - 0.25 * far) ** 2
            if keep < 1.0:
                for c in range(3):
                    image[v, u, c] = np.uint8(image[v, u, c] * keep)


@_jit
def draw_plate(image, depth, rays, origin, T_plate_world, size_m, texture, pixels_per_m, box):  # type: ignore[no-untyped-def]
    """Draw a flat textured plate, in place, with 5 x 5 samples a pixel; the back of the plate is plain.

    T_plate_world (4,4): plate frame x right, y down, z into the plate, origin at its top-left corner. size_m (2,),
    texture (th,tw) uint8, box (4,) the pixels u0 v0 u1 v1 to look at.
    """
    R, o = T_plate_world[:3, :3], np.zeros(3)
    for a in range(3):
        o[a] = T_plate_world[a, 3] + R[a, 0] * origin[0] + R[a, 1] * origin[1] + R[a, 2] * origin[2]
    for v in range(max(1, box[1]), min(depth.shape[0] - 1, box[3])):
        for u in range(max(1, box[0]), min(depth.shape[1] - 1, box[2])):
            hit = _plate_point(rays, v, u, R, o)
            if hit[2] <= 0.0 or hit[2] >= depth[v, u]:
                continue
            left, right = _plate_point(rays, v, u - 1, R, o), _plate_point(rays, v, u + 1, R, o)
            above, below = _plate_point(rays, v - 1, u, R, o), _plate_point(rays, v + 1, u, R, o)
            cover, ink = 0.0, 0.0
            for i in range(5):
                for j in range(5):
                    p, q = 0.1 * (i - 2), 0.1 * (j - 2)  # half of ±0.4 pixel: the neighbours are two pixels apart
                    x = hit[0] + p * (right[0] - left[0]) + q * (below[0] - above[0])
                    y = hit[1] + p * (right[1] - left[1]) + q * (below[1] - above[1])
                    if 0.0 <= x < size_m[0] and 0.0 <= y < size_m[1]:
                        cover += 0.04
                        tv = min(texture.shape[0] - 1, int(y * pixels_per_m))
                        tu = min(texture.shape[1] - 1, int(x * pixels_per_m))
                        ink += 0.04 * (texture[tv, tu] if o[2] < 0.0 else 190.0)
            if cover > 0.0:
                if cover > 0.5:
                    depth[v, u] = hit[2]
                for c in range(3):
                    image[v, u, c] = np.uint8(image[v, u, c] * (1.0 - cover) + ink * 0.92 + 8.0 * cover)


@_jit
def _plate_point(rays, v, u, R, o):  # type: ignore[no-untyped-def]
    """(x, y on the plate, depth) of a pixel's ray; depth -1 where the ray is parallel to it."""
    x, y, z = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2]
    dz = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z
    if abs(dz) < 1e-6:
        return 0.0, 0.0, -1.0
    t = -o[2] / dz
    dx, dy = R[0, 0] * x + R[0, 1] * y + R[0, 2] * z, R[1, 0] * x + R[1, 1] * y + R[1, 2] * z
    return o[0] + t * dx, o[1] + t * dy, t


@_jit
def add_noise(image, noise, first_row, first_column):  # type: ignore[no-untyped-def]
    """Add a window of noise (H,W,3) int8, grey levels, to image (h,w,3) uint8 in place."""
    h, w = image.shape[0], image.shape[1]
    for v in range(h):
        for u in range(w):
            for c in range(3):
                level = int(image[v, u, c]) + int(noise[first_row + v, first_column + u, c])
                image[v, u, c] = np.uint8(min(255, max(0, level)))
