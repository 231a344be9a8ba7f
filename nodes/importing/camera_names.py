"""Which of other people's folders, columns and files is which calibrated camera: by name, never by position. Pure."""

import re
from collections.abc import Callable, Sequence

from configs.schema import RESERVED_NAMES
from nodes.sessions.errors import SessionError

LONGEST = 40  # characters of a camera's name in a configuration


def matched(found: Sequence[str], calibrated: Sequence[str], what: str) -> dict[str, str]:
    """The calibrated camera of each that was found: of the same name, else spelled alike, else of the same number.

    One rule must hold for all of them. what: the kind of thing that was found, for the message. Raises SessionError.
    """
    for rule in (str, _spelled, _only_number):
        pairs = _by(rule, found, calibrated)
        if pairs is not None:
            return pairs
    raise SessionError(
        f"which {what} is which camera cannot be told by name: {what}s {', '.join(found)}; the calibration has "
        f"{', '.join(calibrated)}. Say it in the order of the {what}s: --names {' '.join(calibrated[: len(found)])}"
    )


def named(found: Sequence[str], names: Sequence[str], calibrated: Sequence[str], what: str) -> dict[str, str]:
    """As `matched`, by the names that the user gives in the order of what was found."""
    if len(names) != len(found):
        raise SessionError(
            f"--names has {len(names)} names ({', '.join(names)}) for {len(found)} {what}s ({', '.join(found)})"
        )
    strangers = [name for name in names if name not in calibrated]
    if strangers:
        raise SessionError(f"--names: no camera {strangers[0]!r} in the calibration; it has {', '.join(calibrated)}")
    if len(set(names)) < len(names):
        raise SessionError(f"--names: {', '.join(names)}: every camera can be there only once")
    return dict(zip(found, names, strict=True))


def usable(names: Sequence[str]) -> dict[str, str]:
    """What each camera is called in the session, whose configuration allows letters, digits, - and _ alone."""
    ours = {}
    for name in names:
        short = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:LONGEST]
        ours[name] = f"{short[: LONGEST - 7]}_camera" if short in RESERVED_NAMES else short or "_"
    if len(set(ours.values())) < len(ours):
        raise SessionError(
            f"the cameras' names {', '.join(map(repr, names))} may have letters, digits, - and _ in a session, and are "
            "the same without the rest: rename them in the calibration"
        )
    return ours


def in_order(names: Sequence[str]) -> list[str]:
    """As people count: cam2 before cam10."""
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def _by(rule: Callable[[str], str | None], found: Sequence[str], calibrated: Sequence[str]) -> dict[str, str] | None:
    keys = [rule(name) for name in calibrated]
    pairs = {}
    for name in found:
        key = rule(name)
        if key is None or keys.count(key) != 1:
            return None
        pairs[name] = calibrated[keys.index(key)]
    return pairs if len(set(pairs.values())) == len(pairs) else None


def _spelled(name: str) -> str:
    """Cam01, cam_1 and cam1 are spelled alike."""
    return " ".join(str(int(part)) if part.isdigit() else part for part in re.findall(r"[a-z]+|\d+", name.lower()))


def _only_number(name: str) -> str | None:
    numbers = re.findall(r"\d+", name)
    return str(int(numbers[0])) if len(numbers) == 1 else None
