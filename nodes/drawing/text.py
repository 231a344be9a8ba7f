"""Words in pictures: smooth, with a dark rim where they stand on pictures. In place, RGB."""

import importlib.util
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from nodes.drawing.strokes import RIM, TEXT, Picture
from nodes.watching.words import Rgb

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
COVERED = frozenset(map(chr, range(32, 127))) | frozenset("·°…–")  # what the font that Pillow brings can draw
WIDE_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")  # asked for on this machine
RIM_PX = 2
SMALLEST_PX = 8


def text(
    canvas: Picture,
    words: str,
    at_px: tuple[float, float],
    size_px: float,
    colour: Rgb = TEXT,
    *,
    align: str = "left",
    rim: bool = False,
) -> int:
    """Write a line whose middle is at the height of at_px; its width in pixels. align: left, middle or right."""
    mask = _mask(words, max(SMALLEST_PX, round(size_px)))
    height, width = mask.shape[0] - 2 * RIM_PX, mask.shape[1] - 2 * RIM_PX
    left = round(at_px[0] - {"left": 0, "middle": width / 2, "right": width}[align]) - RIM_PX
    top = round(at_px[1] - height / 2) - RIM_PX
    if rim:
        _blend(canvas, _swollen(words, max(SMALLEST_PX, round(size_px))), left, top, RIM)
    _blend(canvas, mask, left, top, colour)
    return width


def width_of(words: str, size_px: float) -> int:
    """How long a line would be, in pixels."""
    return _mask(words, max(SMALLEST_PX, round(size_px))).shape[1] - 2 * RIM_PX


def shortened(words: str, size_px: float, room_px: float) -> str:
    """The beginning of a line that is too long, with dots."""
    if width_of(words, size_px) <= room_px:
        return words
    kept = words
    while kept and width_of(kept + "…", size_px) > room_px:
        kept = kept[:-1]
    return kept.rstrip() + "…" if kept else ""


def wrapped(words: str, size_px: float, room_px: float, most: int) -> list[str]:
    """Lines that fit, `most` of them at most."""
    lines: list[str] = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size_px) > room_px:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [shortened(each, size_px, room_px) for each in lines]


def _blend(canvas: Picture, mask: npt.NDArray[np.uint8], left: int, top: int, colour: Rgb) -> None:
    x, y = max(left, 0), max(top, 0)
    region = canvas[y : max(top + mask.shape[0], 0), x : max(left + mask.shape[1], 0)]
    if not region.size:
        return
    seen = mask[y - top : y - top + region.shape[0], x - left : x - left + region.shape[1], None] / np.float32(255)
    region[:] = np.rint(region + seen * (np.array(colour, np.float32) - region))


@lru_cache(1024)
def _mask(words: str, size_px: int) -> npt.NDArray[np.uint8]:
    """(H, W) how much of each pixel is ink, with room for the rim around. H is the same for all words of a size."""
    words = "".join(letter if letter.isprintable() else " " for letter in words)
    font = _font(size_px, COVERED.issuperset(words))
    left, _, right, _ = font.getbbox(words)
    width = max(1, int(np.ceil(right - min(left, 0)))) + 2 * RIM_PX
    image = Image.new("L", (width, round(1.2 * size_px) + 2 * RIM_PX), 0)
    ImageDraw.Draw(image).text((RIM_PX - min(left, 0), RIM_PX + 0.95 * size_px), words, 255, font, anchor="ls")
    return np.asarray(image)


@lru_cache(1024)
def _swollen(words: str, size_px: int) -> npt.NDArray[np.uint8]:
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM_PX + 1, 2 * RIM_PX + 1))
    return np.asarray(cv2.dilate(_mask(words, size_px), around), np.uint8)


@lru_cache(64)
def _font(size_px: int, covered: bool) -> Font:
    """Pillow's own; for other letters one of this machine, where there is one."""
    if not covered:
        for name in (*_of_matplotlib(), *WIDE_FONTS):
            try:
                return ImageFont.truetype(name, size_px)
            except OSError:
                continue
    return ImageFont.load_default(size_px)


def _of_matplotlib() -> tuple[str, ...]:
    """The font with many letters that matplotlib brings, where that is installed."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        return ()
    return (str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"),)
