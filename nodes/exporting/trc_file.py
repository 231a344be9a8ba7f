"""TRC, the markers of OpenSim: text with tabs, millimetres, y up, a row for each frame, empty where a marker is absent.

Every line ends with a tab: OpenSim's reader forgets an empty last field, and refuses a row that is one short.
https://opensimconfluence.atlassian.net/wiki/spaces/OpenSim/pages/53089972/Marker+.trc+Files
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nodes.exporting.marker_names import marker_names
from nodes.exporting.moments import Rows
from nodes.exporting.plan import Person, Plan, Write, file_of, turned

HEADINGS = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


@contextmanager
def trc_file(plan: Plan, person: Person, part: Path) -> Iterator[Write[Rows]]:
    """One person's file. Raises OSError."""
    names = marker_names(plan.skeleton.name, plan.skeleton.joints)
    frame = person.first
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_head(plan, person, names))

        def write(rows: Rows) -> None:
            nonlocal frame
            for joints_mm in (turned(rows.joints_m, plan.axes) * 1000.0).reshape(-1, 3 * len(names)).tolist():
                numbers = ["" if x != x else f"{x:.4f}" for x in joints_mm]  # noqa: PLR0124  # NaN
                file.write("\t".join([str(frame + 1), f"{frame / plan.rate_hz:.6f}", *numbers, "\n"]))
                frame += 1

        yield write


def _head(plan: Plan, person: Person, names: tuple[str, ...]) -> str:
    count, rate = person.behind - person.first, np.format_float_positional(plan.rate_hz, precision=6, trim="0")
    numbers = (rate, rate, count, len(names), "mm", rate, person.first + 1, count)
    lines = (
        ("PathFileType", "4", "(X/Y/Z)", file_of(plan, person).name),
        HEADINGS,
        numbers,
        ("Frame#", "Time", *(field for name in names for field in (name, "", ""))),
        ("", "", *(f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ")),
        (),
    )
    return "".join("\t".join([*map(str, line), "\n"]) if line else "\n" for line in lines)
