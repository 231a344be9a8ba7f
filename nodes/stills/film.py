"""Files of moving pictures, written picture by picture: H.264 in MP4, and GIF."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin, Image

from nodes.drawing.strokes import FAINT, GROUND, METAL, PANEL, TEXT, Picture
from nodes.watching.words import BESIDE_RGB, LEVEL_RGB, ORIGIN_RGB, PERSON_RGB, Rgb

CRF = "20"  # quality of H.264: nothing of the drawing is lost to the eye
BT709, BT601 = 1, 6  # as FFmpeg counts colour spaces
PALETTE_OF = 24  # pictures of which a GIF's colours are made; held until then
DRAWN = (GROUND, PANEL, FAINT, METAL, TEXT, BESIDE_RGB, *PERSON_RGB, *LEVEL_RGB.values(), *ORIGIN_RGB.values())
GIF_COLOURS = 200
BITS_LEFT_OUT, LEVELS = 2, 64  # of each colour, when the nearest one in the palette is looked up
# Grey levels: a pixel of a GIF that changes by less stays as it was, which costs nothing; dark ones would be seen.
STILL, DARK, DARK_STILL = 8, 70, 1


class Film(Protocol):
    """A file that is being written. Raises OSError."""

    def add(self, picture_rgb: Picture) -> None:
        """The next picture; all have the same size."""

    def close(self) -> None:
        """Write what is still to be written."""


ENDINGS = (".mp4", ".gif")


def even(size_wh: tuple[int, int]) -> tuple[int, int]:
    """The size that H.264 can have: no odd ones."""
    return size_wh[0] - size_wh[0] % 2, size_wh[1] - size_wh[1] % 2


@contextmanager
def open_film(path: Path, kind: str, size_wh: tuple[int, int], fps: float) -> Iterator[Film]:
    """A film at a path; kind: one of ENDINGS. Raises OSError."""
    film: Film = Mp4(path, size_wh, fps) if kind == ".mp4" else Gif(path, size_wh, fps)
    try:
        yield film
    finally:
        film.close()


class Mp4:
    """H.264 as every browser plays it, its index in front."""

    def __init__(self, path: Path, size_wh: tuple[int, int], fps: float) -> None:
        self._container: Any = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": CRF})
        self._stream.width, self._stream.height = size_wh
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.color_primaries = context.color_trc = BT709
        context.colorspace = BT601  # which OpenCV converts to, in a sixth of swscale's time
        self._count = 0

    def add(self, picture_rgb: Picture) -> None:
        planes = np.asarray(cv2.cvtColor(picture_rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.pts, frame.time_base = self._count, 1 / self._stream.codec_context.framerate
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class Gif:
    """One palette for all pictures and no dithering, and of each picture only what has changed."""

    def __init__(self, path: Path, size_wh: tuple[int, int], fps: float) -> None:
        self._file = path.open("wb")
        self._size_wh = size_wh
        self._fps = fps
        self._first: list[Picture] = []
        self._palette: list[int] = []
        self._nearest = np.zeros(0, np.uint8)
        self._before: Picture | None = None
        self._count = 0

    def add(self, picture_rgb: Picture) -> None:
        if self._palette:
            self._write(picture_rgb)
            return
        self._first.append(picture_rgb)
        if len(self._first) == PALETTE_OF:
            self._begin()

    def close(self) -> None:
        try:
            if not self._palette and self._first:
                self._begin()
            if self._palette:
                self._file.write(b";")
        finally:
            self._file.close()

    def _begin(self) -> None:
        self._palette = palette_of(self._first)
        self._nearest = nearest_in(self._palette)
        empty = Image.new("P", self._size_wh)
        empty.putpalette(self._palette)
        header, _ = GifImagePlugin.getheader(empty, info={"loop": 0, "duration": 0})
        for block in header:
            self._file.write(block)
        for picture in self._first:
            self._write(picture)
        self._first = []

    def _write(self, picture_rgb: Picture) -> None:
        """Unchanged pixels are transparent, and around what has changed nothing is written."""
        now = picture_rgb.astype(np.int16)
        changed = np.ones(now.shape[:2], bool)
        if self._before is not None:
            least = np.where(now.max(axis=2) < DARK, DARK_STILL, STILL)
            changed = np.abs(now - self._before).max(axis=2) >= least
            picture_rgb = np.where(changed[..., None], picture_rgb, self._before).astype(np.uint8)
        self._before = picture_rgb
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        top, bottom = (rows[0], rows[-1] + 1) if len(rows) else (0, 1)
        left, right = (columns[0], columns[-1] + 1) if len(columns) else (0, 1)
        red, green, blue = np.moveaxis(picture_rgb[top:bottom, left:right].astype(np.int32) >> BITS_LEFT_OUT, 2, 0)
        coded = self._nearest[(red * LEVELS + green) * LEVELS + blue]
        coded[~changed[top:bottom, left:right]] = GIF_COLOURS
        image = Image.fromarray(coded, "P")
        image.putpalette(self._palette)
        hundredths = round(100 * (self._count + 1) / self._fps) - round(100 * self._count / self._fps)
        self._count += 1
        for block in GifImagePlugin.getdata(
            image, (int(left), int(top)), duration=10 * hundredths, disposal=1, transparency=GIF_COLOURS
        ):
            self._file.write(block)


def palette_of(pictures: list[Picture]) -> list[int]:
    """768 numbers, R, G, B in turn: colours for all pictures, of some of them and of the drawing."""
    some = np.concatenate(pictures[::8])[::3, ::3]  # all pixels take ten seconds
    sample = np.vstack([some, _swatches(some.shape[1], DRAWN)])
    found = Image.fromarray(sample).quantize(GIF_COLOURS, Image.Quantize.MEDIANCUT, kmeans=2).getpalette() or []
    return (found[: 3 * GIF_COLOURS] + 768 * [0])[:768]


def nearest_in(palette: list[int]) -> npt.NDArray[np.uint8]:
    """(LEVELS³,) the index of the nearest colour for each colour: much faster than to look again and again."""
    colours = np.array(palette[: 3 * GIF_COLOURS], np.float32).reshape(-1, 3)
    levels = (np.arange(LEVELS, dtype=np.float32) + 0.5) * 2**BITS_LEFT_OUT - 0.5
    plane = np.stack(np.meshgrid(levels, levels, indexing="ij"), axis=-1).reshape(-1, 2)
    beside = ((plane[:, None] - colours[:, 1:]) ** 2).sum(axis=2)
    found = [np.argmin(beside + (red - colours[:, 0]) ** 2, axis=1) for red in levels]
    return np.concatenate(found).astype(np.uint8)


def _swatches(width: int, colours: tuple[Rgb, ...]) -> Picture:
    return np.repeat(np.repeat(np.array(colours, np.uint8)[:, None], 6, axis=0), width, axis=1)
