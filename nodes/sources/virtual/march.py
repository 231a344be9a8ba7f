"""Ray-marching of rounded cones with smooth unions: one core, a few milliseconds a frame.

Tiles of 8 x 8 pixels keep the cones that can be seen in them; the ray through a tile's middle is marched first, as a
cone, and its pixels start where it stopped (Hart 1996, "Sphere tracing", for the march itself). Distances along rays
are metres from the camera's centre. Cones are rows ax ay az bx by bz ra rb blend material.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

TILE_PX = 8
HIT_M = 0.0012
FAR_M = 1e9
MAX_LIST = 256  # cones that one tile may see
MAX_STEPS = 48
STEP_SHARE = 0.96  # a cone's distance is overestimated where its radius changes fast
NORMAL_STEP_M = 0.0025
OCCLUSION_M = 0.07  # ambient light is dimmed by what is nearer than this
LIGHT_X, LIGHT_Y, LIGHT_Z = 0.39, 0.29, 0.874
GAMMA = 0.8

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

_jit = numba.njit(cache=True, fastmath=True, nogil=True)


@_jit
def _distance(x, y, z, cones, i):  # type: ignore[no-untyped-def]
    ax, ay, az = cones[i, 0], cones[i, 1], cones[i, 2]
    bx, by, bz = cones[i, 3] - ax, cones[i, 4] - ay, cones[i, 5] - az
    px, py, pz = x - ax, y - ay, z - az
    share = min(1.0, max(0.0, (px * bx + py * by + pz * bz) * cones[i, 10]))
    dx, dy, dz = px - bx * share, py - by * share, pz - bz * share
    return math.sqrt(dx * dx + dy * dy + dz * dz) - (cones[i, 6] + (cones[i, 7] - cones[i, 6]) * share)


@_jit
def _field(x, y, z, cones, seen, n):  # type: ignore[no-untyped-def]
    """Smooth union (quadratic): a cone further than its blend width from the surface does not change it."""
    d = FAR_M
    for j in range(n):
        i = seen[j]
        e = _distance(x, y, z, cones, i)
        blend = cones[i, 8]
        near = max(0.0, blend - abs(d - e))
        d = min(d, e) - near * near * 0.25 / blend
    return d


@_jit
def _nearest_material(x, y, z, cones, seen, n):  # type: ignore[no-untyped-def]
    best, material = FAR_M, 0
    for j in range(n):
        e = _distance(x, y, z, cones, seen[j])
        if e < best:
            best = e
            material = int(cones[seen[j], 9])
    return material


@_jit
def _gap_to_ray(ox, oy, oz, dx, dy, dz, cones, i):  # type: ignore[no-untyped-def]
    """(distance between a ray and a cone's axis, depth there): both only need to be right near the ray."""
    ax, ay, az = cones[i, 0] - ox, cones[i, 1] - oy, cones[i, 2] - oz
    bx, by, bz = cones[i, 3] - cones[i, 0], cones[i, 4] - cones[i, 1], cones[i, 5] - cones[i, 2]
    ad = ax * dx + ay * dy + az * dz
    bd = bx * dx + by * dy + bz * dz
    # the axis seen along the ray: a - (a.d)d and b - (b.d)d
    qx, qy, qz = ax - ad * dx, ay - ad * dy, az - ad * dz
    rx, ry, rz = bx - bd * dx, by - bd * dy, bz - bd * dz
    rr = rx * rx + ry * ry + rz * rz
    share = 0.0 if rr < 1e-12 else min(1.0, max(0.0, -(qx * rx + qy * ry + qz * rz) / rr))
    gx, gy, gz = qx + share * rx, qy + share * ry, qz + share * rz
    return math.sqrt(gx * gx + gy * gy + gz * gz), ad + share * bd


@_jit
def _gather(ox, oy, oz, dx, dy, dz, spread, cones, balls, first, seen):  # type: ignore[no-untyped-def]
    """List the cones that the bundle of rays round d can meet; (how many, nearest start, furthest end)."""
    n, start, end = 0, FAR_M, 0.0
    for k in range(balls.shape[0]):
        mx, my, mz = balls[k, 0] - ox, balls[k, 1] - oy, balls[k, 2] - oz
        along = mx * dx + my * dy + mz * dz
        apart = math.sqrt(max(0.0, mx * mx + my * my + mz * mz - along * along))
        if along < -balls[k, 3] or apart > balls[k, 3] + (along + balls[k, 3]) * spread:
            continue
        for i in range(first[k], first[k + 1]):
            gap, depth = _gap_to_ray(ox, oy, oz, dx, dy, dz, cones, i)
            radius = max(cones[i, 6], cones[i, 7]) + cones[i, 8]
            if gap > radius + max(0.0, depth + 0.6) * spread or n >= MAX_LIST:
                continue
            half = 0.5 * math.sqrt(1.0 / cones[i, 10])
            middle = (0.5 * (cones[i, 0] + cones[i, 3]) - ox) * dx + (0.5 * (cones[i, 1] + cones[i, 4]) - oy) * dy
            middle += (0.5 * (cones[i, 2] + cones[i, 5]) - oz) * dz
            if middle + half + radius < 0.05:
                continue
            start, end = min(start, middle - half - radius), max(end, middle + half + radius)
            seen[n] = i
            n += 1
    return n, max(0.05, start), end


@_jit
def _march(ox, oy, oz, dx, dy, dz, start, end, spread, cones, seen, n):  # type: ignore[no-untyped-def]
    """Depth at which the ray, widened by `spread` per metre, comes within HIT_M of the surface; FAR_M if never.

    A ray that grazes a surface may use up its steps: where it is then, it is close to it.
    """
    t = start
    for _ in range(MAX_STEPS):
        d = _field(ox + t * dx, oy + t * dy, oz + t * dz, cones, seen, n) - t * spread
        if d < HIT_M:
            return t
        t += d * STEP_SHARE
        if t > end:
            return FAR_M
    return t


@_jit
def _shade(x, y, z, cones, seen, n):  # type: ignore[no-untyped-def]
    """(material, brightness) of a surface point: a lamp, a sky, and less of it in the folds."""
    e = NORMAL_STEP_M
    a = _field(x + e, y - e, z - e, cones, seen, n)
    b = _field(x - e, y - e, z + e, cones, seen, n)
    c = _field(x - e, y + e, z - e, cones, seen, n)
    d = _field(x + e, y + e, z + e, cones, seen, n)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    inverse = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
    nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
    w = OCCLUSION_M
    openness = _field(x + nx * w, y + ny * w, z + nz * w, cones, seen, n) / w
    openness = min(1.0, max(0.3, openness))
    lamp = max(0.0, nx * LIGHT_X + ny * LIGHT_Y + nz * LIGHT_Z)
    return _nearest_material(x, y, z, cones, seen, n), (0.46 + 0.15 * nz + 0.62 * lamp) * openness


@_jit
def draw_cones(image, depth, rays, origin, tile_rays, cones, balls, first, colours):  # type: ignore[no-untyped-def]
    """Draw into image (h,w,3) uint8 where nearer than depth (h,w) float32, which is updated. In place.

    rays (h,w,3) float32 unit, world; tile_rays (th,tw,4): middle ray and half width per metre; cones (N,11), the last
    column 1 / length²; balls (A,4) hold the cones first[k]:first[k+1]; colours (A·materials, 3), linear.
    """
    h, w = depth.shape
    ox, oy, oz = origin[0], origin[1], origin[2]
    seen = np.empty(MAX_LIST, np.int32)
    for ty in range(tile_rays.shape[0]):
        for tx in range(tile_rays.shape[1]):
            dx, dy, dz, spread = tile_rays[ty, tx, 0], tile_rays[ty, tx, 1], tile_rays[ty, tx, 2], tile_rays[ty, tx, 3]
            n, start, end = _gather(ox, oy, oz, dx, dy, dz, spread, cones, balls, first, seen)
            if n == 0:
                continue
            start = _march(ox, oy, oz, dx, dy, dz, start, end, spread, cones, seen, n)
            if start >= end:
                continue
            for v in range(ty * TILE_PX, min(h, (ty + 1) * TILE_PX)):
                for u in range(tx * TILE_PX, min(w, (tx + 1) * TILE_PX)):
                    rx, ry, rz = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2]
                    t = _march(ox, oy, oz, rx, ry, rz, start, min(end, depth[v, u]), 0.0, cones, seen, n)
                    if t >= depth[v, u]:
                        continue
                    m, light = _shade(ox + t * rx, oy + t * ry, oz + t * rz, cones, seen, n)
                    depth[v, u] = t
                    for c in range(3):
                        image[v, u, c] = np.uint8(min(255.0, 255.0 * min(1.0, colours[m, c] * light) ** GAMMA))


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
