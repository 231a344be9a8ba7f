"""Small JPEG pictures for the eye, a few a second, only where the configuration asks for them."""

import cv2

from configs import schema
from nodes.sources.source import Frame
from nodes.wire.messages import Preview

JPEG_QUALITY = 70


class PreviewMaker:
    """Makes a preview of a frame when one is due."""

    def __init__(self, camera: str, settings: schema.Preview) -> None:
        self._camera = camera
        self._settings = settings
        self._due_ns = 0
        self._seq = 0

    def make(self, frame: Frame, now_ns: int) -> Preview | None:
        """The preview of a frame; None when previews are off or none is due."""
        if not self._settings.enabled or now_ns < self._due_ns:
            return None
        self._due_ns = now_ns + round(1e9 / self._settings.rate_hz)
        height, width = frame.image_rgb.shape[:2]
        size_wh = (self._settings.width_px, max(1, round(height * self._settings.width_px / width)))
        small = cv2.resize(frame.image_rgb, size_wh, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        self._seq += 1
        return Preview(
            captured_ns=frame.captured_ns,
            published_ns=0,
            source=self._camera,
            seq=self._seq,
            size_wh=size_wh,
            jpeg=jpeg.tobytes(),
        )
