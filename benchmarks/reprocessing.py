"""How fast recordings are fused again, and what memory long ones take: sessions of synthetic actors, real commands.

    python -m benchmarks.reprocessing [--minutes M] [--long MINUTES] [--json FILE] [--check]

"one" is one session of 4 cameras at 30 Hz and one person; "two side by side" are two of them at once on two cores, as
`reprocess a.mcap b.mcap` runs them; both with loading and warming up. With --long also a session of 8 cameras and two
people of so many minutes, and one of a tenth, reprocessed and exported: peak memory of both. The hour of the
documentation is `--long 60`, which takes ten minutes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.fusion_cost import FPS, RADIUS_M, crowd, ticks
from benchmarks.report import Report, parser
from benchmarks.scenes import FOCAL_PX, SIZE_WH
from calibration.synthetic import ring_rig
from configs.schema import Config
from nodes.compiling import compile_kernels
from nodes.sessions.about import about_of
from nodes.sessions.writer import new_session

AIM_TIMES = 30.0  # real time, on two cores
LOOP_S = 30  # of motion, again and again
EXPORTS = ("csv", "trc", "parquet", "bvh")


def make_session(path: Path, people: int, cameras: int, seconds: float) -> None:
    """A session of actors on a grid, in constant memory."""
    rig = ring_rig(cameras, RADIUS_M if people > 1 else 4.0, 2.0, SIZE_WH, FOCAL_PX)
    sources = {name: {"source": "video", "path": f"{name}.mp4"} for name in rig.names}
    config = Config.model_validate({"calibration": "rig.toml", "cameras": sources})
    loop = ticks(rig, crowd(people, round(LOOP_S * FPS)))
    with new_session(path, about_of(config, rig), force=True) as writer:
        for tick in range(round(seconds * FPS)):
            turn = tick // len(loop)
            later_ns = round(turn * LOOP_S * 1e9)
            for message in loop[tick % len(loop)]:
                moved = replace(
                    message,
                    seq=tick,
                    captured_ns=message.captured_ns + later_ns,
                    published_ns=message.published_ns + later_ns,
                )
                writer.write(moved, moved.published_ns)


def run(*arguments: str) -> tuple[float, float]:
    """Seconds and peak memory, MB, of a command of run_system.py."""
    began_s = time.monotonic()
    process = subprocess.Popen([sys.executable, "run_system.py", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return time.monotonic() - began_s, usage.ru_maxrss / 1024


def rates(report: Report, folder: Path, minutes: float) -> None:
    """One session, and two side by side."""
    takes = [folder / f"take{k}.mcap" for k in range(2)]
    for take in takes:
        make_session(take, 1, 4, 60 * minutes)
    one_s, one_mb = run("reprocess", str(takes[0]), "--out", str(folder / "one.mcap"))
    two_s, _ = run("reprocess", *map(str, takes), "--out", str(folder / "both"))
    of_one, of_two = 60 * minutes / one_s, 2 * 60 * minutes / two_s
    report.row(what="one", minutes=minutes, seconds=one_s, times_real_time=of_one, peak_mb=one_mb)
    report.row(what="two side by side", minutes=2 * minutes, seconds=two_s, times_real_time=of_two)
    report.aim("times real time, 4 cameras at 30 Hz, two sessions on two cores", of_two, AIM_TIMES, at_least=True)


def long_takes(report: Report, folder: Path, minutes: float) -> None:
    """Peak memory of a long session beside that of a tenth of it."""
    peaks: dict[str, list[float]] = {}
    for length in (minutes / 10, minutes):
        take, fused = folder / "long.mcap", folder / "fused.mcap"
        make_session(take, 2, 8, 60 * length)
        works = [("reprocess", str(take), "--out", str(fused), "--force")]
        works += [("export", str(fused), "--out", str(folder / f"x.{name}"), "--force") for name in EXPORTS]
        for work in works:
            seconds, peak_mb = run(*work)
            what = work[0] if work[0] == "reprocess" else f"export {Path(work[3]).suffix}"
            times = 60 * length / seconds
            report.row(what=what, minutes=length, seconds=seconds, times_real_time=times, peak_mb=peak_mb)
            peaks.setdefault(what, []).append(peak_mb)
    for what, (short_mb, long_mb) in peaks.items():
        report.aim(f"{what}: memory of the whole over that of a tenth", long_mb / short_mb, 1.5)


def main() -> int:
    """Run what was asked for."""
    options = _parser().parse_args()
    compile_kernels(print)
    report = Report("reprocessing: as fast as the machine goes")
    with tempfile.TemporaryDirectory() as folder:
        rates(report, Path(folder), options.minutes)
        if options.long:
            long_takes(report, Path(folder), options.long)
    return report.finish(options)


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--minutes", type=float, default=3.0, help="of each session (default %(default)s)")
    made.add_argument("--long", type=float, default=0.0, metavar="MINUTES", help="also a long session, for its memory")
    return made


if __name__ == "__main__":
    sys.exit(main())
