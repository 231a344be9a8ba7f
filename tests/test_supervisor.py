"""The supervisor with real, small children: crashes, stubborn ones, orphans. No timing is asserted, only outcomes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import psutil
import pytest

from nodes.system import supervisor as supervisor_module
from nodes.system.priority import STEP
from nodes.system.process_table import Process, Row, Setup, expand, from_this_machine
from nodes.system.supervisor import Supervisor

MS = 1_000_000
AS_A_NODE = "import signal, time\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n"
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)];"
    "print('up', flush=True); time.sleep(600)"
)


class Said(list[tuple[str, str]]):
    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))

    def by(self, name: str) -> list[str]:
        return [line for who, line in self if who == name]


@pytest.fixture
def said():
    return Said()


@pytest.fixture
def supervise(said):
    """Makes a supervisor of `{name: python code}`; whatever is left at the end of the test is ended."""
    made = []

    def make(**codes):
        processes = [Process(name, (sys.executable, "-c", code)) for name, code in codes.items()]
        made.append(Supervisor(processes, said))
        return made[-1]

    yield make
    for each in made:
        each.stop(hurry=lambda: True)


def run_until(
    supervisor: Supervisor, condition: Callable[[], object], done: Collection[str] = (), patience_s: float = 20.0
) -> None:
    """Turn the supervisor's crank until the condition holds."""
    give_up = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up, "this did not happen in time"
        supervisor.ensure_running(time.monotonic_ns(), done)
        time.sleep(0.01)


def test_starts_what_is_wanted_and_is_safe_to_call_again(supervise, said):
    supervisor = supervise(one=SLEEP, two=SLEEP)
    run_until(supervisor, lambda: len(said) == 2)
    pids = {name: supervisor.pid(name) for name in ("one", "two")}
    for _ in range(5):
        supervisor.ensure_running(time.monotonic_ns())
    assert {name: supervisor.pid(name) for name in ("one", "two")} == pids
    assert sorted(said) == [("one", "up"), ("two", "up")]
    assert supervisor.restarts == {"one": 0, "two": 0}


def test_a_killed_process_comes_back_and_is_counted(supervise, said):
    supervisor = supervise(one=SLEEP)
    run_until(supervisor, lambda: said.by("one") == ["up"])
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    run_until(supervisor, lambda: said.by("one").count("up") == 2)
    assert supervisor.pid("one") != first
    assert supervisor.restarts == {"one": 1}
    assert "was ended by SIGKILL; it starts again in 0.2 s" in said.by("one")


def test_a_crashed_process_counts_as_restarting_until_it_speaks_again(supervise):
    supervisor = supervise(one=SLEEP, two=SLEEP)
    run_until(supervisor, lambda: supervisor.pid("one") and supervisor.pid("two"))
    assert supervisor.restarting({}) == set()  # the first start is no restart
    os.kill(supervisor.pid("one"), signal.SIGKILL)
    run_until(supervisor, lambda: supervisor.restarting({}) == {"one"})
    run_until(supervisor, lambda: supervisor.restarts["one"])
    assert supervisor.restarting({"one": supervisor.started_ns("one") - 1}) == {"one"}
    assert supervisor.restarting({"one": supervisor.started_ns("one")}) == set()


def test_a_crash_loop_waits_longer_each_time(supervise, said):
    supervisor = supervise(one="raise SystemExit(1)")
    run_until(supervisor, lambda: len(said.by("one")) >= 3)
    assert [line.rpartition(" in ")[2] for line in said.by("one")[:3]] == ["0.2 s", "0.4 s", "0.8 s"]


def test_exit_code_two_is_final(supervise, said):
    supervisor = supervise(one="import sys; print('no such camera', file=sys.stderr); sys.exit(2)", two=SLEEP)
    run_until(supervisor, lambda: supervisor.refused)
    for _ in range(50):
        supervisor.ensure_running(time.monotonic_ns() + 3600 * 1000 * MS)
    assert supervisor.refused == ["one"]
    assert supervisor.restarts["one"] == 0
    assert said.by("one")[0] == "no such camera"
    assert supervisor.pid("two") is not None


def test_work_done_is_final_and_a_clean_end_without_it_is_not(supervise, said):
    supervisor = supervise(one="", two="")
    run_until(supervisor, lambda: supervisor.restarts["two"] >= 1, done={"one"})
    assert supervisor.restarts["one"] == 0
    assert said.by("one") == []
    assert "ended without a fault although it is still wanted; started again" in said.by("two")


def test_nothing_of_the_output_is_lost(supervise, said):
    code = "import os; [print(i) for i in range(5000)]; os.write(2, b'last words, no newline')"
    supervisor = supervise(one=code)
    run_until(supervisor, lambda: "last words, no newline" in said.by("one"), done={"one"})
    assert [line for line in said.by("one") if line.isdigit()] == [str(i) for i in range(5000)]


def test_stop_ends_the_polite_and_the_stubborn_and_what_they_started(supervise, said, monkeypatch):
    steps = ((signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0))
    monkeypatch.setattr(supervisor_module, "STOP_STEPS", steps)
    parent = f"{AS_A_NODE}import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
    supervisor = supervise(polite=SLEEP, stubborn=STUBBORN, parent=parent)
    run_until(supervisor, lambda: len([line for _, line in said if line == "up"]) == 3)
    tree = [psutil.Process(supervisor.pid(name)) for name in ("polite", "stubborn", "parent")]
    tree += tree[2].children()
    assert len(tree) == 4
    supervisor.stop()
    _gone, alive = psutil.wait_procs(tree, timeout=5)
    assert not alive


def test_stop_lets_processes_finish_what_they_are_doing(supervise, said):
    code = (
        f"{AS_A_NODE}try:\n print('up', flush=True); time.sleep(600)\n"
        "except KeyboardInterrupt:\n time.sleep(0.3); print('saved', flush=True)"
    )
    supervisor = supervise(one=code)
    run_until(supervisor, lambda: said)
    supervisor.stop()
    assert said.by("one") == ["up", "saved"]


def test_what_has_not_begun_yet_ends_without_a_word(supervise, said):
    supervisor = supervise(one=SLEEP)  # as a node that still imports
    run_until(supervisor, lambda: said)
    supervisor.stop()
    assert said.by("one") == ["up"]


def test_the_first_row_is_stopped_last(supervise, said):
    code = (
        f"{AS_A_NODE}try:\n print('up', flush=True); time.sleep(600)\n"
        "except KeyboardInterrupt:\n print('end', flush=True)"
    )
    supervisor = supervise(hub=code, other=code.replace("print('end'", "time.sleep(0.3); print('end'"))
    run_until(supervisor, lambda: len(said) == 2)
    supervisor.stop()
    assert said[2:] == [("other", "end"), ("hub", "end")]


def test_a_frozen_process_is_ended_and_comes_back(supervise, said):
    supervisor = supervise(one=SLEEP)
    run_until(supervisor, lambda: said.by("one") == ["up"])
    os.kill(supervisor.pid("one"), signal.SIGSTOP)
    supervisor.kill_frozen("one", "silent for 10 s")
    run_until(supervisor, lambda: said.by("one").count("up") == 2)
    assert supervisor.restarts == {"one": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_a_process_steps_back_once_in_each_life(supervise):
    code = "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); print('up', flush=True)"
    supervisor = supervise(one=code, two=SLEEP)
    run_until(supervisor, lambda: supervisor.pid("one") and len(psutil.Process(supervisor.pid("one")).threads()) == 2)

    def priorities() -> set[int]:
        pid = supervisor.pid("one")
        return {os.getpriority(os.PRIO_PROCESS, thread.id) for thread in psutil.Process(pid).threads()}

    before = priorities()
    supervisor.let_step_back({"one"})
    assert priorities() == {max(STEP, each) for each in before}
    assert os.getpriority(os.PRIO_PROCESS, supervisor.pid("two")) in before
    os.kill(supervisor.pid("one"), signal.SIGKILL)
    run_until(supervisor, lambda: supervisor.restarts["one"] and supervisor.pid("one"))
    assert priorities() == before  # a new life starts in front again


def test_children_die_with_a_supervisor_that_is_killed(tmp_path):
    """Kill -9 of the supervising process: the kernel ends the children, also one that ignores every polite signal."""
    script = tmp_path / "watch.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from nodes.system.process_table import Process\n"
        "from nodes.system.supervisor import Supervisor\n"
        f"codes = [{SLEEP!r}, {STUBBORN!r}]\n"
        "rows = [Process(f'p{n}', (sys.executable, '-c', code)) for n, code in enumerate(codes)]\n"
        "supervisor = Supervisor(rows, lambda name, line: print(name, supervisor.pid(name), flush=True))\n"
        "while True:\n supervisor.ensure_running(time.monotonic_ns()); time.sleep(0.01)\n"
    )
    watcher = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert watcher.stdout is not None
        children = [psutil.Process(int(watcher.stdout.readline().split()[1])) for _ in range(2)]
    finally:
        watcher.kill()
        watcher.wait()
    _gone, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_a_table_row_per_camera_becomes_a_process_per_camera():
    table = (
        Row("hub", "nodes.hub", lambda setup, _: ["--inner", setup.inner]),
        Row("{camera}", "nodes.camera", lambda setup, camera: ["--camera", camera]),
        Row("never", "nodes.never", lambda setup, _: [], wanted=lambda *_: False),
    )
    setup = Setup(Path("rig.yaml"), ("left", "right"), "tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    processes = expand(table, setup)
    assert [(process.name, process.wanted) for process in processes] == [
        ("hub", True),
        ("left", True),
        ("right", True),
        ("never", False),
    ]
    assert processes[2].command == (sys.executable, "-m", "nodes.camera", "--camera", "right")
    assert str(processes[2]) == "right      python -m nodes.camera --camera right"
    assert str(processes[3]) == "never      (not started here) python -m nodes.never"


@pytest.mark.parametrize(
    ("listening", "reached"),
    [
        ("tcp://[::]:5555", "tcp://[::1]:5555"),
        ("tcp://[::1]:5555", "tcp://[::1]:5555"),
        ("tcp://0.0.0.0:5555", "tcp://127.0.0.1:5555"),
        ("tcp://*:5555", "tcp://127.0.0.1:5555"),
        ("tcp://10.0.0.5:5555", "tcp://10.0.0.5:5555"),
    ],
)
def test_wildcards_are_no_destinations(listening, reached):
    assert from_this_machine(listening) == reached


def test_native_chatter_is_left_out_but_not_the_last_words_before_an_abort(supervise, said):
    """As MediaPipe writes: by file descriptor, a fatal line directly before the process is gone."""
    lines = (
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "W0000 00:00:1732186895.123456   12345 inference_feedback_manager.cc:114] Feedback manager requires",
        "I20261121 10:00:00.000000 a line of another form",
        "E0000 00:00:1732186895.123456   12345 graph.cc:1] an error",
        "INFO: of our own",
        "F0000 00:00:1732186895.123456   12345 check.cc:7] Check failed",
    )
    supervisor = supervise(one=f"import os; os.write(2, {chr(10).join(lines).encode()!r}); os.abort()")
    run_until(supervisor, lambda: any("SIGABRT" in line for line in said.by("one")))
    assert said.by("one")[:4] == list(lines[3:])
