"""Where everything stands on a sheet: tiles of the cameras beside or above the room. Pure."""

import math
from dataclasses import dataclass

FOR_CAMERAS = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)  # of the sheet's width or height, beside a room


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Layout:
    """room: None where cameras alone are shown. footer: None without one. scale: of words, 1 at 900 px of height."""

    header: Box
    cameras: tuple[Box, ...]
    room: Box | None
    footer: Box | None
    scale: float


def lay_out(
    size_wh: tuple[int, int], n_cameras: int, aspect: float, room: bool = True, footer_lines: int = 0
) -> Layout:
    """The best places on a sheet of this size. aspect: width by height of the cameras' pictures."""
    width, height = size_wh
    scale = min(max(math.sqrt(width * height / (1600 * 900)), 0.7), height / 420, width / 420)
    gap, head = max(2, round(5 * scale)), round(44 * scale)
    foot = round((footer_lines * 25 + 12) * scale) if footer_lines else 0
    header = Box(0, 0, width, head)
    footer = Box(0, height - foot, width, foot) if foot else None
    inner = Box(gap, head, width - 2 * gap, height - head - foot - (0 if foot else gap))
    if not n_cameras:
        return Layout(header, (), inner if room else None, footer, scale)
    if not room:
        columns = max(range(1, n_cameras + 1), key=lambda c: _tile_width(inner, n_cameras, c, aspect, gap))
        tiles, used = _grid(inner, n_cameras, columns, aspect, gap)
        tiles = _centred(tiles, (inner.width - used.width) // 2, (inner.height - used.height) // 2)
        return Layout(header, tiles, None, footer, scale)
    cameras, place = max(
        _beside(inner, n_cameras, aspect, gap), key=lambda made: _worth(made[0], made[1], width * height)
    )
    return Layout(header, cameras, place, footer, scale)


def _beside(inner: Box, n: int, aspect: float, gap: int) -> list[tuple[tuple[Box, ...], Box]]:
    """Ways to put the cameras' tiles to the left of the room, or above it."""
    made = []
    for columns in range(1, n + 1):
        for share in FOR_CAMERAS:
            left = Box(inner.left, inner.top, round(inner.width * share), inner.height)
            tiles, used = _grid(left, n, columns, aspect, gap)
            room = Box(used.left + used.width + gap, inner.top, inner.width - used.width - gap, inner.height)
            made.append((_centred(tiles, 0, (inner.height - used.height) // 2), room))
            above = Box(inner.left, inner.top, inner.width, round(inner.height * share))
            tiles, used = _grid(above, n, columns, aspect, gap)
            below = Box(inner.left, inner.top + used.height + gap, inner.width, inner.height - used.height - gap)
            made.append((_centred(tiles, (inner.width - used.width) // 2, 0), below))
    return made


def _centred(tiles: tuple[Box, ...], right: int, down: int) -> tuple[Box, ...]:
    return tuple(Box(tile.left + right, tile.top + down, tile.width, tile.height) for tile in tiles)


def _worth(cameras: tuple[Box, ...], room: Box, sheet_px: int) -> float:
    """How much is seen: of the cameras, and above all of the room, the part whose shape suits it; half a sheet does."""
    seen = min(room.width, 1.6 * room.height) * min(room.height, 1.25 * room.width)
    return max(min(seen, sheet_px / 2), 1) ** 2 * sum(box.width * box.height for box in cameras)


def _tile_width(inner: Box, n: int, columns: int, aspect: float, gap: int) -> float:
    rows = math.ceil(n / columns)
    across = (inner.width - (columns - 1) * gap) / columns
    return max(8.0, min(across, (inner.height - (rows - 1) * gap) / rows * aspect))


def _grid(inner: Box, n: int, columns: int, aspect: float, gap: int) -> tuple[tuple[Box, ...], Box]:
    """Tiles in rows, from the top left on, and what they take up."""
    width = int(_tile_width(inner, n, columns, aspect, gap))
    height = max(8, int(width / aspect))
    rows = math.ceil(n / columns)
    tiles = tuple(
        Box(inner.left + i % columns * (width + gap), inner.top + i // columns * (height + gap), width, height)
        for i in range(n)
    )
    return tiles, Box(inner.left, inner.top, columns * (width + gap) - gap, rows * (height + gap) - gap)
