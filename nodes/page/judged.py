"""How everything goes, as the page says it."""

from dataclasses import dataclass

from nodes.watching.monitor import Status
from nodes.watching.verdict import Verdict


@dataclass(frozen=True)
class Judged:
    """whole: in a line. cameras: of each one that the configuration names. status: the figures that it rests on.

    heard: whether the system speaks; None: it never did.
    """

    whole: Verdict
    cameras: dict[str, Verdict]
    status: Status
    heard: bool | None

    @property
    def tells_latency(self) -> str:
        """ "" when the latency in `status` is one, else why it is none."""
        return self.status.no_latency
