"""Other settings for fusion while the system runs: checked, written to a file of their own, and tried.

Cameras, recorder and page go on meanwhile. Settings that fusion refuses, or does not live with, are taken back.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from calibration.errors import CalibrationError
from configs.load import explain
from configs.schema import Config
from nodes.sessions.about import about_of, config_text
from nodes.system.own_folder import OwnFolder, sweep
from nodes.system.prepare import check_calibration
from nodes.system.process_table import Process
from nodes.system.supervisor import Supervisor
from nodes.watching.monitor import FUSION, Monitor
from nodes.wire.messages import About, RecordRequest
from nodes.wire.requests import SystemRequest

RECORDS_SOON_NS = 2_000_000_000  # the recorder speaks twice a second
MOST_ENDS = 2  # of fusion's: the first one may be an accident
LONGEST_TRIAL_NS = 180_000_000_000  # where nothing can be kept, fusion compiles for a minute at every start


class SettingsError(ValueError):
    """Settings that cannot be, with what to do instead."""


@dataclass(frozen=True)
class Settings:
    """What a system runs with. fusion: the process, None while nothing fuses or as it was started at first."""

    config: Config
    about: About
    fusion: Process | None = None


class Steering:
    """The settings in force. A context manager: its files go with it.

    config, about: at the beginning. config_path: the user's file. fusion_with: the process of fusion for a file; None
    where fusion takes its settings from elsewhere.
    """

    def __init__(
        self, config: Config, about: About, config_path: Path, fusion_with: Callable[[Path], Process] | None
    ) -> None:
        self._now = Settings(config, about)
        self._before: Settings | None = None  # while the ones of now are on trial
        self._asked: SystemRequest | None = None
        self._asked_ns = 0
        self._restarts = 0  # of fusion, until then
        self._speaks_anew = True
        self._record_asked_ns: int | None = None
        self._config_path = config_path
        self._fusion_with = fusion_with
        self._folder = OwnFolder()
        self._files = 0
        self.note = ""

    def __enter__(self) -> "Steering":
        sweep(Path(tempfile.gettempdir()))
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.remove()

    @property
    def config(self) -> Config:
        return self._now.config

    @property
    def about(self) -> About:
        return self._now.about

    @property
    def config_file(self) -> str:
        """The user's file; "" where a recording is played."""
        return "" if self._fusion_with is None else str(self._config_path.resolve())

    @property
    def calibration(self) -> str:
        """Path of the file in force, its name where it is in a recording; "" without one."""
        return self.about.rig_name if self._fusion_with is None else str(self.config.calibration or "")

    @property
    def on_trial(self) -> bool:
        """Whether fusion has not said yet that it runs with the settings of now, which may be taken back."""
        return self._before is not None

    def ask(self, request: SystemRequest) -> None:
        """What somebody wants; seen to at the next turn."""
        self._asked = request

    def note_recording(self, request: RecordRequest, now_ns: int) -> None:
        """The recorder is asked for something, and has not spoken of it yet. now_ns: monotonic."""
        self._record_asked_ns = now_ns if request.action == "start" else None

    def turn(self, supervisor: Supervisor, monitor: Monitor, now_ns: int) -> None:
        """See to what was asked, and to what became of it. now_ns: monotonic."""
        asked, self._asked = self._asked, None
        if asked is not None:
            try:
                self._change(asked, supervisor, monitor, now_ns)
            except SettingsError as error:
                self.note = str(error)
        if self._before is not None:
            self._follow(self._before, supervisor, monitor, now_ns)

    def _change(self, asked: SystemRequest, supervisor: Supervisor, monitor: Monitor, now_ns: int) -> None:
        if self._before is not None:
            raise SettingsError("not changed: fusion is just starting with other settings; ask again when it runs")
        if self._records(monitor, now_ns):
            raise SettingsError("not changed: a recording runs, and is made with one setting throughout; stop it first")
        config = self._changed(asked)
        if config == self.config and not asked.calibration:  # a file of the same name may hold another calibration
            self.note = "nothing to change: it is set like that already"
            return
        self._before, self._now = self._now, self._tried(config)
        assert self._now.fusion is not None
        supervisor.replace(self._now.fusion)
        self._asked_ns, self._speaks_anew = now_ns, False
        self._restarts = supervisor.restarts.get(FUSION, 0)
        again = "" if self._before.config.keypoints_only else "again "
        self.note = f"fusion starts {again}with {self._told(asked)}"

    def _records(self, monitor: Monitor, now_ns: int) -> bool:
        asked = self._record_asked_ns is not None and now_ns - self._record_asked_ns < RECORDS_SOON_NS
        return asked or (monitor.recorder is not None and monitor.recorder.runs)

    def _changed(self, asked: SystemRequest) -> Config:
        """The configuration that is asked for. Raises SettingsError."""
        if self._fusion_with is None:
            raise SettingsError(
                "not changed: a recording is played with the settings it was made with; "
                "`run_system.py reprocess` fuses it with others"
            )
        fusion = self.config.fusion
        smoothing = fusion.smoothing.model_copy(update={"kind": asked.smoothing or fusion.smoothing.kind})
        lift = fusion.lift if not asked.lift else asked.lift == "on"
        changes = {"fusion": fusion.model_copy(update={"lift": lift, "smoothing": smoothing})}
        if not asked.calibration:
            return self.config.model_copy(update=changes)
        path = self._calibration(asked.calibration)
        return self.config.model_copy(update={**changes, "calibration": path, "keypoints_only": False})

    def _calibration(self, name: str) -> Path:
        """A file in the folder of calibrations, and nowhere else. Raises SettingsError."""
        folder = self.config.calibrating.folder.resolve()
        path = folder / name
        try:
            is_one = not name.startswith(".") and path.resolve().parent == path.parent == folder and path.is_file()
        except (OSError, ValueError):  # no name that a file can have
            is_one = False
        if not is_one:
            raise SettingsError(f"not changed: there is no calibration {name!r} in {folder}")
        return path

    def _tried(self, config: Config) -> Settings:
        """The settings, found to be right as far as can be told beforehand. Raises SettingsError."""
        text = config_text(config, "" if config.calibration is None else str(config.calibration))
        try:
            Config.model_validate(yaml.safe_load(text))
            check_calibration(config)
            about = about_of(config, config.calibration, seq=self.about.seq)
        except ValidationError as error:
            raise SettingsError("not changed: " + "; ".join(explain(error))) from None
        except (CalibrationError, OSError) as error:
            raise SettingsError(f"not changed: {error}") from None
        assert self._fusion_with is not None  # asked before
        return Settings(config, about, self._fusion_with(self._written(text)))

    def _written(self, text: str) -> Path:
        self._files += 1
        path = self._folder.path() / f"fusion-{self._files}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def _follow(self, before: Settings, supervisor: Supervisor, monitor: Monitor, now_ns: int) -> None:
        """Whether fusion runs with the new settings, or not."""
        if now_ns - self._asked_ns > LONGEST_TRIAL_NS:
            self._take_back(before, supervisor, monitor, f"fusion said nothing for {LONGEST_TRIAL_NS // 10**9} s with")
            return
        started_ns = supervisor.started_ns(FUSION)
        if started_ns is None or started_ns < self._asked_ns:
            return
        if not self._speaks_anew:
            monitor.expect_fusion()
            self._speaks_anew = True
        if FUSION in supervisor.refused:
            self._take_back(before, supervisor, monitor, "fusion refused, for the reason it told,")
        elif supervisor.restarts[FUSION] - self._restarts >= MOST_ENDS:
            self._take_back(before, supervisor, monitor, "fusion ends again and again with")
        elif monitor.last_heard_ns.get(FUSION, 0) > started_ns:
            self.note = "fusion runs with the new settings" + self._how_to_keep(before)
            self._before = None

    def _take_back(self, before: Settings, supervisor: Supervisor, monitor: Monitor, why: str) -> None:
        """why: what fusion did with them, in words that they end."""
        self._before, self._now = None, before
        self.note = f"{why} the new settings; it goes on with those from before"
        if before.config.keypoints_only:
            supervisor.dismiss(FUSION)
            monitor.expect_fusion(False)
            self.note = f"{why} the calibration; nothing is fused, as before"
        elif self._fusion_with is not None:
            supervisor.replace(before.fusion or self._fusion_with(self._config_path))

    def _told(self, asked: SystemRequest) -> str:
        words = (
            asked.lift and f"lifter {asked.lift}",
            asked.smoothing and f"smoothing {asked.smoothing}",
            asked.calibration and f"the calibration {asked.calibration}",
        )
        return ", ".join(word for word in words if word)

    def _how_to_keep(self, before: Settings) -> str:
        """What to write into the user's file, so that a calibration is there at the next start, too."""
        path = self.config.calibration
        if path is None or path == before.config.calibration:
            return ""
        line = os.path.relpath(path, self._config_path.resolve().parent)
        return f"; to keep the calibration, write into {self._config_path}: `calibration: {line}`"
