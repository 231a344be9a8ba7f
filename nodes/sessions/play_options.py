"""How a recording is played: the options of `replay`, here and as a node of its own. Imports nothing heavy."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from nodes.sessions.errors import SessionError

SLOWEST, FASTEST = 0.1, 100.0


@dataclass(frozen=True)
class Play:
    """How to play. speed: times the recording's pace; None: as fast as fusion takes it. stays: at the end it waits to
    be asked for another place. beside: a second result, whose poses are sent, too. previews: small pictures of the
    videos, too.
    """

    poses: bool = False
    speed: float | None = 1.0
    from_s: float | None = None
    to_s: float | None = None
    loop: bool = False
    keeps_stamps: bool = False
    stays: bool = False
    beside: Path | None = None
    previews: bool = False


def play_of(given: argparse.Namespace) -> Play:
    """What was asked for on the command line. Raises SessionError."""
    try:
        speed = None if given.speed == "max" else float(given.speed)
    except ValueError:
        raise SessionError(f"--speed {given.speed}: give a number, such as 0.5 or 10, or max") from None
    if speed is not None and not SLOWEST <= speed <= FASTEST:
        raise SessionError(f"--speed {given.speed}: from {SLOWEST} to {FASTEST:.0f}, or max")
    poses = given.poses or given.beside is not None
    if speed is None and poses:
        raise SessionError("--speed max goes by what fusion takes, and with --poses there is none: give a number")
    if given.to_s is not None and given.to_s <= (given.from_s or 0.0):
        raise SessionError(f"--to {given.to_s} is not behind --from {given.from_s or 0.0}")
    return Play(
        poses=poses,
        speed=speed,
        from_s=given.from_s,
        to_s=given.to_s,
        loop=given.loop,
        keeps_stamps=given.stamps == "recorded",
        stays=given.stays,
        beside=given.beside,
        previews=given.preview,
    )


def seconds(text: str) -> float:
    """An argument that is a time in a recording. Raises argparse.ArgumentTypeError."""
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds, 0 or more")
    return value


def add_options(parser: argparse.ArgumentParser) -> None:
    """How a recording is played; `run_system.py replay` has the same."""
    parser.add_argument("--poses", action="store_true", help="the poses as recorded, in place of fusing them again")
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="T.mcap",
        help="poses of another result of the same session, too, to see how they differ; implies --poses",
    )
    parser.add_argument("--speed", default="1", metavar="0.1..100|max", help="times the pace of the recording")
    parser.add_argument("--from", dest="from_s", type=seconds, metavar="S", help="begin S seconds into the recording")
    parser.add_argument("--to", dest="to_s", type=seconds, metavar="S", help="end there")
    parser.add_argument("--loop", action="store_true", help="again and again")
    parser.add_argument(
        "--stay",
        dest="stays",
        action="store_true",
        help="at the end wait to be asked for another place; with the live page always",
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help="small pictures from the videos of the recording, if there are; with the live page always",
    )
    parser.add_argument(
        "--stamps", choices=("now", "recorded"), default="now", help="times of the messages (default: %(default)s)"
    )
