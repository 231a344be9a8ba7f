"""Ray-marching of rounded cones with smooth unions: one core, a few milliseconds a frame.

Tiles of 16 x 16 pixels keep the cones that can be seen in them; the ray through a tile's middle is marched first, as a
cone, and its pixels start where it stopped (Hart 1996, "Sphere tracing", for the march itself). The rays of a tile
march side by side in float32 arrays, so that the compiler can use vector instructions. Distances along rays are metres
from the camera's centre. Cones are rows ax ay az bx by bz ra rb blend material 1/length².
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

TILE_PX = 16
MAX_LIST = 256  # cones that one tile may see
MAX_STEPS = 48
GAMMA = 0.8
# A float64 constant among float32 arrays would make the whole loop float64.
HIT_M = np.float32(0.0012)
FAR_M = np.float32(1e9)
STEP_SHARE = np.float32(0.96)  # a cone's distance is overestimated where its radius changes fast
NORMAL_STEP_M = np.float32(0.0025)
OCCLUSION_M = np.float32(0.07)  # ambient light is dimmed by what is nearer than this
LIGHT_X, LIGHT_Y, LIGHT_Z = np.float32(0.39), np.float32(0.29), np.float32(0.874)
ZERO, QUARTER, ONE = np.float32(0.0), np.float32(0.25), np.float32(1.0)
# Corners of a tetrahedron: four samples of the field give its gradient.
CORNERS = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)

_jit = numba.njit(cache=True, fastmath=True, nogil=True)


class Bundle(NamedTuple):
    """Room for the rays of a tile, one array (RAYS,) each; the first `count` are in use.

    Directions rx ry rz, depth t, the pixel's number in the tile, points x y z, distances d and one (of one cone);
    by pixel number: where the ray ends, and the depth found.
    """

    rx: Singles
    ry: Singles
    rz: Singles
    t: Singles
    number: npt.NDArray[np.int32]
    x: Singles
    y: Singles
    z: Singles
    d: Singles
    one: Singles
    ends: Singles
    found: Singles


@_jit
def _new_bundle():  # type: ignore[no-untyped-def]
    rows = np.zeros((11, TILE_PX * TILE_PX), np.float32)
    number = np.zeros(TILE_PX * TILE_PX, np.int32)
    return Bundle(
        rows[0], rows[1], rows[2], rows[3], number, rows[4], rows[5], rows[6], rows[7], rows[8], rows[9], rows[10]
    )


@_jit
def _distances(d, x, y, z, count, cones, i):  # type: ignore[no-untyped-def]
    """Distances of points (count,) to cone i, into d."""
    ax, ay, az = cones[i, 0], cones[i, 1], cones[i, 2]
    bx, by, bz = cones[i, 3] - ax, cones[i, 4] - ay, cones[i, 5] - az
    ra, widening, inverse = cones[i, 6], cones[i, 7] - cones[i, 6], cones[i, 10]
    for p in range(count):
        px, py, pz = x[p] - ax, y[p] - ay, z[p] - az
        share = min(ONE, max(ZERO, (px * bx + py * by + pz * bz) * inverse))
        dx, dy, dz = px - bx * share, py - by * share, pz - bz * share
        d[p] = math.sqrt(dx * dx + dy * dy + dz * dz) - ra - widening * share


@_jit
def _field(d, one, x, y, z, count, cones, seen, n):  # type: ignore[no-untyped-def]
    """Smooth union (quadratic) at points (count,), into d: a cone farther than its blend width does not change it."""
    for p in range(count):
        d[p] = FAR_M
    for j in range(n):
        i = seen[j]
        _distances(one, x, y, z, count, cones, i)
        blend = cones[i, 8]
        bulge = QUARTER / blend
        for p in range(count):
            near = max(ZERO, blend - abs(d[p] - one[p]))
            d[p] = min(d[p], one[p]) - near * near * bulge


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
    share = min(ONE, max(ZERO, -(qx * rx + qy * ry + qz * rz) / max(rr, np.float32(1e-12))))
    gx, gy, gz = qx + share * rx, qy + share * ry, qz + share * rz
    return math.sqrt(gx * gx + gy * gy + gz * gz), ad + share * bd


@_jit
def _gather(ox, oy, oz, dx, dy, dz, spread, cones, balls, first, seen):  # type: ignore[no-untyped-def]
    """List the cones that the bundle of rays round d can meet; (how many, nearest start, furthest end)."""
    n, start, end = 0, FAR_M, ZERO
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
def _march(rays, count, origin, start, spread, cones, seen, n):  # type: ignore[no-untyped-def]
    """March the first `count` rays of a bundle from depth `start` on; the bundle is used up.

    `found` receives the depth at which a ray, widened by `spread` per metre, comes within HIT_M of the surface; FAR_M
    where it never does before its end. A ray that grazes a surface may use up its steps: it is close to it then.
    """
    ox, oy, oz = origin[0], origin[1], origin[2]
    rays.t[:count] = start
    for step in range(MAX_STEPS):
        for p in range(count):
            rays.x[p] = ox + rays.t[p] * rays.rx[p]
            rays.y[p] = oy + rays.t[p] * rays.ry[p]
            rays.z[p] = oz + rays.t[p] * rays.rz[p]
        _field(rays.d, rays.one, rays.x, rays.y, rays.z, count, cones, seen, n)
        left = 0
        for p in range(count):
            number, t = rays.number[p], rays.t[p]
            gap = rays.d[p] - t * spread
            after = t + gap * STEP_SHARE
            if gap < HIT_M or step == MAX_STEPS - 1:
                rays.found[number] = t
            elif after > rays.ends[number]:
                rays.found[number] = FAR_M
            else:
                rays.rx[left], rays.ry[left], rays.rz[left] = rays.rx[p], rays.ry[p], rays.rz[p]
                rays.number[left], rays.t[left] = number, after
                left += 1
        count = left
        if count == 0:
            break


@_jit
def _shade(rays, count, cones, seen, n, material, light, gradient):  # type: ignore[no-untyped-def]
    """Material and brightness (count,) at the bundle's points: a lamp, a sky, and less of it in the folds.

    Uses rx ry rz as room for shifted points; gradient (3, RAYS) is room for normals.
    """
    x, y, z, sx, sy, sz = rays.x, rays.y, rays.z, rays.rx, rays.ry, rays.rz
    gradient[:, :count] = ZERO
    for k in range(4):
        ex, ey, ez = CORNERS[k, 0], CORNERS[k, 1], CORNERS[k, 2]
        for p in range(count):
            sx[p] = x[p] + ex * NORMAL_STEP_M
            sy[p] = y[p] + ey * NORMAL_STEP_M
            sz[p] = z[p] + ez * NORMAL_STEP_M
        _field(rays.d, rays.one, sx, sy, sz, count, cones, seen, n)
        for p in range(count):
            gradient[0, p] += ex * rays.d[p]
            gradient[1, p] += ey * rays.d[p]
            gradient[2, p] += ez * rays.d[p]
    for p in range(count):
        gx, gy, gz = gradient[0, p], gradient[1, p], gradient[2, p]
        inverse = ONE / math.sqrt(gx * gx + gy * gy + gz * gz + np.float32(1e-20))
        gx, gy, gz = gx * inverse, gy * inverse, gz * inverse
        lamp = max(ZERO, gx * LIGHT_X + gy * LIGHT_Y + gz * LIGHT_Z)
        light[p] = np.float32(0.46) + np.float32(0.15) * gz + np.float32(0.62) * lamp
        sx[p], sy[p], sz[p] = x[p] + gx * OCCLUSION_M, y[p] + gy * OCCLUSION_M, z[p] + gz * OCCLUSION_M
    _field(rays.d, rays.one, sx, sy, sz, count, cones, seen, n)
    for p in range(count):
        light[p] *= min(ONE, max(np.float32(0.3), rays.d[p] / OCCLUSION_M))
    _nearest_materials(material, rays, count, cones, seen, n)


@_jit
def _nearest_materials(material, rays, count, cones, seen, n):  # type: ignore[no-untyped-def]
    rays.d[:count] = FAR_M
    for j in range(n):
        _distances(rays.one, rays.x, rays.y, rays.z, count, cones, seen[j])
        for p in range(count):
            if rays.one[p] < rays.d[p]:
                rays.d[p] = rays.one[p]
                material[p] = np.int32(cones[seen[j], 9])


@_jit
def draw_cones(image, depth, rays, origin, tile_rays, cones, balls, first, colours):  # type: ignore[no-untyped-def]
    """Draw into image (h,w,3) uint8 where nearer than depth (h,w), which is updated. In place.

    rays (h,w,3) unit, world; origin (3,); tile_rays (th,tw,4): middle ray and half width per metre; cones (N,11);
    balls (A,4) hold the cones first[k]:first[k+1]; colours (A·materials, 3), linear. All float32.
    """
    ox, oy, oz = origin[0], origin[1], origin[2]
    bundle = _new_bundle()
    seen, material = np.empty(MAX_LIST, np.int32), np.empty(TILE_PX * TILE_PX, np.int32)
    light, gradient = np.empty(TILE_PX * TILE_PX, np.float32), np.empty((3, TILE_PX * TILE_PX), np.float32)
    for ty in range(tile_rays.shape[0]):
        for tx in range(tile_rays.shape[1]):
            dx, dy, dz, spread = tile_rays[ty, tx, 0], tile_rays[ty, tx, 1], tile_rays[ty, tx, 2], tile_rays[ty, tx, 3]
            n, start, end = _gather(ox, oy, oz, dx, dy, dz, spread, cones, balls, first, seen)
            if n == 0:
                continue
            bundle.rx[0], bundle.ry[0], bundle.rz[0], bundle.number[0], bundle.ends[0] = dx, dy, dz, 0, end
            _march(bundle, 1, origin, start, spread, cones, seen, n)
            start = bundle.found[0]
            if start >= end:
                continue
            count = _load_tile(bundle, rays, depth, ty, tx, end)
            _march(bundle, count, origin, start, ZERO, cones, seen, n)
            count = _keep_hits(bundle, rays, depth, origin, ty, tx)
            if count == 0:
                continue
            _shade(bundle, count, cones, seen, n, material, light, gradient)
            for p in range(count):
                v, u = ty * TILE_PX + bundle.number[p] // TILE_PX, tx * TILE_PX + bundle.number[p] % TILE_PX
                for c in range(3):
                    level = min(ONE, colours[material[p], c] * light[p]) ** GAMMA
                    image[v, u, c] = np.uint8(255.0 * level)


@_jit
def _load_tile(bundle, rays, depth, ty, tx, end):  # type: ignore[no-untyped-def]
    """Put a tile's rays into the bundle; how many (a tile at the picture's edge has fewer)."""
    count = 0
    for v in range(ty * TILE_PX, min(depth.shape[0], (ty + 1) * TILE_PX)):
        for u in range(tx * TILE_PX, min(depth.shape[1], (tx + 1) * TILE_PX)):
            number = (v % TILE_PX) * TILE_PX + u % TILE_PX
            bundle.rx[count], bundle.ry[count], bundle.rz[count] = rays[v, u, 0], rays[v, u, 1], rays[v, u, 2]
            bundle.number[count] = number
            bundle.ends[number] = min(end, depth[v, u])
            bundle.found[number] = FAR_M
            count += 1
    return count


@_jit
def _keep_hits(bundle, rays, depth, origin, ty, tx):  # type: ignore[no-untyped-def]
    """Leave the points of the rays that hit before `depth` in the bundle and update depth; how many."""
    count = 0
    for v in range(ty * TILE_PX, min(depth.shape[0], (ty + 1) * TILE_PX)):
        for u in range(tx * TILE_PX, min(depth.shape[1], (tx + 1) * TILE_PX)):
            number = (v % TILE_PX) * TILE_PX + u % TILE_PX
            t = bundle.found[number]
            if t >= depth[v, u]:
                continue
            depth[v, u] = t
            bundle.x[count] = origin[0] + t * rays[v, u, 0]
            bundle.y[count] = origin[1] + t * rays[v, u, 1]
            bundle.z[count] = origin[2] + t * rays[v, u, 2]
            bundle.number[count] = number
            count += 1
    return count
