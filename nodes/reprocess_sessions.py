"""Recordings through exactly the live stages again: `run_system.py reprocess S.mcap --out T.mcap`.

One session after the other in constant memory; several side by side in processes of their own.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig
from configs.errors import ConfigError
from configs.schema import Config
from lifter.runtime import DEFAULT, Lifter
from lifter.skeleton import SKELETONS, Skeleton
from nodes.fusing import pipeline_for, usable_lifter
from nodes.reprocess import load_fusion
from nodes.reprocess_videos import fused_from_video, videos_of, waiting_for_all
from nodes.sessions.about import about_of, weights_told
from nodes.sessions.errors import SessionError
from nodes.sessions.fuse_again import Tally, fused_again
from nodes.sessions.logged import Logged
from nodes.sessions.playing import began_with, has_beginning
from nodes.sessions.progress import bars
from nodes.sessions.reader import SessionReader
from nodes.sessions.target import check_target
from nodes.sessions.writer import new_session
from nodes.smoothing_pass import Hindsight, smoothed_again
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.messages import About, Message

Progress = Callable[[float], None]
FAULTS = (SessionError, ConfigError, CalibrationError, OSError)


@dataclass(frozen=True)
class Changes:
    """What shall be otherwise than in the recording."""

    calibration: Path | None = None
    settings: Path | None = None
    lifter: Path | None = None
    no_lifter: bool = False
    smooth: bool = False
    from_video: bool = False
    video_folder: Path | None = None

    @property
    def none(self) -> bool:
        return self == Changes()


@dataclass(frozen=True)
class Plan:
    """What a session is fused with."""

    config: Config
    rig: CameraRig | None
    skeleton: Skeleton
    lifter: Lifter | None
    told: str  # what the lifter runs on, or why there is none
    about: About


def reprocess_sessions(paths: list[Path], out: Path, changes: Changes, force: bool, jobs: int | None) -> int:
    """The command. 0, or 2 with the reasons on stderr when something must be mended first."""
    try:
        if changes.video_folder is not None and not changes.from_video:
            raise SessionError("--video-folder belongs to --from-video")
        targets = _targets(paths, out, force)
        for path in paths:
            with SessionReader(path) as session:
                plan_of(session, changes)  # what is wrong is said before the first minutes of work
    except FAULTS as error:
        print(error, file=sys.stderr)
        return 2
    if len(paths) == 1:
        return _run_here(paths[0], targets[0], changes, force)
    out.mkdir(parents=True, exist_ok=True)
    return _run_side_by_side(list(zip(paths, targets, strict=True)), changes, force, jobs or os.cpu_count() or 1)


def reprocess_session(path: Path, out: Path, changes: Changes, force: bool, progress: Progress) -> str:
    """Fuse one session; what became of it, in words. Raises one of FAULTS."""
    began_s, tally = time.monotonic(), Hindsight() if changes.smooth else Tally()
    with SessionReader(path) as session:
        plan = plan_of(session, changes)

        def make(ticks_ns: Sequence[int] = ()) -> FusionPipeline:
            return pipeline_for(plan.config, plan.rig, plan.skeleton, plan.lifter, ticks_ns)

        pipeline = make()
        pipeline.warm_up()
        span_ns = max(1, session.end_ns - session.start_ns)
        compares = changes.none and any(topic.startswith("pose/") for topic in session.counts)

        def at(log_ns: int) -> None:
            progress((log_ns - session.start_ns) / span_ns)

        items: Iterator[tuple[Logged | Message, int]]
        if isinstance(tally, Hindsight):
            items = smoothed_again(session, plan.config, make, out.parent, tally, progress)
        elif changes.from_video:
            items = fused_from_video(session, plan.config, pipeline, tally, changes.video_folder, at)
        else:
            items = fused_again(began_with(session, session.logged()), pipeline, tally, compares, at)
        with new_session(out, plan.about, force=force, at_ns=session.start_ns) as writer:
            for item, log_ns in items:
                writer.put(item, log_ns)
        lines = [_summary(out, tally, plan, span_ns * 1e-9, time.monotonic() - began_s)]
        if isinstance(tally, Hindsight):
            lines.append(f"  {tally.told}")
        if compares:
            lines.append(f"  {tally.sameness.result(len(tally.lives), has_beginning(session))}")
        lines += [f"  {damage}" for damage in session.damaged]
    return "\n".join(lines)


def plan_of(session: SessionReader, changes: Changes) -> Plan:
    """What a session is fused with. Raises one of FAULTS; a camera that a calibration lacks is named."""
    recorded = session.about
    config = session.config()
    assert recorded is not None  # it has a configuration
    if changes.settings is not None:
        config = config.model_copy(update={"fusion": load_fusion(changes.settings)})
    if changes.smooth and changes.from_video:
        raise SessionError(
            "--smooth works on the keypoints of a recording: reprocess it with --from-video first, and what comes of "
            "that with --smooth"
        )
    if changes.smooth or changes.from_video:
        config = waiting_for_all(config)
    if changes.from_video:
        videos_of(session, changes.video_folder)
    rig = session.rig() if changes.calibration is None else load_rig(changes.calibration)
    _refuse_other_names(session, config, rig, changes.calibration)
    skeleton = session.skeleton() or SKELETONS[config.detector.skeleton]
    wanted = config.fusion.lift and not changes.no_lifter
    weights = changes.lifter or DEFAULT
    if changes.lifter is not None and not changes.lifter.is_file():
        raise SessionError(f"--lifter {changes.lifter} does not exist: check the path")
    lifter, told = usable_lifter(skeleton, weights) if wanted else (None, "off")
    if changes.lifter is not None and lifter is None:
        why = "--no-lifter and --lifter together" if changes.no_lifter else "the configuration has `lift: false`"
        raise SessionError(f"--lifter {changes.lifter}: {told.removeprefix('none: ') if wanted else why}")
    told_weights = f"{weights_told(weights)} {told}" if lifter is not None else told
    about = about_of(config, changes.calibration or rig, told_weights, skeleton=skeleton, source="reprocess")
    if changes.calibration is None:  # as it stands there, to the last digit
        about = replace(about, rig_name=recorded.rig_name, rig_text=recorded.rig_text)
    return Plan(config, rig, skeleton, lifter, told, about)


def _refuse_other_names(
    session: SessionReader, config: Config, rig: CameraRig | None, calibration: Path | None
) -> None:
    if rig is None:
        return
    missing = [name for name in config.cameras if name not in rig.names]
    if missing:
        raise SessionError(
            f"{session.path} has cameras {', '.join(config.cameras)}, and {calibration or 'its calibration'} has "
            f"{', '.join(rig.names)}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in it. Name its "
            "cameras as the recording does"
        )


def _targets(paths: list[Path], out: Path, force: bool) -> list[Path]:
    """Where each result goes. Raises SessionError."""
    if len(paths) == 1:
        target = out / paths[0].name if out.is_dir() else out
        check_target(target, paths, force)
        return [target]
    if out.exists() and not out.is_dir():
        raise SessionError(f"--out {out} is a file: {len(paths)} sessions need a folder")
    targets = [out / path.name for path in paths]
    if len(set(targets)) < len(targets):
        raise SessionError("two of the sessions have the same name, and would become one file: reprocess them apart")
    if out.is_dir():
        for target in targets:
            check_target(target, paths, force)
    return targets


def _summary(out: Path, tally: Tally, plan: Plan, span_s: float, took_s: float) -> str:
    people = tally.people / tally.poses if tally.poses else 0.0
    passed_over = f", {tally.undecodable} broken messages passed over" if tally.undecodable else ""
    return (
        f"{out}: {tally.poses} poses of {span_s:.1f} s, {people:.2f} people on average, in {took_s:.1f} s "
        f"({span_s / max(took_s, 1e-9):.1f} times real time){passed_over}; lifter: {plan.told}"
    )


def _run_here(path: Path, target: Path, changes: Changes, force: bool) -> int:
    with bars([path.name]) as progress:
        try:
            line = reprocess_session(path, target, changes, force, lambda done: progress(path.name, done))
        except FAULTS as error:
            line, fault = "", _told(error, target)
    if not line:
        print(fault, file=sys.stderr)
        return 2
    print(line)
    return 0


def _run_side_by_side(pairs: list[tuple[Path, Path]], changes: Changes, force: bool, jobs: int) -> int:
    """Each session in a process, a fresh interpreter: the threads of numba and ONNX Runtime do not survive a fork.

    Whatever ends this process ends those.
    """
    code = 0
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(min(jobs, len(pairs)), _in_worker, maxtasksperchild=1) as pool:
        words = manager.dict()
        work = [pool.apply_async(_in_process, (path, target, changes, force, words)) for path, target in pairs]
        with bars([str(path) for path, _ in pairs]) as progress:
            while any(not result.ready() for result in work):
                for name, done in list(words.items()):
                    progress(name, done)
                time.sleep(0.2)
        for result, (path, target) in zip(work, pairs, strict=True):
            try:
                print(result.get())
            except FAULTS as error:
                print(f"{path}: {_told(error, target)}", file=sys.stderr)
                code = 2
    return code


def _in_worker() -> None:
    """Ctrl-C is the parent's, who then ends us; half work goes with us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _told(error: Exception, target: Path) -> str:
    """A fault in words; of a full disk, too, whose own words say nothing of the file."""
    return f"{target} cannot be written: {error.strerror or error}" if isinstance(error, OSError) else str(error)


def _in_process(path: Path, target: Path, changes: Changes, force: bool, words: Any) -> str:
    told = [0.0]

    def progress(done: float) -> None:
        if done - told[0] > 0.01:
            told[0] = done
            words[str(path)] = done

    return reprocess_session(path, target, changes, force, progress)
