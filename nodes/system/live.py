"""A live run: starts the processes, gives the session its time zero, watches, and stops everything again."""

import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from nodes.system.announcer import SOURCE, Announcer, KeptLines
from nodes.system.process_table import Process
from nodes.system.restart import FROZEN_NS, frozen
from nodes.system.status_table import Screen
from nodes.system.steering import Steering
from nodes.system.supervisor import Supervisor
from nodes.watching.monitor import FUSION, RECORDER, Monitor
from nodes.wire.bus import Publisher, Subscription, every
from nodes.wire.messages import CameraHealth, FusionHealth, Message, Pose3D, RecorderHealth, RecordRequest
from nodes.wire.requests import PlayState, ProcessState, SystemRequest

TURN_S = 0.05
SESSION_LEAD_NS = 500_000_000  # time for the word to reach every camera before the first frame is due
LONGEST_WAIT_FOR_RECORDER_NS = 15_000_000_000
LONGEST_PREPARATION_NS = 30_000_000_000  # a camera that is not ready by then joins later
LONGEST_WAIT_FOR_FUSION_NS = 180_000_000_000  # nothing comes without it, and its first run compiles for a minute
QUIET_END_NS = 2_000_000_000  # no pose for so long after the last camera ended: that was the last
MOST_PER_TURN = 1000  # messages; a flood must not keep us from watching
HEARD = (Pose3D, CameraHealth, FusionHealth, RecorderHealth, RecordRequest, PlayState, SystemRequest)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPLAY = "replay"
HUB = "hub"  # the row that everybody speaks through; without it and fusion nothing goes on


class StopSignals:
    """Ctrl-C, SIGTERM and a closed terminal ask for an orderly stop; a second one asks to hurry."""

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopSignals":
        self._before = {signum: signal.signal(signum, self._take) for signum in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]  # what signal.signal itself returned

    def hurry(self) -> bool:
        return self.asked > 1

    def _take(self, signum: int, frame: FrameType | None) -> None:
        self.asked += 1


class LiveRun:
    """One run of the processes of a table. `seconds`: how long from the session's start; None until stopped.

    steering: the settings of this run, which recordings of it explain themselves with. records: nobody shall speak
    before it is recorded.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        monitor: Monitor,
        hub: tuple[str, str],
        seconds: float | None,
        steering: Steering,
        records: bool = False,
    ) -> None:
        self._processes = processes
        self._monitor = monitor
        self._hub_in, self._hub_out = hub
        self._limit_s = seconds
        self._begun_ns: int | None = None  # monotonic time of the session's start
        self._steering = steering
        self._records = records
        self._notes_told = {RECORDER: "", SOURCE: ""}
        self._moved_told: dict[str, bool] = {}
        self._plays = any(process.name == REPLAY for process in processes)
        self.restarts: dict[str, int] = {}
        self.seconds = 0.0

    def run(self, screen: Screen) -> int:
        """Run to the end and leave nothing behind. Returns 0, or 2 when a process refused to start."""
        with (
            StopSignals() as signals,
            screen,
            every(*HEARD, hub_out=self._hub_out) as subscription,
            Publisher(self._hub_in) as bus,
        ):
            kept = KeptLines(screen)
            supervisor = Supervisor(self._processes, kept.say)
            try:
                self._watch(supervisor, kept, subscription, Announcer(bus, self._steering, kept), signals)
            finally:
                supervisor.stop(signals.hurry)
                self._listen(subscription)  # what they published while they ended
                self._tell_of_recording(kept)
                for name in self._monitor.moved():
                    kept.say(FUSION, self._monitor.movement(name))
                if told := self._monitor.recorded():
                    kept.say(RECORDER, told)
                self.restarts = supervisor.restarts
            return 2 if supervisor.refused else 0

    def _watch(
        self,
        supervisor: Supervisor,
        screen: KeptLines,
        subscription: Subscription[Message],
        announcer: Announcer,
        signals: StopSignals,
    ) -> None:
        began_ns = time.monotonic_ns()
        while not signals.asked:
            now_ns = time.monotonic_ns()
            self._listen(subscription)
            waits = self._waits_for_recorder(now_ns - began_ns, screen)
            supervisor.ensure_running(now_ns, self._work_done(), listeners_only=waits)
            self._steering.turn(supervisor, self._monitor, now_ns)
            self._resume_recording(announcer, screen)
            self._tell_of_recording(screen)
            self._tell_of_movements(screen)
            self._tell(screen, SOURCE, self._steering.note)
            self._end_frozen(supervisor, now_ns)
            restarting = supervisor.restarting(self._monitor.last_heard_ns)
            supervisor.let_step_back((self._monitor.streaming_cameras() - restarting) | supervisor.aside)
            if self._begun_ns is None and self._may_begin(now_ns - began_ns):
                self._begin_session(now_ns)
            announcer.say_about(now_ns)
            announcer.say_session(self._monitor.session_start_ns, now_ns)
            announcer.say_state(self._states(supervisor, restarting), self._monitor.session_start_ns, now_ns)
            screen.show(self._monitor.status(now_ns, restarting), self.seconds)
            if self._finished(supervisor, now_ns):
                return
            time.sleep(TURN_S)

    def _listen(self, subscription: Subscription[Message]) -> None:
        for _ in range(MOST_PER_TURN):
            message = subscription.receive(0)
            if message is None:
                return
            if isinstance(message, SystemRequest):
                self._steering.ask(message)
            elif isinstance(message, RecordRequest):
                self._steering.note_recording(message, time.monotonic_ns())
            self._monitor.feed(message, time.monotonic_ns())

    def _states(self, supervisor: Supervisor, restarting: set[str]) -> dict[str, ProcessState]:
        """Of every process. Fusion is waited for until it runs with the settings that were asked for last."""
        states = supervisor.states(restarting & {*self._monitor.cameras, FUSION, RECORDER})
        if self._steering.on_trial and FUSION in states:
            states[FUSION] = replace(states[FUSION], state="waiting")
        return states

    def _waits_for_recorder(self, waited_ns: int, screen: KeptLines) -> bool:
        """Whether the cameras are held back, so that the recording has all that fusion is told."""
        recorder = self._monitor.recorder
        if self._records and recorder is not None and recorder.state != "starting":
            self._records = False
        if self._records and waited_ns > LONGEST_WAIT_FOR_RECORDER_NS:
            screen.say(
                RECORDER, "does not record yet; the cameras start all the same, and their first moments are lost"
            )
            self._records = False
        return self._records

    def _work_done(self) -> set[str]:
        """Processes whose end is no fault: cameras at their recording's end, and what plays in place of cameras."""
        return self._monitor.ended_cameras() | {REPLAY}

    def _may_begin(self, waited_ns: int) -> bool:
        if self._monitor.waits_for_fusion:
            return waited_ns > LONGEST_WAIT_FOR_FUSION_NS
        return self._monitor.cameras_prepared() or waited_ns > LONGEST_PREPARATION_NS

    def _begin_session(self, now_ns: int) -> None:
        self._begun_ns = now_ns + SESSION_LEAD_NS
        self._monitor.session_start_ns = time.time_ns() + SESSION_LEAD_NS

    def _tell_of_recording(self, screen: KeptLines) -> None:
        """What is wrong with the recording; in logs, too, where there is no table."""
        if self._monitor.recorder is not None:
            self._tell(screen, RECORDER, self._monitor.recorder.note)

    def _tell(self, screen: KeptLines, name: str, note: str) -> None:
        """A note that stands for a while, once."""
        if note and note != self._notes_told[name]:
            screen.say(name, note)
        self._notes_told[name] = note

    def _tell_of_movements(self, screen: KeptLines) -> None:
        """A camera that was moved, when that is found and when it is put right; in logs, too."""
        moved = self._monitor.moved()
        for name, is_right in moved.items():
            if self._moved_told.get(name) != is_right:
                screen.say(FUSION, self._monitor.movement(name))
        self._moved_told = moved

    def _resume_recording(self, announcer: Announcer, screen: KeptLines) -> None:
        """A recorder that was started again is asked to go on with what its former life was asked for."""
        cut = self._monitor.take_cut_recording()
        if cut is None:
            return
        path = Path(cut.path)
        screen.say(RECORDER, f"{path} was cut; it opens as it is, and the recording goes on beside it")
        announcer.ask_to_record(path.stem, cut.video)

    def _end_frozen(self, supervisor: Supervisor, now_ns: int) -> None:
        """A process that lives but has said nothing for long is started afresh."""
        hub_started_ns = supervisor.started_ns(HUB) or now_ns
        heard_ns = {
            name: max(heard_ns, hub_started_ns)  # a new hub gives everybody time to find it
            for name, heard_ns in self._monitor.last_heard_ns.items()
            if supervisor.pid(name) is not None and heard_ns > (supervisor.started_ns(name) or 0)
        }
        for name in frozen(heard_ns, HUB, now_ns):
            supervisor.kill_frozen(name, f"alive but silent for {FROZEN_NS / 1e9:.0f} s")

    def _finished(self, supervisor: Supervisor, now_ns: int) -> bool:
        if self._begun_ns is not None:
            self.seconds = max(0.0, (now_ns - self._begun_ns) / 1e9)
        refused = set(supervisor.refused)
        if refused & {HUB, FUSION, REPLAY} or (refused and self._begun_ns is None):
            return True
        if self._limit_s is not None and self._begun_ns is not None and self.seconds >= self._limit_s:
            return True
        if self._plays:  # a recorded word that all cameras have ended may stand in the middle
            is_over = supervisor.has_done(REPLAY)
        else:
            is_over = refused | self._monitor.ended_cameras() >= self._monitor.expected_cameras()
        return is_over and now_ns - self._monitor.last_word_ns() > QUIET_END_NS
