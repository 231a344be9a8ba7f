"""What a camera sees, behind the room as it is seen through that camera: bodies then lie over their pictures."""

import cv2
import numpy as np
import numpy.typing as npt
import viser

from calibration import lens
from calibration.rig import Camera
from nodes.drawing.jpeg import decoded
from nodes.page.camera_pictures import U8
from nodes.page.room import fov_of
from nodes.page.seen import Seen
from nodes.wire.messages import Preview

F32 = npt.NDArray[np.float32]
FINER = 1.5  # pixels of what is shown for one of the preview, which the straightening blurs a little
LEAST_ASPECT, MOST_ASPECT = 0.2, 4.0
AROUND_RGB = (20, 20, 20)  # what the camera does not see
JPEG_QUALITY = 75
ROUND_TRIP = 0.02  # a ray that comes back changed is outside of what the lens was measured for


class EyePicture:
    """The background of one browser that looks through one camera."""

    def __init__(self, client: viser.ClientHandle, camera: Camera) -> None:
        self._client = client
        self._camera = camera
        self._shown: Preview | None = None
        self._maps: tuple[F32, F32] | None = None
        self._made_for: tuple[tuple[int, int], float] | None = None

    def show(self, seen: Seen) -> None:
        """Draw the newest preview, when it is another one than before."""
        preview = seen.previews.get(self._camera.name)
        if preview is None or preview is self._shown:
            return
        self._shown = preview
        picture = decoded(preview)
        if picture is not None:
            straight = self._straightened(picture, round(aspect_of(self._client), 3))
            self._client.scene.set_background_image(straight, format="jpeg", jpeg_quality=JPEG_QUALITY)

    def remove(self) -> None:
        self._client.scene.set_background_image(None)

    def _straightened(self, picture: U8, aspect: float) -> U8:
        size_wh = (picture.shape[1], picture.shape[0])
        if self._maps is None or self._made_for != (size_wh, aspect):
            self._maps = straightening(self._camera, size_wh, aspect)
            self._made_for = (size_wh, aspect)
        straight = cv2.remap(picture, *self._maps, cv2.INTER_LINEAR, borderValue=AROUND_RGB)
        return np.asarray(straight, np.uint8)


def aspect_of(client: viser.ClientHandle) -> float:
    """Of a browser's picture; possible, whatever it says."""
    aspect = float(client.camera.aspect)
    return min(max(aspect, LEAST_ASPECT), MOST_ASPECT) if np.isfinite(aspect) else 1.0


def straightening(camera: Camera, size_wh: tuple[int, int], aspect: float) -> tuple[F32, F32]:
    """Where in a camera's picture of size_wh each pixel of a view of this aspect is found: x and y, both (h, w).

    The view is the one that browsers draw: a pinhole in the middle, with the camera's vertical field of view.
    """
    height = round(FINER * size_wh[1])
    width = max(2, round(height * aspect))
    focal = height / 2 / np.tan(fov_of(camera) / 2)
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (np.arange(height) + 0.5 - height / 2) / focal
    rays = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)
    small = camera.resized(size_wh)
    there_px = lens.project(small.lens, small.K, small.dist8, rays)
    back = small.undistort(there_px)
    with np.errstate(invalid="ignore"):
        known = np.abs(back - rays[..., :2]).max(axis=-1) < ROUND_TRIP
    there_px = np.where(known[..., None], there_px, -1e4).astype(np.float32)
    return np.ascontiguousarray(there_px[..., 0]), np.ascontiguousarray(there_px[..., 1])
