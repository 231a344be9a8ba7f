"""MediaPipe's two pose models one by one: people in a part of a picture, and the landmarks of one person in a circle.

The Tasks API runs them as one graph, which cannot be told where to look. Its parts are graphs of their own in the same
wheel; `min_detection_confidence` of the landmark graph is what PoseLandmarker calls presence.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import mediapipe as mp
import numpy as np
import numpy.typing as npt
from mediapipe.framework import calculator_pb2
from mediapipe.framework.formats.rect_pb2 import NormalizedRect
from mediapipe.python import packet_creator, packet_getter
from mediapipe.python._framework_bindings import task_runner
from mediapipe.tasks.cc.vision.pose_detector.proto.pose_detector_graph_options_pb2 import PoseDetectorGraphOptions
from mediapipe.tasks.cc.vision.pose_landmarker.proto.pose_landmarks_detector_graph_options_pb2 import (
    PoseLandmarksDetectorGraphOptions,
)

from configs import schema
from lifter.skeleton import MEDIAPIPE33
from nodes.detect.follow import Found, Window

F64 = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

ENLARGED = 1.25  # MediaPipe's crop is so much larger than the person's circle
SEARCHED_PX = 448  # longer side of what is searched; the person model sees 224 of it
MOST_PEOPLE = 4  # in one search
GREY = (127, 127, 127)
HIDDEN = 0.25  # of the confidence is left to a joint behind somebody: MediaPipe is as sure of what it makes up
LIMB_WIDTH = 0.16  # of the circle's radius: clothes and all
TORSO = [MEDIAPIPE33.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]


class Models:
    """Both models of a .task bundle."""

    def __init__(self, bundle: Path, settings: schema.Detector) -> None:
        with zipfile.ZipFile(bundle) as parts:
            finder, landmarks = parts.read("pose_detector.tflite"), parts.read("pose_landmarks_detector.tflite")
        self.finder = _finder(finder, settings.min_detection_confidence)
        self.landmarks = _landmarks(landmarks, settings.min_tracking_confidence)

    def close(self) -> None:
        self.finder.close()
        self.landmarks.close()


class Look:
    """One picture, looked at part by part. image_rgb: (H, W, 3) uint8, contiguous."""

    def __init__(self, models: Models, image_rgb: Image) -> None:
        self._models = models
        self._image_rgb = image_rgb
        self._image = mp.Image(image_format=mp.ImageFormat.SRGB, data=image_rgb)
        self.size_wh = (image_rgb.shape[1], image_rgb.shape[0])

    def person_at(self, circle: F64, before: Sequence[Found]) -> Found | None:
        """The landmarks of the person in the circle; None when MediaPipe sees nobody there.

        before: people in front of that one, who are painted over; joints under the paint are guesses.
        """
        width, height = self.size_wh
        side = 2 * ENLARGED * circle[2]
        rect = NormalizedRect(
            x_center=(circle[0] + 0.5) / width,
            y_center=(circle[1] + 0.5) / height,
            width=side / width,
            height=side / height,
            rotation=circle[3],
        )
        image = self._without(before) if before else self._image
        inputs = {"image": packet_creator.create_image(image), "rect": packet_creator.create_proto(rect)}
        out = self._models.landmarks.process(inputs)
        if out["landmarks"].is_empty() or out["next"].is_empty():
            return None
        marks = packet_getter.get_proto(out["landmarks"]).landmark
        values = np.array([(mark.x, mark.y, mark.visibility) for mark in marks], dtype=np.float32)
        keypoints_px = pixels(values[:, :2], self.size_wh)
        hidden = _under(before, keypoints_px, self.size_wh)
        return Found(
            keypoints_px=keypoints_px,
            confidence=np.where(hidden, HIDDEN, 1).astype(np.float32) * np.clip(values[:, 2], 0.0, 1.0),
            presence=packet_getter.get_float(out["presence"]),
            circle=_circle(packet_getter.get_proto(out["next"]), self.size_wh),
        )

    def _without(self, people: Sequence[Found]) -> mp.Image:
        """The picture with these people painted over."""
        image_rgb = self._image_rgb.copy()
        for found in people:
            _paint_over(image_rgb, found.keypoints_px, found.circle[2])
        return mp.Image(image_format=mp.ImageFormat.SRGB, data=image_rgb)

    def people_in(self, window: Window, known: Sequence[Found]) -> F64:
        """Circles of people in the window, surest first; who is known is painted over, so that others stand out."""
        left, top, width, height = window
        scale = min(1.0, SEARCHED_PX / max(width, height))
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        part = self._image_rgb[top : top + height, left : left + width]
        part = cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA) if scale < 1.0 else part.copy()
        for found in known:
            _paint_over(part, (found.keypoints_px - (left, top)) * scale, found.circle[2] * scale)
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(part))
        whole = NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0)
        inputs = {"image": packet_creator.create_image(image), "rect": packet_creator.create_proto(whole)}
        rects = self._models.finder.process(inputs)["rects"]
        found_rects = [] if rects.is_empty() else packet_getter.get_proto_list(rects)
        circles = np.array([_circle(rect, size_wh) for rect in found_rects], dtype=np.float64).reshape(-1, 4)
        circles[:, :3] /= scale
        circles[:, :2] += (left, top)
        return circles


def pixels(normalised: npt.NDArray[np.float32], size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Pixels (…, 2) of MediaPipe's coordinates, which are 0 at the left edge of the left pixel; ours at its centre."""
    return normalised * np.array(size_wh, dtype=np.float32) - np.float32(0.5)


def _circle(rect: NormalizedRect, size_wh: tuple[int, int]) -> F64:
    width, height = size_wh
    radius = rect.width * width / (2 * ENLARGED)
    return np.array([rect.x_center * width - 0.5, rect.y_center * height - 0.5, radius, rect.rotation])


def _paint_over(image: Image, keypoints_px: npt.NDArray[np.float32], radius_px: float) -> None:
    """Draw a grey figure over a person."""
    joints = np.clip(keypoints_px, -10_000, 10_000).round().astype(np.int32)
    width = max(1, round(LIMB_WIDTH * radius_px))
    for parent, child in MEDIAPIPE33.bones:
        cv2.line(image, joints[parent].tolist(), joints[child].tolist(), GREY, width)
    cv2.fillConvexPoly(image, cv2.convexHull(joints[TORSO]), GREY)
    cv2.circle(image, joints[0].tolist(), width, GREY, cv2.FILLED)


def _under(
    people: Sequence[Found], keypoints_px: npt.NDArray[np.float32], size_wh: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """(J,): which joints in the picture lie behind these people."""
    width, height = size_wh
    figure = np.zeros((height, width, 3) if people else (1, 1, 3), dtype=np.uint8)
    for found in people:
        _paint_over(figure, found.keypoints_px, found.circle[2])
    x, y = np.clip(keypoints_px.round(), 0, np.array(figure.shape[1::-1]) - 1).astype(np.intp).T
    return np.asarray(figure[y, x, 0] > 0)


def _finder(model: bytes, min_confidence: float) -> task_runner.TaskRunner:
    graph = _graph("mediapipe.tasks.vision.pose_detector.PoseDetectorGraph", EXPANDED_POSE_RECTS="rects")
    options = graph.node[0].options.Extensions[PoseDetectorGraphOptions.ext]
    options.base_options.model_asset.file_content = model
    options.min_detection_confidence = min_confidence
    options.num_poses = MOST_PEOPLE
    return task_runner.TaskRunner.create(graph, None)


def _landmarks(model: bytes, min_presence: float) -> task_runner.TaskRunner:
    graph = _graph(
        "mediapipe.tasks.vision.pose_landmarker.SinglePoseLandmarksDetectorGraph",
        LANDMARKS="landmarks",
        PRESENCE_SCORE="presence",
        POSE_RECT_NEXT_FRAME="next",
    )
    options = graph.node[0].options.Extensions[PoseLandmarksDetectorGraphOptions.ext]
    options.base_options.model_asset.file_content = model
    options.min_detection_confidence = min_presence
    return task_runner.TaskRunner.create(graph, None)


def _graph(calculator: str, **outputs: str) -> calculator_pb2.CalculatorGraphConfig:
    """A graph of one node: one picture and one rectangle in, these streams out."""
    graph = calculator_pb2.CalculatorGraphConfig()
    node = graph.node.add()
    node.calculator = calculator
    node.input_stream.extend(["IMAGE:image", "NORM_RECT:rect"])
    node.output_stream.extend(f"{tag}:{name}" for tag, name in outputs.items())
    graph.input_stream.extend(["image", "rect"])
    graph.output_stream.extend(outputs.values())
    return graph
