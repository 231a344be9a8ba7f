"""Which cameras disagree with the others, tick after tick: moved, or wrongly calibrated. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

LASTS_S = 1.0  # of the running means
NAMED_AFTER_S = 2.0  # a bystander or an occluder may disagree for a moment
ODD_SHARE = 0.5  # of its joints out-voted
ENOUGH = 6  # joints judged in a tick


@dataclass
class _Record:
    share: float = 0.0
    off_px: float = 0.0
    odd_since_ns: int | None = None


class CameraAgreement:
    """Running means of how much of what each camera sees is out-voted, and by how far it is off."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self._records = {name: _Record() for name in cameras}
        self._time_ns = 0

    def take(self, captured_ns: int, off_px: F64, outvoted: npt.NDArray[np.bool_]) -> None:
        """off_px (C, S): of all joints of all people from where the other views have them, NaN where not judged."""
        dt_s = min(max(captured_ns - self._time_ns, 0) * 1e-9, LASTS_S)
        self._time_ns = captured_ns
        gain = 1.0 - np.exp(-dt_s / LASTS_S)
        judged = np.isfinite(off_px)
        count = judged.sum(axis=1)
        shares = (outvoted & judged).sum(axis=1) / np.maximum(count, 1)
        for c, record in enumerate(self._records.values()):
            if count[c] < ENOUGH:
                continue
            record.share += gain * (shares[c] - record.share)
            if record.share < ODD_SHARE:
                record.odd_since_ns = None
                continue
            record.odd_since_ns = record.odd_since_ns or captured_ns
            record.off_px += gain * (float(np.median(off_px[c, judged[c]])) - record.off_px)

    def begin_anew(self) -> None:
        """Time has no meaning across an outage."""
        self._records = {name: _Record() for name in self._records}
        self._time_ns = 0

    def notes(self) -> dict[str, str]:
        """Camera → what is wrong with it, in words."""
        return {
            name: (
                f"disagrees with the other cameras for {self._since_s(record):.0f} s (by {record.off_px:.0f} px): moved, "
                "or wrongly calibrated? What it sees is left out; calibrate it again"
            )
            for name, record in self._records.items()
            if record.odd_since_ns is not None and self._since_s(record) >= NAMED_AFTER_S
        }

    def _since_s(self, record: _Record) -> float:
        return (self._time_ns - (record.odd_since_ns or 0)) * 1e-9
