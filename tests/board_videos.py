"""Small videos and folders of images of a board, for what reads them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from tests.rendered_boards import Shot, picture_of

BOARD = CharucoBoard(4, 5, 0.054, 0.0405)
SHOT = Shot(away_m=0.55, focal_px=300.0, size_wh=(320, 240))


def pictures(n: int, seed: int = 0, shot: Shot = SHOT, board: CharucoBoard = BOARD):
    """n grey pictures and their true corners (n, K, 2)."""
    rng = np.random.default_rng(seed)
    taken = [picture_of(board, shot, rng) for _ in range(n)]
    return [grey for grey, _ in taken], np.array([true for _, true in taken])


def write_video(path: Path, greys: Sequence[npt.NDArray[np.uint8]], fps: int = 10) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = greys[0].shape
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "12", "bf": "0"}
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000 * fps)
        for i, grey in enumerate(greys):
            picture = av.VideoFrame.from_ndarray(np.repeat(grey[:, :, None], 3, axis=2), format="rgb24")
            picture.pts, picture.time_base = 1000 * i, Fraction(1, 1000 * fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def write_images(folder: Path, greys: Sequence[npt.NDArray[np.uint8]], name: str = "view_{:02d}.png") -> None:
    folder.mkdir(parents=True)
    for i, grey in enumerate(greys):
        cv2.imwrite(str(folder / name.format(i)), grey)
