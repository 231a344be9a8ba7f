"""What `snapshot` and `render` have in common on the command line. Imports nothing heavy."""

import argparse
import importlib.util
import sys

NEEDED = ("numpy", "msgpack", "pydantic", "yaml", "numba", "scipy", "mcap", "cv2", "av", "PIL", "rich")
SMALLEST, LARGEST = 160, 4096


def add_picture_options(parser: argparse.ArgumentParser, usual_size: str) -> None:
    """How the picture looks."""
    parser.add_argument(
        "--size", type=size, default=size(usual_size), metavar="WxH", help=f"in pixels (default {usual_size})"
    )
    parser.add_argument(
        "--eye",
        default="corner",
        metavar="EYE",
        help="from where the room is seen: corner (default), near, front, left, back, right, top, camera:NAME, or a "
        "place x,y,z in metres (--eye=-3,2,1.5)",
    )
    parser.add_argument("--only", choices=("room", "cameras"), default="", help="one half of the picture alone")
    parser.add_argument("--title", default="", metavar="TEXT", help="above it")
    parser.add_argument("--force", action="store_true", help="write over what is there")


def size(text: str) -> tuple[int, int]:
    """An argument such as 1600x900. Raises argparse.ArgumentTypeError."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and SMALLEST <= int(side) <= LARGEST for side in sides):
        raise argparse.ArgumentTypeError(f"{text} is no size: give WxH, each {SMALLEST} to {LARGEST}, such as 1600x900")
    return int(sides[0]), int(sides[1])


def all_installed() -> bool:
    """Whether all packages are there; says on stderr how to mend it when not."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[live]"', file=sys.stderr)
    return not missing
