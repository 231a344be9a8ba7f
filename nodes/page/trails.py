"""Where people went in the last seconds, as a line on the floor that fades. Pure."""

from collections import deque

import numpy as np
import numpy.typing as npt

from nodes.page.shapes import F32
from nodes.watching.words import person_rgb

LAST_S = 3.0
EVERY_S = 0.1
MOST_POINTS = round(LAST_S / EVERY_S)
JUMP_M = 0.8  # between two points; farther is somebody else, or a gap
MOST_PEOPLE = 64
ABOVE_FLOOR_M = 0.006


class Trails:
    """Of the people seen lately, by id."""

    def __init__(self) -> None:
        self._points: dict[int, deque[tuple[int, F32]]] = {}

    def feed(self, at_ns: int, places: dict[int, F32]) -> None:
        """Take in where people are, id → (3,), at an instant; a step back in time forgets everything."""
        newest = max((points[-1][0] for points in self._points.values()), default=at_ns)
        if at_ns < newest:
            self._points.clear()
        for person, place in list(places.items())[:MOST_PEOPLE]:
            points = self._points.setdefault(person, deque(maxlen=MOST_POINTS))
            if points and np.linalg.norm(place[:2] - points[-1][1][:2]) > JUMP_M:
                points.clear()
            points.append((at_ns, place))
        for person, points in list(self._points.items()):
            while points and at_ns - points[0][0] > LAST_S * 1e9:
                points.popleft()
            if not points:
                del self._points[person]

    def clear(self) -> None:
        self._points.clear()

    def lines(self, at_ns: int, ground_rgb: tuple[int, int, int]) -> tuple[F32, npt.NDArray[np.uint8]]:
        """Segments (S, 2, 3) on the floor and the colours of their ends; they fade into the ground's colour."""
        segments, colours = [], []
        for person, points in self._points.items():
            if len(points) < 2:
                continue
            line = np.array([place for _, place in points], np.float32)
            line[:, 2] = ABOVE_FLOOR_M
            age = np.array([(at_ns - when_ns) / (LAST_S * 1e9) for when_ns, _ in points])
            strength = np.clip(1 - age, 0, 1)[:, None] ** 1.5
            rgb = strength * np.array(person_rgb(person)) + (1 - strength) * np.array(ground_rgb)
            segments.append(np.stack([line[:-1], line[1:]], axis=1))
            colours.append(np.stack([rgb[:-1], rgb[1:]], axis=1))
        if not segments:
            return np.empty((0, 2, 3), np.float32), np.empty((0, 2, 3), np.uint8)
        return np.concatenate(segments), np.concatenate(colours).astype(np.uint8)
