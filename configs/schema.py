"""Every knob of the live system, typed, with unit, default and range. Unknown keys stop the start.

Paths in a file are relative to that file. `load_config` returns them absolute.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
)

from configs.stream_url import checked_url

RESERVED_NAMES = (
    "hub",
    "fusion",
    "recorder",
    "replay",
    "viewer",
    "calibrator",
    "beside",
    "run_system",
)  # processes of the system itself


def _not_reserved(name: str) -> str:
    """Processes are told apart by name: a camera called hub would take its place."""
    if name in RESERVED_NAMES:
        raise ValueError(f"no camera may be called {name!r}: {', '.join(RESERVED_NAMES)} are names of our processes")
    return name


def _with_a_port(address: str) -> str:
    """libzmq itself would take port 99999 for 34463."""
    if not 0 < int(address.rpartition(":")[2]) < 65536:
        raise ValueError("the port must be from 1 to 65535, as in tcp://127.0.0.1:5555")
    return address


CameraName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="letters, digits, - and _"),
    AfterValidator(_not_reserved),
]
HubAddress = Annotated[str, Field(pattern=r"^tcp://.+:[0-9]+$"), AfterValidator(_with_a_port)]
SizeWh = Annotated[tuple[PositiveInt, PositiveInt], Field(description="width, height in pixels")]


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """A relative path is meant from the folder of the configuration file."""
    folder: Path = (info.context or {}).get("folder", Path())
    try:
        return (folder / path.expanduser()).resolve()
    except RuntimeError as error:  # ~somebody, who has no home here
        raise ValueError(str(error)) from error


FilePath = Annotated[Path, AfterValidator(_beside_the_file)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are faults, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False, allow_inf_nan=False)


class CameraSource(Section):
    """What every kind of camera has."""

    start: bool = Field(
        True, description="false: this camera's node is started by hand, perhaps on another machine; docs/running.md"
    )


LatencyMs = Annotated[
    NonNegativeFloat,
    Field(
        description="frames were captured so long before their time stamps; `calibrate` tells. docs/calibrate-rig.md"
    ),
]


class DeviceSource(CameraSource):
    """A USB or built-in camera."""

    source: Literal["device"]
    device: int | str = Field(description="/dev/video0, a stable /dev/v4l/by-id/… path, or an index")
    size_wh: SizeWh = (1280, 720)
    fps: PositiveFloat = 30.0
    pixel_format: str = Field("MJPG", pattern=r"^[A-Z0-9]{4}$", description="four letters; MJPG saves USB bandwidth")
    latency_ms: LatencyMs = 0.0


class StreamSource(CameraSource):
    """A network camera: rtsp://, http:// (MJPEG or MPEG-TS) and whatever FFmpeg opens."""

    source: Literal["stream"]
    url: Annotated[str, AfterValidator(checked_url)]
    transport: Literal["tcp", "udp"] = Field("tcp", description="RTSP only")
    timeout_s: PositiveFloat = Field(5.0, description="without a frame for so long, the stream counts as lost")
    latency_ms: LatencyMs = 0.0


class VideoSource(CameraSource):
    """A video file. `realtime` plays it as a camera would deliver it, dropping what comes too fast; `pipeline` hands
    over every frame, as fast as detection and fusion take them."""

    source: Literal["video"]
    path: FilePath
    pace: Literal["realtime", "pipeline"] = "realtime"
    loop: bool = False


class VirtualSource(CameraSource):
    """A rendered actor, seen by the camera of this name in the calibration."""

    source: Literal["virtual"]
    motion: str = "demo"
    fps: PositiveFloat = 15.0
    pace: Literal["realtime", "pipeline"] = "realtime"
    phase_ms: NonNegativeFloat = Field(0.0, description="this camera's frames come so much later than the others'")
    actors: int = Field(1, ge=1, le=10)
    occluders: int = Field(0, ge=0, le=20)
    noise: NonNegativeFloat = Field(2.0, description="sensor noise, grey levels (standard deviation)")
    seed: int = 0


Source = Annotated[DeviceSource | StreamSource | VideoSource | VirtualSource, Field(discriminator="source")]


class Hub(Section):
    """The one address of the system: nodes publish to `inner` and everybody subscribes to `outer`."""

    inner: HubAddress = "tcp://127.0.0.1:5555"
    outer: HubAddress = "tcp://127.0.0.1:5556"
    trust_network: bool = Field(False, description="listen beyond loopback, unencrypted: only on a network of your own")


class Detector(Section):
    """The 2D detector of the camera nodes."""

    SKELETON_OF: ClassVar = {"mediapipe": "mediapipe33"}

    kind: Literal["mediapipe"] = "mediapipe"
    task_file: FilePath | None = Field(
        None, description="a pose_landmarker .task bundle; default: the wheel's own models"
    )
    min_detection_confidence: float = Field(0.5, ge=0, le=1)
    min_tracking_confidence: float = Field(0.5, ge=0, le=1)
    feedback: bool = Field(True, description="look where fusion expects people; needed for several. docs/detection.md")
    search_every: PositiveInt = Field(
        6, description="frames: with feedback, how often to look for newcomers; each look costs about one person more"
    )

    @property
    def skeleton(self) -> str:
        """Name of the joint order that this detector speaks."""
        return self.SKELETON_OF[self.kind]


class Synchroniser(Section):
    """When a tick is fused. See nodes/stages/synchroniser.py."""

    rate_hz: float = Field(30.0, gt=0, le=240, description="ticks per second")
    deadline_ms: PositiveFloat | None = Field(
        250.0,
        description="no tick waits longer for a camera that is behind the others; null: wait for all, for recordings",
    )
    max_gap_ms: PositiveFloat = Field(300.0, description="frames farther apart than this are not interpolated between")


class Triangulation(Section):
    """See calibration/triangulate.py."""

    min_confidence: float = Field(0.3, ge=0, le=1, description="a joint less sure than this is not used in that view")
    detector_sigma_px: PositiveFloat = Field(
        3.0, description="least noise of a sure joint at 1000 px focal length; more is learnt from the views' agreement"
    )
    outlier_sigmas: PositiveFloat = Field(3.5, description="a view farther off than so many sigma is out-voted")


class Smoothing(Section):
    """See nodes/stages/smoothing.py."""

    kind: Literal["kalman", "one_euro", "none"] = "kalman"
    acceleration_m_s2: PositiveFloat = Field(
        10.0, description="kalman: how fast bones may change their speed (std), to begin with; learnt on the way"
    )
    min_cutoff_hz: PositiveFloat = Field(2.0, description="one_euro: cut-off at rest")
    beta: NonNegativeFloat = Field(20.0, description="one_euro: rise of the cut-off with speed, Hz per m/s")
    max_gap_ms: NonNegativeFloat = Field(
        250.0, description="an unseen person is carried on so long, marked as predicted"
    )


class People(Section):
    """See nodes/stages/lives.py."""

    forget_ms: NonNegativeFloat = Field(2000.0, description="who comes back within this time has the same id")
    max_sigma_m: PositiveFloat = Field(0.4, description="a joint that is known no better than this is absent")


class Drift(Section):
    """Cameras that move while the system runs. See docs/drift.md."""

    self_repair: bool = Field(
        False, description="estimate the pose of a camera that has moved anew, from the people seen, and use it again"
    )
    learn_s: float = Field(
        40.0, ge=5, le=3600, description="with somebody in view: what is usual is learnt so long first"
    )


class Fusion(Section):
    """The stages of the fusion node."""

    lift: bool = Field(True, description="let the lifter add what one view alone shows; false: geometry alone")
    synchroniser: Synchroniser = Synchroniser()
    triangulation: Triangulation = Triangulation()
    smoothing: Smoothing = Smoothing()
    people: People = People()
    drift: Drift = Drift()
    predict_to_now: bool = Field(
        False, description="publish beside each pose the people carried on to the moment of sending (topic pose_now)"
    )


class Preview(Section):
    """Small pictures on the bus; personal data, so off unless asked for."""

    enabled: bool = False
    rate_hz: PositiveFloat = 5.0
    width_px: int = Field(320, ge=64, le=1280)


class Viewer(Section):
    """The live page: docs/page.md."""

    host: str = Field("127.0.0.1", description="the page is there for browsers of this machine alone; docs/page.md")
    port: int = Field(8080, ge=1, le=65535)


class Calibrating(Section):
    """Calibration from the live page: docs/page-calibration.md."""

    board: FilePath | None = Field(
        None, description="the board file of `calibrate board`; null: the board it makes by default"
    )
    folder: FilePath = Field(Path("calibrations"), description="of the calibrations made from the page")


class Recording(Section):
    """Recordings of a live system: docs/sessions.md."""

    folder: FilePath = Field(
        Path("recordings"), description="of recordings that are asked for over the bus, and of their videos"
    )
    codec: Literal["h264", "mjpeg"] = Field("h264", description="of the videos; mjpeg: larger, less work")
    crf: int = Field(23, ge=0, le=51, description="h264: quality, lower is better and larger; 6 more halve the size")


class Config(Section):
    """A live system."""

    calibration: FilePath | None = Field(
        None, description="where the cameras stand; one camera alone can do without, its poses are relative to the hips"
    )
    cameras: dict[CameraName, Source] = Field(min_length=1, max_length=32)
    crop_offset_px: dict[CameraName, tuple[float, float]] = Field(
        {}, description="cameras whose picture is a crop of the calibrated one: where it begins in that"
    )
    hub: Hub = Hub()
    detector: Detector = Detector()
    fusion: Fusion = Fusion()
    preview: Preview = Preview()
    recording: Recording = Recording()
    viewer: Viewer = Viewer()
    calibrating: Calibrating = Calibrating()
    truth: FilePath | None = Field(None, description="exact 3D joints (.npz), for sources that have them")
    keypoints_only: bool = Field(
        False, description="no fusion, so that several cameras can do without calibration; `live --keypoints-only`"
    )

    def self_repairing(self) -> "Config":
        """The same with `fusion: drift: self_repair: true`."""
        drift = self.fusion.drift.model_copy(update={"self_repair": True})
        return self.model_copy(update={"fusion": self.fusion.model_copy(update={"drift": drift})})

    def previewing(self) -> "Config":
        """The same with `preview: enabled: true`."""
        return self.model_copy(update={"preview": self.preview.model_copy(update={"enabled": True})})

    def model_post_init(self, context: Any) -> None:
        """What no section sees by itself."""
        if self.calibration is None:
            self._refuse_without_calibration()
        for name in self.crop_offset_px:
            if name not in self.cameras:
                raise ValueError(f"crop_offset_px names {name!r}, which is not under cameras")
        for name, source in self.cameras.items():
            lossless = isinstance(source, VideoSource | VirtualSource) and source.pace == "pipeline"
            if lossless and self.fusion.synchroniser.deadline_ms is not None:
                raise ValueError(
                    f"cameras.{name}.pace is pipeline, which may run ahead of the clock, so frames would be refused as "
                    "captured in the future: set `deadline_ms: null` under fusion: synchroniser:, or `pace: realtime`"
                )

    def _refuse_without_calibration(self) -> None:
        """One camera alone can do without, where nothing else is meant from the room."""
        if len(self.cameras) > 1 and not self.keypoints_only:
            raise ValueError(
                f"calibration: missing, and there are {len(self.cameras)} cameras ({', '.join(self.cameras)}): "
                "together they need a calibration file, `calibration: rig.toml`; only a single camera can do without. "
                "run_system.py calibrate makes one, and so does the page of `live --keypoints-only`, which goes without"
            )
        for key, given in (("truth", self.truth), ("crop_offset_px", self.crop_offset_px)):
            if given:
                raise ValueError(
                    f"{key} means places in a calibrated room: add `calibration: rig.toml`, or remove {key}"
                )
        if any(isinstance(source, VirtualSource) for source in self.cameras.values()):
            raise ValueError("a virtual camera is built from its calibration: add `calibration: rig.toml`")
        if not self.fusion.lift:
            raise ValueError("without calibration all depth comes from the lifter: remove `lift: false` under fusion:")
