"""Makes a MediaPipe `pose_landmarker` bundle (.task) out of the two models that the mediapipe wheel carries.

So nothing is downloaded. The Tasks API wants normalisation metadata inside the models, which the wheel's lack: detector
mean/std 127.5, landmarks 0/255 (the legacy graphs' own constants). First-frame landmarks equal the legacy API's.

The landmark model also draws a silhouette that nobody here looks at: a tenth of its multiplications, but on large
planes, so without it a person takes 11 ms instead of 19 (one core) and comes out the same to the last bit.
"""

import hashlib
import importlib.util
import os
import tempfile
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as tflite_schema

DETECTOR = "pose_detection/pose_detection.tflite"
LANDMARKS = "pose_landmark/pose_landmark_full.tflite"
SILHOUETTE_SHAPE = [1, 256, 256, 1]
RECIPE = "2"  # changes whenever bundles are made in another way, so that old ones in the cache are left alone


def bundle_path() -> Path:
    """The bundle's file in the user's cache, made on first use. Raises FileNotFoundError without the wheel's models."""
    models = wheel_models()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "livepose3d"
    stamps = [f"{model.stat().st_size} {model.stat().st_mtime_ns}" for model in models]
    key = hashlib.sha256("".join([*stamps, RECIPE]).encode()).hexdigest()
    path = cache / f"pose_landmarker_full_{key[:12]}.task"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        detector, landmarks = (model.read_bytes() for model in models)
        write_bundle(path, detector, _without_silhouette(landmarks))
    return path


def wheel_models() -> tuple[Path, Path]:
    """Files of the person detector and of the landmark model in the wheel. Raises FileNotFoundError without them."""
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise FileNotFoundError('mediapipe is not installed: pip install "livepose3d[camera]"')
    folder = Path(spec.origin).parent / "modules"
    for model in (folder / DETECTOR, folder / LANDMARKS):
        if not model.is_file():
            raise FileNotFoundError(f"{model} is missing: install mediapipe==0.10.21, the last that carries its models")
    return folder / DETECTOR, folder / LANDMARKS


def write_bundle(path: Path, detector: bytes, landmarks: bytes) -> None:
    """A bundle of these two models. Atomic: several camera nodes may start at once on a fresh machine."""
    parts = {
        "pose_detector.tflite": _with_metadata(detector, _metadata("pose_detector", 127.5, 127.5, (-1.0, 1.0), 2)),
        "pose_landmarks_detector.tflite": _with_metadata(
            landmarks, _metadata("pose_landmarks_detector", 0.0, 255.0, (0.0, 1.0), 5)
        ),
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as bundle:
        for name, model in parts.items():
            bundle.writestr(name, model)
    Path(temporary).replace(path)


def _metadata(name: str, mean: float, std: float, limits: tuple[float, float], n_outputs: int) -> bytes:
    """The metadata flatbuffer of a model with one RGB image as input."""
    image = metadata_schema.TensorMetadataT()
    image.name = "image"
    image.content = metadata_schema.ContentT()
    image.content.contentPropertiesType = metadata_schema.ContentProperties.ImageProperties
    image.content.contentProperties = metadata_schema.ImagePropertiesT()
    image.content.contentProperties.colorSpace = metadata_schema.ColorSpaceType.RGB
    normalisation = metadata_schema.ProcessUnitT()
    normalisation.optionsType = metadata_schema.ProcessUnitOptions.NormalizationOptions
    normalisation.options = metadata_schema.NormalizationOptionsT()
    normalisation.options.mean, normalisation.options.std = [mean], [std]
    image.processUnits = [normalisation]
    image.stats = metadata_schema.StatsT()
    image.stats.min, image.stats.max = [limits[0]], [limits[1]]
    graph = metadata_schema.SubGraphMetadataT()
    graph.inputTensorMetadata = [image]
    graph.outputTensorMetadata = [metadata_schema.TensorMetadataT() for _ in range(n_outputs)]
    model = metadata_schema.ModelMetadataT()
    model.name = name
    model.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())


def _without_silhouette(model: bytes) -> bytes:
    """The landmark model without what only the silhouette needs; in its place stands the second output again."""
    tree = tflite_schema.ModelT.InitFromObj(tflite_schema.Model.GetRootAsModel(bytearray(model), 0))
    graph = tree.subgraphs[0]
    graph.outputs = [
        graph.outputs[1] if list(graph.tensors[output].shape) == SILHOUETTE_SHAPE else output
        for output in graph.outputs
    ]
    makers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    needed: set[int] = set()
    open_tensors = list(graph.outputs)
    while open_tensors:
        maker = makers.get(open_tensors.pop())
        if maker is not None and id(maker) not in needed:
            needed.add(id(maker))
            open_tensors += list(maker.inputs)
    graph.operators = [operator for operator in graph.operators if id(operator) in needed]
    builder = flatbuffers.Builder(len(model) + 65536)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _with_metadata(model: bytes, metadata: bytes) -> bytes:
    """The TFLite model with the metadata as one more buffer."""
    tree = tflite_schema.ModelT.InitFromObj(tflite_schema.Model.GetRootAsModel(bytearray(model), 0))
    buffer = tflite_schema.BufferT()
    buffer.data = np.frombuffer(metadata, dtype=np.uint8)
    tree.buffers.append(buffer)
    entry = tflite_schema.MetadataT()
    entry.name = b"TFLITE_METADATA"
    entry.buffer = len(tree.buffers) - 1
    tree.metadata = [*(tree.metadata or []), entry]
    builder = flatbuffers.Builder(len(model) + 65536)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
