"""`run_system.py calibrate board`: a calibration board to print."""

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
Make a ChArUco board to print, and the .toml that describes it to the other `calibrate` commands.

A larger board and larger squares are seen from farther away: A4 is right for a desk, A3 and more for a room. For a
rig whose cameras face one another make it --two-sided: page 2 is glued to the back of page 1, picture on picture."""

EXAMPLES = """\
examples:
  python run_system.py calibrate board --out board.pdf
  python run_system.py calibrate board --out board.pdf --paper A3 --square-mm 45
  python run_system.py calibrate board --out board.pdf --columns 4 --rows 5 --square-mm 54 --paper 300x400 --two-sided
  python run_system.py calibrate board --out board.png --dpi 300              to show on a screen

docs/board.md tells how to print, mount and measure it."""


def add(words: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the word."""
    parser = words.add_parser(
        "board",
        help="a board to print",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".pdf (exact at any size) or .png")
    parser.add_argument("--columns", type=int, default=5, metavar="N", help="squares across (default 5)")
    parser.add_argument("--rows", type=int, default=7, metavar="N", help="squares down (default 7)")
    parser.add_argument("--square-mm", type=float, default=30.0, metavar="MM", help="side of a square (default 30)")
    parser.add_argument(
        "--marker-mm", type=float, metavar="MM", help="side of a marker (default: three quarters of a square)"
    )
    parser.add_argument(
        "--paper", default="A4", metavar="NAME", help="A5 … A0, letter, legal, tabloid, or mm as 600x900 (default A4)"
    )
    parser.add_argument(
        "--dictionary",
        default="DICT_4X4_1000",
        metavar="NAME",
        help="OpenCV's name; fewer bits are seen from farther away (default DICT_4X4_1000)",
    )
    parser.add_argument("--inverted", action="store_true", help="exchange black and white")
    parser.add_argument(
        "--legacy-pattern", action="store_true", help="as OpenCV before 4.6: even rows begin with a marker"
    )
    parser.add_argument("--two-sided", action="store_true", help="a second page for the back, corner behind corner")
    parser.add_argument("--dpi", type=float, default=300.0, help="of a .png (default 300)")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from calibration.board import CharucoBoard
    from calibration.errors import CalibrationError
    from nodes.calibrating.board_print import print_board, toml_of

    there = [str(path) for path in (options.out, toml_of(options.out)) if path.exists()]
    if there and not options.force:
        print(f"{' and '.join(there)} there already: give another --out, or --force", file=sys.stderr)
        return 2
    marker_mm = 0.75 * options.square_mm if options.marker_mm is None else options.marker_mm
    try:
        board = CharucoBoard(
            columns=options.columns,
            rows=options.rows,
            square_m=options.square_mm / 1000,
            marker_m=marker_mm / 1000,
            dictionary=options.dictionary,
            inverted=options.inverted,
            legacy_pattern=options.legacy_pattern,
            two_sided=options.two_sided,
        )
        toml = print_board(board, options.out, options.paper, options.dpi)
    except CalibrationError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    print(_next(options, toml))
    return 0


def _next(options: argparse.Namespace, toml: Path) -> str:
    squares = f"{options.columns}x{options.rows} squares of {options.square_mm:g} mm"
    steps = [
        f"{options.out}: {squares} on {options.paper}; {toml} describes it",
        "next:",
        "  1. print at 100 % (actual size, not fitted to the page); the ruler must be 100 mm long",
        "  2. glue it to something flat and stiff" + ("; page 2 to its back" if options.two_sided else ""),
        f"  3. measure ten squares if you can, and write a square's side in metres as square_m to {toml}",
        f"  4. film it with all cameras: python run_system.py calibrate rig --videos DIR --board {toml} --out rig.toml",
    ]
    return "\n".join(steps)
