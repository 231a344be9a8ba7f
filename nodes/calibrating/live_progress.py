"""How far a live capture is: what each camera has seen, which cameras saw it together, and what is still missing.

Pure: it is told what was found and says what to do; looking and drawing are live_capture.py's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nodes.calibrating.found import Found

Array = npt.NDArray[np.float64]

CELLS = (6, 4)  # of a picture: across, down
FEWEST_CORNERS = 6
MOVED_SHARE = 0.04  # of the picture's width: since the last useful one, else nothing new is learnt
USEFUL = 25  # pictures of each camera
USEFUL_TOGETHER = 12  # of each pair that joins the rig
COVERED = 0.7  # of the cells, in each camera
NEAR_SHARE = 0.25  # of the picture's width: a board that wide was near, once at least
TILTED = 0.12  # how far opposite sides differ in length, in a few pictures at least
FEW = 4


@dataclass
class CameraTally:
    """What one camera has seen so far."""

    size_wh: tuple[int, int] = (1, 1)
    useful: int = 0
    looked_at: int = 0
    covered: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros((CELLS[1], CELLS[0]), dtype=bool))
    tilted: int = 0
    near: int = 0
    in_sight: int = 0
    last: Array | None = None

    def take(self, found: Found, size_wh: tuple[int, int]) -> bool:
        """Whether the picture is useful: a board, and at another place than before."""
        self.size_wh, self.in_sight = size_wh, found.count
        self.looked_at += 1
        if found.count < FEWEST_CORNERS:
            return False
        if self.last is not None:
            off = np.linalg.norm(found.corners_px - self.last, axis=-1)
            if np.isfinite(off).any() and np.nanmean(off) < MOVED_SHARE * size_wh[0]:
                return False
        self.last = found.corners_px
        self.useful += 1
        px = found.corners_px[np.isfinite(found.corners_px[:, 0])]
        cell = np.clip((px + 0.5) / np.array(size_wh) * CELLS, 0, np.array(CELLS) - 1).astype(int)
        self.covered[cell[:, 1], cell[:, 0]] = True
        self.near += bool(np.ptp(px, axis=0).max() > NEAR_SHARE * size_wh[0])
        return True

    @property
    def share(self) -> float:
        return float(self.covered.mean())


@dataclass
class Tally:
    """All cameras. grid: corners across, down, by which tilt is told."""

    cameras: tuple[str, ...]
    grid: tuple[int, int]
    of: dict[str, CameraTally] = field(init=False)
    together: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.of = {name: CameraTally() for name in self.cameras}
        self.together = np.zeros((len(self.cameras), len(self.cameras)), dtype=np.int64)

    def take(self, found: Mapping[str, Found], sizes_wh: Mapping[str, tuple[int, int]]) -> bool:
        """What the cameras found at one moment; whether it was of use to some."""
        useful = {name: self.of[name].take(each, sizes_wh[name]) for name, each in found.items()}
        for name, each in found.items():
            self.of[name].tilted += useful[name] and tilt_of(each.corners_px, self.grid) > TILTED
        see = [i for i, name in enumerate(self.cameras) if name in found and found[name].count >= FEWEST_CORNERS]
        for i in see:
            for j in see:
                if i < j and (useful[self.cameras[i]] or useful[self.cameras[j]]):
                    self.together[i, j] += 1
                    self.together[j, i] += 1
        return any(useful.values())

    def apart(self) -> list[list[str]]:
        """Groups of cameras that saw it together often enough; one group when the rig holds together."""
        left, groups = set(range(len(self.cameras))), []
        while left:
            group, new = set(), {min(left)}
            while new:
                group |= new
                new = {j for i in new for j in left - group if self.together[i, j] >= USEFUL_TOGETHER}
            left -= group
            groups.append([self.cameras[i] for i in sorted(group)])
        return groups

    def missing(self) -> list[str]:
        """What to do, the most pressing first; nothing when it is enough."""
        never = [name for name in self.cameras if not self.of[name].useful]
        if never:
            return [f"show the board to {_quoted(never)}, held still for a moment, near enough to fill a quarter of it"]
        groups = self.apart()
        if len(groups) > 1:
            i, j = self._nearest_pair(groups)
            done = self.together[self.cameras.index(i), self.cameras.index(j)]
            return [f"show it to {_quoted([i])} and {_quoted([j])} together ({done} of {USEFUL_TOGETHER})"]
        return [word for name in self.cameras for word in self._of_camera(name)]

    def _of_camera(self, name: str) -> list[str]:
        tally, words = self.of[name], []
        if tally.share < COVERED:
            words.append(f"bring it to the {_place(tally.covered)} of {_quoted([name])}'s picture")
        if tally.near < FEW:
            words.append(f"hold it closer to {_quoted([name])}")
        if tally.tilted < FEW:
            words.append(f"tilt it before {_quoted([name])}, each side towards it in turn")
        if not words and tally.useful < USEFUL:
            words.append(f"go on moving it before {_quoted([name])} ({tally.useful} of {USEFUL})")
        return words

    def _nearest_pair(self, groups: Sequence[Sequence[str]]) -> tuple[str, str]:
        """Two cameras of different groups that need the least."""
        pairs = [(a, b) for g, group in enumerate(groups) for a in group for other in groups[g + 1 :] for b in other]
        return max(pairs, key=lambda pair: self.together[self.cameras.index(pair[0]), self.cameras.index(pair[1])])


def tilt_of(corners_px: Array, grid: tuple[int, int]) -> float:
    """How far opposite sides of the seen part differ in length, as a share: 0 for a board parallel to the picture."""
    corners = corners_px.reshape(grid[1], grid[0], 2)
    worst = 0.0
    for table in (corners, corners.swapaxes(0, 1)):
        full = np.flatnonzero(np.isfinite(table[..., 0]).all(1))
        if len(full) >= 2:
            lengths = np.linalg.norm(table[full][:, -1] - table[full][:, 0], axis=-1)
            worst = max(worst, float(abs(lengths[0] - lengths[-1]) / lengths.mean()))
    return worst


def _place(covered: npt.NDArray[np.bool_]) -> str:
    """Where most is missing, in words."""
    down, across = covered.shape
    regions = {
        f"{row} {column}".strip(): covered[rows, columns].mean()
        for row, rows in (("top", slice(0, down // 2)), ("bottom", slice(down // 2, down)))
        for column, columns in (("left", slice(0, across // 2)), ("right", slice(across // 2, across)))
    }
    return min(regions, key=lambda region: float(regions[region]))


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
