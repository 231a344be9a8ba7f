"""How everything goes, as the page says it."""

from dataclasses import dataclass

from nodes.watching.monitor import Status
from nodes.watching.verdict import Verdict


@dataclass(frozen=True)
class Judged:
    """whole: in a line. cameras: of each one that the configuration names. status: the figures that it rests on.

    heard: whether the system speaks; None: it never did. tells_latency: "" when the latency in `status` is one, else
    why it is none.
    """

    whole: Verdict
    cameras: dict[str, Verdict]
    status: Status
    heard: bool | None
    tells_latency: str = ""
