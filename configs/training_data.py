"""Which recordings a lifter learns from or is measured on."""

from typing import Literal, Self

import pydantic
from pydantic import Field, PositiveInt


class Recordings(pydantic.BaseModel):
    """A selection of recorded multi-view 2D poses, by file-name pattern, subject, action and camera."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: Literal["recordings"] = "recordings"
    layout: Literal["neutral", "videopose3d"] = "neutral"
    files: list[str] = Field(
        min_length=1, description="file-name patterns within the data folder, as in h36m_S[15]_*.npz"
    )
    subjects: list[str] | None = Field(
        None, min_length=1, description="videopose3d only, as S1 or Train/S1; of neutral files, name those in `files`"
    )
    actions: list[str] | None = Field(
        None,
        min_length=1,
        description="`Sitting` is also `sitting 1 chunk0`, but SittingDown only where nothing is Sitting",
    )
    cameras: list[str] | None = Field(None, min_length=1)
    keypoints: Literal["detected", "projected"] = Field(
        "detected", description="2D as detected, or the truth projected"
    )
    mirrored: float = Field(0.5, ge=0.0, le=1.0, description="share of training samples shown as in a mirror")
    level: bool = Field(True, description="the rig's z axis points up; false where the calibration does not know")
    every: PositiveInt = Field(1, description="take every n-th frame")

    @pydantic.model_validator(mode="after")
    def _subjects_are_of_videopose3d(self) -> Self:
        if self.subjects is not None and self.layout == "neutral":
            raise ValueError("`subjects` is for layout videopose3d; choose neutral files by their names, under `files`")
        return self
