"""The picture of docs/people.md: `python docs/make_people_picture.py` makes `docs/people.jpg`.

Rendered actors who pass one another, found and fused as live (`benchmarks/people.py`), with everybody's fused skeleton
drawn over what each camera saw; a row an instant.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.people import Ours, run
from benchmarks.people_scenes import Film, film, rig, scenes
from calibration.rig import Camera
from lifter.runtime import load
from lifter.skeleton import MEDIAPIPE33
from nodes.wire.messages import Pose3D

Picture = npt.NDArray[np.uint8]

SHOWN = (("two pass", (18, 29, 34)), ("three at once", (24,)))  # scene, ticks of it
SECONDS = 3.0
SCALE = 2  # drawn so much larger: smooth lines
CELL_WH, REACH_M = (300, 300), 1.15  # of each picture in the sheet; what it shows around the middle of everybody
COLOURS = ((255, 146, 43), (51, 206, 255), (190, 90, 255))  # by id, RGB
RIM = (14, 17, 22)


def main() -> None:
    """Film, fuse, draw."""
    lifter, rows = load(skeleton=MEDIAPIPE33), []
    for name, ticks in SHOWN:
        filmed = film(scenes()[name], rig(), SECONDS)
        poses = {pose.captured_ns: pose for pose in run(filmed, {c: Ours(c) for c in filmed.rig.names}, lifter).poses}
        rows += [row(filmed, tick, poses[int(filmed.ticks_ns[tick])]) for tick in ticks]
    path = Path(__file__).resolve().parent / "people.jpg"
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


def row(filmed: Film, tick: int, pose: Pose3D) -> Picture:
    """One instant, seen by every camera; each picture is the camera's nearest, at most half a frame off."""
    cells = []
    for camera in filmed.rig.cameras:
        frames = [frame for name, frame in filmed.frames if name == camera.name]
        nearest = min(frames, key=lambda frame: abs(frame.captured_ns - pose.captured_ns))
        canvas = cv2.resize(nearest.image_rgb, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
        draw(canvas, camera, pose)
        cells.append(cut(canvas, camera, filmed.truth_m[tick].mean(axis=(0, 1))))
    return np.hstack(cells)


def draw(canvas: Picture, camera: Camera, pose: Pose3D) -> None:
    """Everybody's bones, the nearest last."""
    place_m = camera.T_world_cam[:3, 3]
    for person in sorted(pose.people, key=lambda p: -float(np.linalg.norm(np.nanmean(p.joints_m, axis=0) - place_m))):
        joints_px = SCALE * camera.project(person.joints_m.astype(np.float64))
        for width_px, colour in ((5, RIM), (3, COLOURS[(person.id - 1) % len(COLOURS)])):
            for bone in MEDIAPIPE33.bones:
                ends_px = joints_px[[*bone]]
                if np.isfinite(ends_px).all():
                    begin, end = np.rint(16 * ends_px).astype(int).tolist()
                    cv2.line(canvas, begin, end, colour, width_px, cv2.LINE_AA, shift=4)


def cut(canvas: Picture, camera: Camera, middle_m: npt.NDArray[np.float64]) -> Picture:
    """What is around a place in the room."""
    depth_m = float(camera.T_cam_world[2, :3] @ middle_m + camera.T_cam_world[2, 3])
    x, y = np.rint(SCALE * camera.project(middle_m)).astype(int)
    reach_px = round(SCALE * camera.K[0, 0] * REACH_M / depth_m)
    x, y = (int(np.clip(v, reach_px, side - reach_px)) for v, side in zip((x, y), canvas.shape[1::-1], strict=True))
    around = canvas[y - reach_px : y + reach_px, x - reach_px : x + reach_px]
    return np.asarray(cv2.resize(around, CELL_WH, interpolation=cv2.INTER_AREA), dtype=np.uint8)


if __name__ == "__main__":
    main()
