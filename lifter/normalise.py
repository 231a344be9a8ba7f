"""From a camera's 2D pose to what the network sees, and back: the virtual camera that looks at the person.

A person at the edge of a wide picture, near or far, in a camera that was mounted turned: to the network all look alike.
The image is turned (a pure rotation of the camera, so no information is lost) until the person is in the middle and
gravity points down in it, and is scaled until the person has unit size. Numpy only: the trainer, the live runtime and
the tests go through this one code.

Frames: `cam` is the OpenCV camera; `view` is the virtual camera (same centre, x right, y down, z at the person).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]

MIN_CONFIDENCE = 1e-3  # below it a joint counts as absent
MIN_SCALE = 1e-3  # of the person's half size as seen, in radians: one pixel at a focal length of 1000
MIN_UP_SINE = 0.05  # camera within 3 degrees of straight up or down: gravity says nothing about the roll


@dataclass(frozen=True)
class Views:
    """What the network is given for N views. Absent joints are zeros with confidence 0, as the network expects them."""

    keypoints: F32  # (N, J, 3): x, y in the virtual camera over `scale`, and the confidence
    context: F32  # (N, 3): ln(scale), and up's y and z in the virtual camera (0, 0 where gravity is unknown)
    scale: F64  # (N,): the person's root mean square extent as seen, in units of distance
    R_cam_view: F64  # (N, 3, 3)
    valid: npt.NDArray[np.bool_]  # (N,): whether there is enough to lift (at least MIN_JOINTS joints)


_YZX, _ZXY = np.array([1, 2, 0]), np.array([2, 0, 1])  # of a cross product

MIN_JOINTS = 4  # with fewer joints the size of a person cannot be told from its pose


def normalise(rays: npt.ArrayLike, confidence: npt.ArrayLike, up_cam: npt.ArrayLike | None = None) -> Views:
    """Turn and scale N 2D poses.

    rays: (N, J, 2) ideal normalised coordinates (x/z, y/z) in each view's camera, NaN where a joint is absent.
    confidence: (N, J) in [0, 1]. up_cam: (3,) or (N, 3), the direction against gravity in camera coordinates; None or
    NaN where the camera's tilt is not known: then the camera is taken to be held upright and the network is told so.
    """
    xy = np.asarray(rays, dtype=np.float64)
    weight = np.asarray(confidence, dtype=np.float64)
    seen = np.isfinite(xy).all(-1) & (weight > MIN_CONFIDENCE)  # NaN compares false: a NaN confidence is no sight
    xy = np.where(seen[..., None], xy, 0.0)
    up, known = _up_of(up_cam, len(xy))
    R_cam_view = _look_at_person(xy, seen, up)
    in_view = xy @ R_cam_view[:, :2] + R_cam_view[:, 2:]  # R_view_cam (x, y, 1), on rows
    in_front = seen & (in_view[..., 2] > MIN_SCALE)
    flat = in_view[..., :2] * np.divide(in_front, in_view[..., 2], where=in_front, out=np.zeros(seen.shape))[..., None]
    count = in_front.sum(-1)
    scale = np.sqrt(np.einsum("nji,nji->n", flat, flat) / np.maximum(count, 1))
    valid = (count >= MIN_JOINTS) & (scale > MIN_SCALE)
    scale = np.where(valid, scale, 1.0)
    shown = in_front & valid[:, None]
    keypoints = np.zeros((*seen.shape, 3), dtype=np.float32)
    np.divide(flat, scale[:, None, None], out=keypoints[..., :2], where=shown[..., None], casting="same_kind")
    np.copyto(keypoints[..., 2], weight, where=shown, casting="same_kind")
    context = np.zeros((len(xy), 3), dtype=np.float32)
    np.log(scale, out=context[:, 0], casting="same_kind")
    context[:, 1:] = np.einsum("nji,nj->ni", R_cam_view[:, :, 1:], up * known[:, None])
    return Views(keypoints, context, scale, R_cam_view, valid)


def _up_of(up_cam: npt.ArrayLike | None, n: int) -> tuple[F64, npt.NDArray[np.bool_]]:
    """Unit vectors against gravity (n, 3) in the camera, and whether they are known; where not, the camera's own up."""
    upright = np.array([0.0, -1.0, 0.0])
    given = np.full((n, 3), np.nan) if up_cam is None else np.broadcast_to(np.asarray(up_cam, np.float64), (n, 3))
    length = _length(given)[:, 0]
    known = np.isfinite(length) & (length > 0)
    unit = given / np.where(known, length, 1.0)[:, None]
    return np.where(known[:, None], unit, upright), known


def _look_at_person(xy: F64, seen: npt.NDArray[np.bool_], up_cam: F64) -> F64:
    """R_cam_view (N, 3, 3): z through the middle of the joints that are seen, y as far along gravity as it can be."""
    ray_shares = seen / np.sqrt(1.0 + np.einsum("nji,nji->nj", xy, xy))  # all rays of length one
    middle = np.empty((len(xy), 3))
    np.einsum("nj,nji->ni", ray_shares, xy, out=middle[:, :2])
    middle[:, 2] = np.where(seen.any(-1), ray_shares.sum(-1), 1.0)
    R_cam_view = np.empty((len(xy), 3, 3))
    x, y, z = R_cam_view[..., 0], R_cam_view[..., 1], R_cam_view[..., 2]
    np.divide(middle, _length(middle), out=z)
    x[:] = _cross(z, up_cam)  # y down = z × x, and x = down × z = z × up
    steep = _length(x) < MIN_UP_SINE
    if steep.any():
        x[:] = np.where(steep, _cross(z, np.broadcast_to([0.0, -1.0, 0.0], z.shape)), x)
    x /= np.maximum(_length(x), 1e-9)
    y[:] = _cross(z, x)
    return R_cam_view


def _length(vectors: F64) -> F64:
    """(N, 1) of (N, 3)."""
    return np.sqrt(np.einsum("ni,ni->n", vectors, vectors))[:, None]


def _cross(a: F64, b: F64) -> F64:
    """a × b of (N, 3), at a third of the time that np.cross takes for few rows."""
    return a[:, _YZX] * b[:, _ZXY] - a[:, _ZXY] * b[:, _YZX]
