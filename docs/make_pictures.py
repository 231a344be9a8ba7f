"""The pictures of README and docs: `python docs/make_pictures.py` makes `docs/demo.gif` and `docs/terminal.svg`.

demo.gif: the demo's clips through the detector and the fusion of the live system, no frame dropped; the error in it is
measured against the demo's truth on the very poses shown. terminal.svg: the status table of a real run of
`run_system.py demo` on this machine, with the figures it had then. All drawing is RGB, at twice the size.
"""

import io
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ports import free_port_pair
from calibration import rigid
from calibration.rig import Camera, CameraRig
from calibration.rig_file import load_rig
from configs.load import load_config
from configs.schema import Config, VideoSource
from lifter.skeleton import MEDIAPIPE33
from nodes.commands.live import demo_config
from nodes.detect.opening import open_detector
from nodes.sources.video_file import VideoFile
from nodes.stages.pipeline import FusionPipeline
from nodes.system.live import LiveRun
from nodes.system.prepare import prepare
from nodes.system.process_table import expand
from nodes.system.status_table import PlainLines, render
from nodes.watching.accuracy import Accuracy, load_truth
from nodes.watching.monitor import Monitor, Status
from nodes.wire.messages import Keypoints2D, Origin, Pose3D
from run_system import TABLE

F64 = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

DOCS = Path(__file__).resolve().parent
START_NS = 10**18  # any instant: poses depend on differences alone
FRAME_NS = 40_000_000  # the clips' 25 Hz
END_FRAME, STEP = 244, 2
SHOWN = range(94, END_FRAME, STEP)  # reach and crouch; it ends as it begins, so that the loop has no jump

SCALE = 2  # drawn so much larger, then reduced: smooth edges
CELL_WH, ROOM_WH, GAP_PX = (168, 224), (612, 452), 4
BACKGROUND, GRID, METAL, TEXT = (20, 24, 32), (58, 68, 86), (150, 164, 190), (236, 240, 246)
LEFT, RIGHT, MIDDLE, RIM = (255, 146, 43), (51, 206, 255), (240, 240, 240), (14, 17, 22)
STILL = 9  # grey levels: less than this off the clip's median is noise of the empty room, and costs bytes

JOINTS, MIRROR = MEDIAPIPE33.joints, MEDIAPIPE33.mirror
NECK, HEAD = len(JOINTS), len(JOINTS) + 1  # drawn besides: middle of shoulders, middle of ears
HIPS = (JOINTS.index("left_hip"), JOINTS.index("right_hip"))
COLOURS = {
    (parent, child): MIDDLE if MIRROR[parent] == child else LEFT if JOINTS[child].startswith("left") else RIGHT
    for parent, child in (*MEDIAPIPE33.bones, HIPS)
} | {(NECK, HEAD): MIDDLE}
BALL = (HEAD, HEAD)  # a bone without length
THIN = {*range(11), *range(17, 23), HEAD}  # face, fingers, neck


def main() -> None:
    """Make all pictures."""
    config = load_config(demo_config())
    rig = load_rig(config.calibration).select(tuple(config.cameras))
    poses, pictures = film(config, rig)
    assert config.truth is not None
    accuracy = Accuracy(load_truth(config.truth))  # of the twelve limb joints, nothing aligned
    for pose in poses:
        accuracy.feed(pose, START_NS)
    caption = f"error {accuracy.mpjpe_mm:.0f} mm  ·  {len(rig.cameras)} cameras  ·  no GPU"
    write_gif(compose(rig, poses, pictures, caption), DOCS / "demo.gif")
    print(f"demo.gif: {len(poses)} pictures, {(DOCS / 'demo.gif').stat().st_size / 1e6:.2f} MB, {caption}")
    write_terminal(DOCS / "terminal.svg")


def film(config: Config, rig: CameraRig) -> tuple[list[Pose3D], list[list[Picture]]]:
    """The clips through detector and fusion; poses and each camera's pictures of the moments that are shown."""
    rate = config.fusion.synchroniser.model_copy(update={"rate_hz": 1e9 / FRAME_NS})  # a tick for every frame
    pipeline = FusionPipeline(rig, rig.names, config.fusion.model_copy(update={"synchroniser": rate}), MEDIAPIPE33)
    seen = [list(watch(config, name)) for name in rig.names]
    messages = (camera[number][0] for number in range(END_FRAME) for camera in seen)
    poses = {pose.captured_ns: pose for message in messages for pose in pipeline.push(message)}
    shown_ns = [START_NS + number * FRAME_NS for number in SHOWN]
    return [poses[moment_ns] for moment_ns in shown_ns], [[camera[number][1] for number in SHOWN] for camera in seen]


def watch(config: Config, name: str) -> Iterator[tuple[Keypoints2D, Picture]]:
    """Keypoints and picture of one camera, frame by frame; the picture is empty where it is not shown."""
    source = config.cameras[name]
    assert isinstance(source, VideoSource)
    clip, detector = VideoFile(source.path, "pipeline", loop=True, start_ns=START_NS), open_detector(config.detector)
    while (frame := clip.read()) is not None and frame.frame_id < END_FRAME:
        found = detector.detect(frame)
        keypoints = Keypoints2D(
            captured_ns=frame.captured_ns,
            published_ns=frame.captured_ns + FRAME_NS,
            source=name,
            seq=frame.frame_id,
            skeleton=detector.skeleton,
            size_wh=clip.granted.size_wh,
            keypoints_px=found.keypoints_px,
            confidence=found.confidence,
        )
        yield keypoints, frame.image_rgb[: None if frame.frame_id in SHOWN else 0]
    clip.close()
    detector.close()


def compose(rig: CameraRig, poses: list[Pose3D], pictures: list[list[Picture]], caption: str) -> Iterator[Image.Image]:
    """The finished pictures: four views on the left, the room on the right, the eye swaying once."""
    bodies_m = [body_of(pose) for pose in poses]
    columns = [views(*column, bodies_m) for column in zip(rig.cameras, pictures, strict=True)]
    azimuths_deg = 217 + 5 * np.sin(np.linspace(0, 2 * np.pi, len(poses), endpoint=False))
    for joints_m, azimuth_deg, *cells in zip(bodies_m, azimuths_deg, *columns, strict=True):
        yield arrange(cells, draw_room(rig, joints_m, eye_at(azimuth_deg)), rig.names, caption)


def body_of(pose: Pose3D) -> F64:
    """Joints (35, 3) of the person with NECK and HEAD, world metres; NaN where absent."""
    person = pose.people[0]
    joints_m = np.where((person.origin == Origin.ABSENT)[:, None], np.nan, person.joints_m.astype(np.float64))
    pairs = [[JOINTS.index(f"{side}_{part}") for side in ("left", "right")] for part in ("shoulder", "ear")]
    return np.vstack([joints_m, joints_m[pairs].mean(axis=1)])


def views(camera: Camera, pictures: list[Picture], bodies_m: list[F64]) -> Iterator[Picture]:
    """The camera's pictures with the reprojected skeleton, cut out around where the person goes."""
    empty_room = np.median(pictures[::4], axis=0)
    seen_px, cell_px = camera.project(np.array(bodies_m)), SCALE * np.array(CELL_WH)
    middle_px = (np.nanmin(seen_px, axis=(0, 1)) + np.nanmax(seen_px, axis=(0, 1))) / 2
    left, top = np.clip(middle_px - cell_px / 2, 0, np.array(camera.size_wh) - cell_px).astype(int)
    for picture, joints_m in zip(pictures, bodies_m, strict=True):
        still = np.abs(picture - empty_room).max(axis=2, keepdims=True) < STILL
        canvas = np.where(still, empty_room, picture).astype(np.uint8)
        draw_body(canvas, camera, joints_m, width_m=0.032, fade=0.0, ball_m=0.0)
        yield canvas[top : top + cell_px[1], left : left + cell_px[0]]


def draw_body(canvas: Picture, camera: Camera, joints_m: F64, width_m: float, fade: float, ball_m: float) -> None:
    """Bones as tubes and the head as a ball, the far ones first and darker by up to `fade`; absent joints have none."""
    joints_px = camera.project(joints_m)
    depth_m = rigid.transform(camera.T_cam_world, joints_m)[:, 2]
    widths_m = {link: width_m / 2 if link[1] in THIN else width_m for link in COLOURS} | {BALL: ball_m}
    links = [link for link, width in widths_m.items() if width > 0 and np.isfinite(joints_px[[*link]]).all()]
    for link in sorted(links, key=lambda link: -depth_m[[*link]].mean()):
        link_depth_m, ends_px = depth_m[[*link]].mean(), joints_px[[*link]]
        light = 1.0 - fade * (link_depth_m - np.nanmin(depth_m)) / np.nanmax(depth_m - np.nanmin(depth_m))
        width_px, colour = camera.K[0, 0] * widths_m[link] / link_depth_m, COLOURS.get(link, MIDDLE)
        draw_line(canvas, ends_px, RIM, width_px + 2 * SCALE)
        draw_line(canvas, ends_px, mix(RIM, colour, light), width_px)
        draw_line(canvas, ends_px - width_px / 6, mix(RIM, mix(colour, MIDDLE, 0.45), light), width_px / 3)


def draw_line(canvas: Picture, ends_px: F64, colour: Colour | int, width_px: float) -> None:
    """A line with round ends between two points (2, 2), placed to a fraction of a pixel."""
    begin, end = np.rint(ends_px * 16).astype(int).tolist()
    cv2.line(canvas, begin, end, colour, max(1, round(width_px)), cv2.LINE_AA, shift=4)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the other colour."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def eye_at(azimuth_deg: float) -> Camera:
    """Who looks at the room, from 13 m: far enough for near and far cameras to look alike."""
    azimuth, elevation, target_m = np.radians(azimuth_deg), np.radians(17.0), np.array([0.24, -0.32, 0.85])
    direction = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    T_world_cam = rigid.look_at(target_m + 13.0 * np.array(direction), target_m)
    (width, height), focal_px = (SCALE * side for side in ROOM_WH), SCALE * 1150.0
    K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    return Camera("eye", (width, height), K, np.zeros(5), rigid.inverse(T_world_cam))


def draw_room(rig: CameraRig, joints_m: F64, eye: Camera) -> Picture:
    """The person among the cameras, on a grid of metres that fades out."""
    canvas = np.full((eye.size_wh[1], eye.size_wh[0], 3), BACKGROUND, dtype=np.uint8)
    for line, begin in itertools.product(np.arange(-4.0, 4.1), np.arange(-4.0, 4.0, 0.25)):
        light = float(np.clip(1.25 - np.hypot(line, begin + 0.125) / 3.8, 0, 1))
        ends_m = np.array([[line, begin, 0.0], [line, begin + 0.25, 0.0]])
        for ends_px in (eye.project(ends_m), eye.project(ends_m[:, [1, 0, 2]])):
            draw_line(canvas, ends_px, mix(BACKGROUND, GRID, light), SCALE)
    draw_shadow(canvas, eye, joints_m)
    for camera in rig.cameras:
        draw_frustum(canvas, eye, camera)
    draw_body(canvas, eye, joints_m, width_m=0.055, fade=0.4, ball_m=0.176)
    return canvas


def draw_shadow(canvas: Picture, eye: Camera, joints_m: F64) -> None:
    """What a lamp straight above would cast."""
    mask = np.zeros(canvas.shape[:2], dtype=np.uint8)
    floor_px = eye.project(joints_m * [1.0, 1.0, 0.0])
    for link in COLOURS:
        if np.isfinite(floor_px[[*link]]).all():
            draw_line(mask, floor_px[[*link]], 255, 9 * SCALE)
    canvas[:] = canvas * (1 - 0.75 * cv2.GaussianBlur(mask, (0, 0), 3 * SCALE)[..., None] / 255)


def draw_frustum(canvas: Picture, eye: Camera, camera: Camera) -> None:
    """A camera as the pyramid that it sees, half a metre of it, on a pole."""
    width, height = camera.size_wh
    corners_px = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    corners_m = rigid.transform(camera.T_world_cam, 0.55 * corners_px @ np.linalg.inv(camera.K).T)
    place_m = camera.T_world_cam[:3, 3]
    draw_line(canvas, eye.project(np.array([place_m, place_m * [1, 1, 0]])), mix(BACKGROUND, METAL, 0.4), SCALE)
    tip, corners = eye.project(place_m), eye.project(corners_m)
    glass = cv2.fillPoly(canvas.copy(), [np.rint(corners).astype(np.int32)], METAL, cv2.LINE_AA)
    canvas[:] = cv2.addWeighted(glass, 0.2, canvas, 0.8, 0)
    for ends_px in (*zip(corners, [tip] * 4, strict=True), *zip(corners, np.roll(corners, 1, axis=0), strict=True)):
        draw_line(canvas, np.array(ends_px), METAL, 1.5 * SCALE)


def arrange(cells: list[Picture], room: Picture, names: tuple[str, ...], caption: str) -> Image.Image:
    """Everything in its place, reduced, with words."""
    (cell_w, cell_h), (room_w, room_h) = CELL_WH, ROOM_WH
    sheet = Image.new("RGB", (2 * (cell_w + GAP_PX) + room_w, room_h), BACKGROUND)
    ink, small, large = ImageDraw.Draw(sheet), ImageFont.load_default(14), ImageFont.load_default(19)
    for index, (cell, name) in enumerate(zip(cells, names, strict=True)):
        left, top = index % 2 * (cell_w + GAP_PX), index // 2 * (cell_h + GAP_PX)
        sheet.paste(Image.fromarray(cv2.resize(cell, CELL_WH, interpolation=cv2.INTER_AREA)), (left, top))
        ink.text((left + 8, top + 5), name, TEXT, small, stroke_width=2, stroke_fill=RIM)
    sheet.paste(Image.fromarray(cv2.resize(room, ROOM_WH, interpolation=cv2.INTER_AREA)), (sheet.width - room_w, 0))
    ink.text((sheet.width - room_w // 2, room_h - 18), caption, TEXT, large, anchor="ms")
    return sheet


def write_gif(composed: Iterator[Image.Image], path: Path) -> None:
    """One palette for all and no dithering, so that what does not change costs nothing."""
    pictures = list(composed)
    sample = Image.fromarray(np.vstack([np.asarray(picture) for picture in pictures[::8]]))
    palette = sample.quantize(152, Image.Quantize.MEDIANCUT, kmeans=2)
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    # `optimize` makes unchanged pixels transparent
    first.save(path, append_images=others, save_all=True, duration=STEP * FRAME_NS // 10**6, loop=0, optimize=True)


class LastStatus(PlainLines):
    """Keeps what it was shown last while all cameras streamed."""

    shown: tuple[Status, float] | None = None

    def __enter__(self) -> Self:
        return self

    def show(self, status: Status, seconds: float) -> None:
        if all(camera.state == "streaming" for camera in status.cameras):
            self.shown = status, seconds


def write_terminal(path: Path) -> None:
    """The status table at the end of a real run."""
    prepared, screen = prepare(demo_config(), free_port_pair(), None), LastStatus()
    monitor = Monitor(prepared.setup.cameras, prepared.truth)
    LiveRun(expand(TABLE, prepared.setup), monitor, prepared.hub, seconds=20).run(screen)
    assert screen.shown is not None, "the cameras never streamed all at once: the lines above say why"
    console = Console(record=True, width=64, file=io.StringIO(), force_terminal=True)
    console.print("[bold green]$[/] python run_system.py", render(*screen.shown), sep="\n")
    svg = console.export_svg(title="livepose3d", font_aspect_ratio=0.6)
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")  # would be fetched


if __name__ == "__main__":
    main()
