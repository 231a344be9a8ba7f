"""Settings of a lifter's training: what `configs/lifter/*.yaml` may say, with units and defaults."""

from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from configs.training_data import Recordings

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Range = tuple[NonNegativeFloat, NonNegativeFloat]


class Strict(pydantic.BaseModel):
    """Refuses unknown keys, and changes after reading."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Model(Strict):
    """The network."""

    kind: Literal["frame", "sequence"] = "frame"
    width: PositiveInt = 512
    blocks: PositiveInt = Field(2, description="residual blocks of the frame model")
    dilations: tuple[PositiveInt, ...] = Field((1, 2, 4, 8, 16), description="frames that sequence layers look back")
    dropout: Share = 0.0
    head: Literal["rays", "joints"] = Field("rays", description="depths along rays (ours), or plain 3J coordinates")


class Bodies(Strict):
    """How bodies and postures are varied, so that the network meets more than the subjects that were recorded."""

    stature: NonNegativeFloat = Field(0.06, description="standard deviation of the body's overall size, as a share")
    bones: NonNegativeFloat = Field(0.04, description="the same for each bone (both sides alike)")
    mirrored: Share = Field(0.5, description="share of mirrored bodies")
    legs_of_another: Share = Field(0.5, description="share of bodies with the legs of another frame")
    arms_of_another: Share = Field(0.5, description="share of arms that are taken from another frame")
    tilted: Share = Field(0.1, description="share of bodies that are turned over, by up to about tilt_deg")
    tilt_deg: NonNegativeFloat = 30.0
    bent: Share = Field(0.0, description="share of limb segments that are turned about their joint, by about bend_deg")
    bend_deg: NonNegativeFloat = 20.0


class Rigs(Strict):
    """Cameras all around a person, looking at it; a new rig for every sample."""

    cameras: PositiveInt = 4
    distance_m: Range = (3.0, 6.0)
    height_m: Range = (1.0, 3.0)
    focal_px: PositiveFloat = 1100.0
    unknown_tilt: Share = Field(0.0, description="share of samples in which the cameras' tilt is not told")


class Faults(Strict):
    """What a detector does to the truth.

    Some views have Gaussian noise alone, at confidence 1. The others err as a detector does (figures measured with
    MediaPipe on the virtual actor, see docs/lifter.md): arms and legs are unsure for a while, with low confidence and
    large errors, errors last, and joints are missing.
    """

    noise_px: Range = Field((3.0, 3.0), description="standard deviation in the views with noise alone, drawn per view")
    detector: Share = Field(0.0, description="share of views that err as a detector does")
    detector_px: Range = Field((2.0, 6.0), description="their standard deviation at full confidence, drawn per view")
    arms_unsure: Share = Field(0.25, description="in them, share of the time that an arm is unsure")
    legs_unsure: Share = Field(0.12, description="in them, share of the time that a leg is unsure")
    missing: Share = Field(0.02, description="in them, share of joints that are absent")
    legs_hidden: Share = Field(0.06, description="of them, share that do not show the legs")
    outliers: Share = Field(0.0, description="share of joints that are somewhere else, at full confidence")
    outlier_px: NonNegativeFloat = 60.0


class Motion(Strict):
    """Captured motion (files in the layout of `lifter.datasets.motion_file`) projected into random rigs."""

    kind: Literal["motion"] = "motion"
    files: list[str] = Field(["cmu_motion.npz"], min_length=1, description="file-name patterns within the data folder")
    split: str | list[str] | None = Field(None, description="part or parts of splits.json beside the files; else all")
    bodies: Bodies = Bodies()
    rigs: Rigs = Rigs()
    faults: Faults = Faults()


class Triangulated(Strict):
    """Motion triangulated from recordings, without labels, and projected into random rigs as captured motion is."""

    kind: Literal["triangulated"] = "triangulated"
    recordings: Recordings
    bodies: Bodies = Bodies()
    rigs: Rigs = Rigs()
    faults: Faults = Faults()


Data = Annotated[Motion | Triangulated | Recordings, Field(discriminator="kind")]


class Training(Strict):
    """A whole training."""

    skeleton: str = "body17"
    seed: NonNegativeInt = 0
    model: Model = Model()
    train: Data
    validate_on: Data | None = Field(None, alias="validate", description="what is measured as the training goes on")
    way: Literal["supervised", "published", "label_free"] = "label_free"
    steps: PositiveInt | None = None
    epochs: PositiveInt | None = Field(None, description="in place of steps: passes over the data")
    frames_per_step: PositiveInt = Field(
        128, description="frames, each seen by all cameras; a window of L frames counts L"
    )
    window: PositiveInt = Field(1, description="consecutive frames per sample (the sequence model's length)")
    optimizer: Literal["adam", "adamw", "muon"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: NonNegativeFloat = 0.01
    clip_norm: PositiveFloat | None = Field(1.0, description="longest gradient, over all weights; null: any length")
    precision: Literal["fastest", "float32"] = Field("fastest", description="bfloat16 products where they are fast")
    dropout_until: Share = Field(
        1.0, description="share of the training after which dropout (and batch statistics) end"
    )
    validate_every: PositiveInt = 2000
    checkpoint_every: PositiveInt = 500

    @pydantic.model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    @pydantic.model_validator(mode="after")
    def _windows_fill_the_memory(self) -> Self:
        past = sum(self.model.dilations)
        if self.model.kind == "sequence" and self.window <= past:
            raise ValueError(
                f"window: {self.window} frames never fill the memory of a sequence model that looks back {past}; "
                f"set window={past + 1} or more, or smaller model.dilations"
            )
        return self
