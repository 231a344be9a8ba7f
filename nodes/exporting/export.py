"""A session's poses into a file of another program: two passes over the session, in constant memory."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lifter.skeleton import SKELETONS, Skeleton
from nodes.exporting.each_person import each_person
from nodes.exporting.formats import FORMATS, Format
from nodes.exporting.moments import Block, as_recorded, at_even_rate, grid_of
from nodes.exporting.part_file import written_whole
from nodes.exporting.plan import Axes, Plan, Write, file_of, people_of
from nodes.exporting.survey import Stay, Survey, rising, survey
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.sessions.target import check_target
from nodes.wire.messages import Pose3D

Progress = Callable[[float], None]
RATES_HZ = (0.1, 1000.0)
LONE_POSE_HZ = 30.0  # of a single pose, which has no rate
OFTEN = 128  # poses between two words of progress
LISTED = 20  # people in a message


@dataclass(frozen=True)
class Wish:
    """What is asked for; None and () where it is not. unit: of BVH."""

    out: Path
    format: str | None = None
    rate_hz: float | None = None
    people: tuple[int, ...] = ()
    from_s: float | None = None
    to_s: float | None = None
    min_seconds: float = 0.0
    axes: Axes | None = None
    unit: str | None = None
    force: bool = False


def export(path: Path, wish: Wish, progress: Progress | None = None) -> list[str]:
    """Write the file or files; what to tell about them, in lines. Raises SessionError, OSError."""
    check_target(wish.out, [path], force=True)
    kind = _format_of(wish)
    _check(wish, kind)
    with SessionReader(path) as session:
        if kind.everybody:
            check_target(wish.out, [path], wish.force)
        found = survey(_poses(session, wish, progress, 0.0))
        if found is None:
            raise SessionError(_no_poses(session, wish))
        plan = _plan(session, wish, kind, found)
        files = [file_of(plan, each) for each in people_of(plan, kind.most)] if kind.one_person else [wish.out]
        for file in files:
            check_target(file, [path], wish.force)
        poses = rising(_poses(session, wish, progress, 0.5), found.series)
        _write(plan, kind, _blocks(plan, found, poses))
        return [_summary(plan, kind, files), *_notes(session, plan, kind, found)]


def _format_of(wish: Wish) -> Format:
    name = wish.format
    if name is None:
        ending = wish.out.suffix.lower()
        name = next((each.name for each in FORMATS.values() if ending in each.endings), None)
    if name is None:
        known = ", ".join(ending for each in FORMATS.values() for ending in each.endings)
        raise SessionError(f"--out {wish.out}: give --format, or one of these endings: {known}")
    return FORMATS[name]


def _check(wish: Wish, kind: Format) -> None:
    """Refuse what cannot be, before the work begins."""
    try:
        kind.opener()
    except ImportError as error:
        raise SessionError(f'{error}; this mends it: pip install "livepose3d[export]"') from None
    if wish.axes is not None and wish.axes not in kind.axes:
        raise SessionError(f"--axes {wish.axes}: {kind.name} is always {kind.axes[0]}; leave it out")
    if wish.unit is not None and kind.name != "bvh":
        raise SessionError(f"--unit {wish.unit}: only BVH leaves the unit open; leave it out")
    if wish.rate_hz is not None and not RATES_HZ[0] <= wish.rate_hz <= RATES_HZ[1]:
        raise SessionError(f"--rate {wish.rate_hz:g}: give poses per second, {RATES_HZ[0]:g} to {RATES_HZ[1]:g}")


def _poses(session: SessionReader, wish: Wish, progress: Progress | None, done: float) -> Iterator[Pose3D]:
    """All poses of the wanted time; each pass is half of the work."""
    span_ns = max(session.end_ns - session.start_ns, 1)
    for count, pose in enumerate(session.messages(Pose3D, from_s=wish.from_s, to_s=wish.to_s)):
        if progress is not None and count % OFTEN == 0:
            progress(done + 0.5 * min(max((pose.captured_ns - session.start_ns) / span_ns, 0.0), 1.0))
        yield pose


def _plan(session: SessionReader, wish: Wish, kind: Format, found: Survey) -> Plan:
    usual_hz = found.rate_hz if np.isfinite(found.rate_hz) else LONE_POSE_HZ
    rate_hz = wish.rate_hz or (usual_hz if kind.even else float("nan"))
    even = np.isfinite(rate_hz)
    return Plan(
        out=wish.out,
        skeleton=_skeleton(session, found),
        stays=_wanted(session, wish, found),
        cameras=found.cameras,
        axes=wish.axes or kind.axes[0],
        start_ns=found.first_ns,
        moments=grid_of(found.first_ns, found.last_ns, rate_hz).count if even else found.moments,
        rate_hz=rate_hz,
        frame=found.series.frame,
        unit=wish.unit or "m",
    )


def _skeleton(session: SessionReader, found: Survey) -> Skeleton:
    """Of the poses. Raises SessionError when it is not known."""
    name = found.series.skeleton
    told = session.skeleton()
    skeleton = told if told is not None and told.name == name else SKELETONS.get(name)
    if skeleton is None:
        known = ", ".join(SKELETONS)
        raise SessionError(f"{session.path}: its skeleton {name!r} is not one of {known}, and its joints are not told")
    if found.n_joints and len(skeleton.joints) != found.n_joints:
        raise SessionError(
            f"{session.path}: its people have {found.n_joints} joints, and {name} has {len(skeleton.joints)}"
        )
    return skeleton


def _wanted(session: SessionReader, wish: Wish, found: Survey) -> tuple[Stay, ...]:
    """The people to write. Raises SessionError when there are none, or one is not there."""
    if not found.stays:
        raise SessionError(f"{session.path}: nobody is in its {found.moments} poses, so there is nothing to export")
    there = {stay.id for stay in found.stays}
    unknown = [str(who) for who in wish.people if who not in there]
    if unknown:
        raise SessionError(f"{session.path}: there is no person {', '.join(unknown)}; there are {_listed(found)}")
    chosen = [stay for stay in found.stays if not wish.people or stay.id in wish.people]
    stays = tuple(stay for stay in chosen if stay.seconds >= wish.min_seconds)
    if not stays:
        raise SessionError(
            f"{session.path}: nobody stays for --min-seconds {wish.min_seconds:g}; there are {_listed(found)}"
        )
    return stays


def _listed(found: Survey) -> str:
    """People, the longest stay first."""
    stays = sorted(found.stays, key=lambda stay: -stay.seconds)
    words = [
        f"{stay.id} ({(stay.first_ns - found.first_ns) * 1e-9:.1f} to {(stay.last_ns - found.first_ns) * 1e-9:.1f} s)"
        for stay in stays[:LISTED]
    ]
    return ", ".join(words) + (f" and {len(stays) - LISTED} more" if len(stays) > LISTED else "")


def _blocks(plan: Plan, found: Survey, poses: Iterable[Pose3D]) -> Iterator[Block]:
    ids, J = {stay.id for stay in plan.stays}, len(plan.skeleton.joints)
    if not np.isfinite(plan.rate_hz):
        return as_recorded(poses, plan.cameras, ids, J)
    step_s = 1.0 / (found.rate_hz if np.isfinite(found.rate_hz) else LONE_POSE_HZ)
    return at_even_rate(poses, plan.grid, step_s, plan.cameras, ids, J)


def _write(plan: Plan, kind: Format, blocks: Iterable[Block]) -> None:
    with ExitStack() as stack:
        write: Write[Block]
        if kind.one_person:
            write = stack.enter_context(each_person(plan, people_of(plan, kind.most), kind.one_person()))
        elif kind.everybody:
            part = stack.enter_context(written_whole(plan.out))
            write = stack.enter_context(kind.everybody()(plan, part))
        for block in blocks:
            write(block)


def _no_poses(session: SessionReader, wish: Wish) -> str:
    if wish.from_s is not None or wish.to_s is not None:
        seconds = (session.end_ns - session.start_ns) * 1e-9
        return f"{session.path}: there are no poses between --from and --to; it is {seconds:.1f} s long"
    return (
        f"{session.path}: there are no poses in it, only keypoints; this makes them: "
        f"run_system.py reprocess {session.path} --out fused.mcap"
    )


def _summary(plan: Plan, kind: Format, files: list[Path]) -> str:
    """One line about what was written."""
    names = ", ".join(map(str, files[:4])) + (f" and {len(files) - 4} more files" if len(files) > 4 else "")
    people = len(plan.stays)
    rate = f"at {plan.rate_hz:g} Hz" if np.isfinite(plan.rate_hz) else "as recorded"
    unit = plan.unit if kind.name == "bvh" else kind.unit
    return (
        f"{names}: {people} {'person' if people == 1 else 'people'}, {plan.moments} moments {rate}, "
        f"{plan.skeleton.name}, {unit}, {plan.axes}"
    )


def _notes(session: SessionReader, plan: Plan, kind: Format, found: Survey) -> list[str]:
    """What somebody who uses the file should know."""
    left_out = kind.left_out(plan.skeleton)
    notes = {
        f"{session.path} was cut off while it was recorded; it is exported up to there": session.is_cut,
        "one camera without calibration: everybody is relative to the middle of the own hips": (
            plan.frame == "root_relative"
        ),
        f"fusion began anew {found.restarts} times: one id may stand for several people": found.restarts > 0,
        f"{found.left_out} poses are left out, which come from elsewhere than {found.series.source} or not in the "
        "order of their times": found.left_out > 0,
        f"{session.undecodable // 2} messages could not be read": session.undecodable > 1,
        f"joints that no bone leads to are left out: {', '.join(left_out)}": bool(left_out),
        kind.when_absent: bool(kind.when_absent),
        **dict.fromkeys(session.damaged[: len(session.damaged) // 2], True),
    }
    return [note for note, holds in notes.items() if holds]
