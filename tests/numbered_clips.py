"""Clips whose pictures carry a number that survives compression: black and white blocks, one for each bit."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

BLOCK_PX = 32
COLUMNS = 10
SIZE_WH = (COLUMNS * BLOCK_PX, 160)  # 50 bits: enough for milliseconds since 1970
BITS = COLUMNS * (SIZE_WH[1] // BLOCK_PX)

Image = npt.NDArray[np.uint8]


def picture_of(number: int) -> Image:
    """(H, W) uint8 grey."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], dtype=np.uint8).reshape(-1, COLUMNS)
    return np.kron(bits, np.full((BLOCK_PX, BLOCK_PX), 235, dtype=np.uint8))


def number_in(image: Image) -> int:
    """The number in a picture (H, W) or (H, W, 3)."""
    grey = image if image.ndim == 2 else image[..., 1]
    bits = grey[BLOCK_PX // 2 :: BLOCK_PX, BLOCK_PX // 2 :: BLOCK_PX].ravel() > 128
    return sum(1 << bit for bit in np.flatnonzero(bits).tolist())


def write_clip(
    path: Path,
    frames: int = 30,
    fps: int = 30,
    codec: str = "libx264",
    key_every: int = 10,
    ticks: Sequence[int] | None = None,
    **container_options: str,
) -> Path:
    """Picture k has the number k and the time ticks[k] / fps; ticks are 0, 1, 2, … unless given."""
    with av.open(str(path), "w", options=container_options) as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.width, stream.height = SIZE_WH
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = key_every
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "bf": "2"}
        for number, tick in enumerate(ticks if ticks is not None else range(frames)):
            frame = av.VideoFrame.from_ndarray(picture_of(number), format="gray").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = tick, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_red_clip(path: Path) -> Path:
    """Ten red pictures, to see which channel is which."""
    red = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8)
    red[..., 0] = 200
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE_WH, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def mean_rgb(image_rgb: Image) -> list[float]:
    return [float(value) for value in image_rgb.mean(axis=(0, 1))]
