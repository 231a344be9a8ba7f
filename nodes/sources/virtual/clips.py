"""A set of clips on disk: one mp4 per camera, rig.toml, truth.npz in the neutral format, config.yaml to play them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import yaml

from calibration.rig import CameraRig
from calibration.rig_file import save_rig
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic_body import SYNTHETIC_JOINTS
from nodes.sources.source import Frame
from nodes.sources.virtual.scene import Scene
from nodes.sources.virtual.source import VirtualCamera

Floats = npt.NDArray[np.float64]

PTS_PER_S = 90_000  # the usual video clock: whole numbers for 25, 30 and 30000/1001 frames a second
FINE_HZ = 100
KEY_EVERY_S = 2  # seconds between key frames, so that players can seek


@dataclass(frozen=True)
class ClipSet:
    """What is to be filmed: the scene by the rig, `seconds` long, camera c phase_s[c] later than the common clock."""

    scene: Scene
    rig: CameraRig
    fps: Fraction
    seconds: float
    phase_s: tuple[float, ...]
    crf: int = 23
    keypoint_noise_px: float = 0.0

    @property
    def n_frames(self) -> int:
        return max(1, math.floor(self.seconds * self.fps + 1e-6))

    @property
    def loops(self) -> bool:
        """Whether the clip's end leads on to its beginning."""
        loop_s = self.scene.loop_s
        whole = Fraction(self.n_frames) / self.fps
        return loop_s is not None and abs(float(whole) / loop_s - round(float(whole) / loop_s)) < 1e-6


def write_clips(clips: ClipSet, folder: Path, progress: Callable[[str], None] = lambda _name: None) -> None:
    """Render everything into the folder; `progress` is called with the camera's name after each frame."""
    folder.mkdir(parents=True, exist_ok=True)
    save_rig(clips.rig, folder / "rig.toml")
    np.savez_compressed(folder / "truth.npz", **truth(clips))
    (folder / "config.yaml").write_text(_config(clips))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # the renderer lets go of the interpreter's lock
        done = [pool.submit(_write_clip, clips, index, folder, progress) for index in range(len(clips.rig.cameras))]
        for future in done:
            future.result()


def _write_clip(clips: ClipSet, index: int, folder: Path, progress: Callable[[str], None]) -> None:
    camera = clips.rig.cameras[index]
    partial = folder / f"{camera.name}.part.mp4"
    with av.open(str(partial), "w") as container:
        stream = _video_stream(container, clips, camera.size_wh)
        for frame in _frames(clips, index):
            picture = av.VideoFrame.from_ndarray(frame.image_rgb, format="rgb24")
            picture.pts = round((Fraction(frame.frame_id) / clips.fps + Fraction(clips.phase_s[index])) * PTS_PER_S)
            picture.time_base = Fraction(1, PTS_PER_S)
            container.mux(stream.encode(picture))
            progress(camera.name)
        container.mux(stream.encode(None))
    partial.replace(folder / f"{camera.name}.mp4")


def _frames(clips: ClipSet, index: int) -> Iterator[Frame]:
    source = VirtualCamera(clips.scene, clips.rig.cameras[index], float(clips.fps), clips.phase_s[index],
                           pace="pipeline", frames=clips.n_frames)  # fmt: skip
    while (frame := source.read()) is not None:
        yield frame


def _video_stream(container: Any, clips: ClipSet, size_wh: tuple[int, int]) -> Any:
    has_x264 = "libx264" in av.codecs_available
    stream = container.add_stream("libx264" if has_x264 else "mpeg4", rate=clips.fps)
    stream.width, stream.height = size_wh
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, PTS_PER_S)
    stream.codec_context.gop_size = round(KEY_EVERY_S * clips.fps)
    stream.codec_context.thread_count = 1  # the cameras are encoded side by side; and the bytes are repeatable
    if has_x264:
        stream.options = {"crf": str(clips.crf), "preset": "slow", "bf": "0"}  # no reordering: what is read is shown
    else:
        stream.bit_rate = 2_000_000
    return stream


def truth(clips: ClipSet) -> dict[str, Any]:
    """The arrays of truth.npz: the neutral multi-view format, and the motion on a fine grid to interpolate in.

    frames (T,) and gt3d (T,P,Jg,3) are on the common clock, from 0 at k / fps; frame_time (T,C) has the phases in it
    and keypoints2d (T,C,P,33,3) is the truth seen at those times. gt_time (Tg,), gt3d_fine (Tg,P,Jg,3) go on to the
    last camera's last frame, and to the end of the loop (`loop_s`) where there is one.
    """
    scene, cameras = clips.scene, clips.rig.cameras
    dist = np.stack([camera.dist8 for camera in cameras])
    clock_s = np.arange(clips.n_frames) / float(clips.fps)
    frame_time = clock_s[:, None] + np.array(clips.phase_s)
    end_s = max(float(frame_time.max()), float(Fraction(clips.n_frames) / clips.fps))
    gt_time = np.arange(math.ceil(end_s * FINE_HZ) + 1) / FINE_HZ
    arrays = {
        "cameras": np.array(clips.rig.names),
        "K": np.stack([camera.K for camera in cameras]),
        "dist": dist if dist[:, 5:].any() else dist[:, :5],
        "R": np.stack([camera.T_cam_world[:3, :3] for camera in cameras]),
        "t": np.stack([camera.T_cam_world[:3, 3] for camera in cameras]),
        "image_size": np.array([camera.size_wh for camera in cameras]),
        "fps": float(clips.fps),
        "joints": np.array(MEDIAPIPE33.joints),
        "keypoints2d": _keypoints(clips, frame_time),
        "person_id_2d": True,
        "gt_joints": np.array(SYNTHETIC_JOINTS),
        "gt3d": scene.joints_at(clock_s).astype(np.float32),
        "frames": np.arange(clips.n_frames),
        "frame_time": frame_time,
        "gt_time": gt_time,
        "gt3d_fine": scene.joints_at(gt_time).astype(np.float32),
        "meta": json.dumps({
            "source": "python -m nodes.sources.virtual", "licence": "MIT", "seed": scene.seed,
            "motions": [actor.motion.name for actor in scene.actors],
            "notes": "gt3d is exact; keypoints2d is its projection at frame_time, hidden joints included",
        }),
    }  # fmt: skip
    if any(camera.lens == "fisheye" for camera in cameras):
        arrays["lens"] = np.array([camera.lens for camera in cameras])
    if clips.loops and scene.loop_s is not None:
        arrays["loop_s"] = scene.loop_s
    if scene.board is not None:
        arrays["T_world_board"] = np.array([[scene.board.T_world_board(t) for t in row] for row in frame_time])
        arrays["board_points"] = scene.board.corners_m()
    return arrays


def _keypoints(clips: ClipSet, frame_time: Floats) -> npt.NDArray[np.float32]:
    """The 33 landmarks (T,C,P,33,3) as a perfect detector would see them; NaN and confidence 0 outside the picture."""
    views = []
    rng = np.random.default_rng([clips.scene.seed, 2])
    for c, camera in enumerate(clips.rig.cameras):
        joints_m = clips.scene.joints_at(frame_time[:, c])[:, :, : len(MEDIAPIPE33.joints)]
        px = camera.project(joints_m) + clips.keypoint_noise_px * rng.standard_normal((*joints_m.shape[:-1], 2))
        seen = np.all((px >= -0.5) & (px < np.array(camera.size_wh) - 0.5), axis=-1, keepdims=True)
        views.append(np.concatenate([np.where(seen, px, np.nan), seen.astype(np.float64)], axis=-1))
    return np.asarray(np.stack(views, axis=1), dtype=np.float32)


def _config(clips: ClipSet) -> str:
    cameras = {
        name: {"source": "video", "path": f"{name}.mp4", "pace": "realtime", "loop": clips.loops}
        for name in clips.rig.names
    }
    document = {"calibration": "rig.toml", "cameras": cameras, "truth": "truth.npz"}
    return "# Made by python -m nodes.sources.virtual; paths are relative to this file.\n" + yaml.safe_dump(
        document, sort_keys=False
    )
