"""What the live page does with all that can be wrong: it says so, and goes on.

One page and one reader for all, so that each test also shows that the page outlives the one before.
"""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.acting_people import Cast
from benchmarks.acting_system import ActingSystem
from benchmarks.page_reader import PageReader, stalled
from lifter.skeleton import Skeleton
from nodes import viewer
from nodes.wire.bus import Publisher, now_ns
from nodes.wire.codec import pack, unpack
from nodes.wire.messages import CameraHealth, FusionHealth, Message, Origin, Person3D, Pose3D, Preview, RecorderHealth
from nodes.wire.requests import CalibrationState, Mark, PlayMark, PlayState, SystemState
from nodes.wire.topics import envelope
from tests import messages as make
from tests.hub import free_ports
from tests.page_process import PageProcess, running_page

HACK = "<img src=x onerror=\"window.hacked='yes'\"><script>window.hacked='yes'</script>"
STICK = Skeleton("stick", ("foot", "knee", "hip", "neck", "top"), ((0, 1), (1, 2), (2, 3), (3, 4)))


@pytest.fixture(scope="module")
def page(hub, tmp_path_factory) -> Iterator[PageProcess]:
    with running_page(hub, tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture(scope="module")
def reader(page) -> Iterator[PageReader]:
    with PageReader(page.port) as reading:
        yield reading


@pytest.fixture
def acting(hub, reader):
    """Starts made-up systems; when they are over, the page has to be well."""
    started: list[ActingSystem] = []

    def start(**options) -> ActingSystem:
        system = ActingSystem(hub.inner, hub.outer, **options)
        started.append(system)
        system.start()
        return system

    yield start
    for system in started:
        system.stop()


def stamps(source: str = "fusion") -> dict[str, Any]:
    return {"captured_ns": now_ns(), "published_ns": 0, "source": source, "seq": 0}


def goes_on(page: PageProcess, reader: PageReader, seconds: float = 0.6) -> bool:
    """Whether the page is well, and sends what is new."""
    before = reader.frames
    time.sleep(seconds)
    assert reader.frames > before
    return page.is_well(reader)


def test_nobody_speaks(page, reader):
    reader.wait_for("python run_system.py")
    assert page.is_well(reader)


def test_the_port_is_taken_and_an_address_for_everybody(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert viewer.main(["--port", str(port)]) == 2
        told = capsys.readouterr().err
        assert f"port {port}" in told
        assert "--page-port" in told
    assert viewer.main(["--host", "0.0.0.0", "--port", str(free_ports(1)[0])]) == 2
    assert "ssh -L" in capsys.readouterr().err


def test_a_system_of_another_schema(hub, page, reader):
    pose = envelope(make.pose(source="fusion"))
    head, _, body = pose.partition(b"\0")
    newer = head + b"\0" + pack({**unpack(body), "schema": 2})
    with Publisher(hub.inner) as bus:
        for told, data in (("schema version 2", newer), ("not msgpack", b"pose/fusion\0no msgpack")):
            for _ in range(10):
                bus.send_bytes(b"what is this?")  # on no topic of ours: it does not come here at all
                bus.send_bytes(data)
                time.sleep(0.03)
            reader.wait_for(told)
    assert page.is_well(reader)


def test_poses_of_a_system_that_says_nothing_about_itself(acting, page, reader):
    acting(cameras=0, people=2)
    reader.wait_for("2 people")
    assert page.is_well(reader)


def test_words_about_a_system_that_cannot_be_read(acting, page, reader):
    system = acting()
    reader.wait_for("All is well")
    about = system.about
    assert about is not None
    for broken, told in (
        (replace(about, config_yaml="cameras: ["), "cannot be read"),
        (replace(about, config_yaml="cameras: {a: {source: telepathy}}"), "not one of this version"),
        (replace(about, rig_text="no TOML"), "its calibration"),
        (replace(about, facts_json="[1, 2]", config_yaml=about.config_yaml + "\n"), ""),
        (replace(about, facts_json="{", config_yaml=about.config_yaml + "\n\n"), ""),
        (replace(about, config_yaml="[" * 3000), "cannot be read"),
    ):
        system.say(broken)
        reader.wait_for(told)
        assert goes_on(page, reader, 0.4)
    system.say(about)
    reader.wait_for("All is well")
    assert page.is_well(reader)


def test_sixteen_cameras_and_ten_people(acting, page, reader):
    acting(cameras=16, people=10, pose_hz=15, keypoints_hz=5, preview_hz=1)
    reader.wait_for("16 cameras, 10 people")
    time.sleep(1)
    scene = " ".join(reader.scene())
    assert "cam_15" in scene
    assert page.is_well(reader)


def test_another_skeleton(acting, page, reader):
    acting(cast=Cast(2, skeleton=STICK))
    reader.wait_for("5 of 5 joints")
    assert goes_on(page, reader)


def far(pose: Pose3D, joints_m: float) -> Pose3D:
    moved = [replace(each, joints_m=each.joints_m + np.float32(joints_m)) for each in pose.people]
    return replace(pose, people=tuple(moved))


def nowhere(pose: Pose3D) -> Pose3D:
    people = [replace(each, joints_m=each.joints_m * np.nan, sigma_m=each.sigma_m * np.nan) for each in pose.people]
    return replace(pose, people=tuple(people))


def other_joints(pose: Pose3D) -> Pose3D:
    """People with more and with fewer joints than their skeleton has, and with none."""
    return replace(pose, people=tuple(_of(pose.people[0], n) for n in (0, 1, 5, 34, 200)))


def _of(person: Person3D, n: int) -> Person3D:
    arrays: dict[str, Any] = {}
    for name in ("joints_m", "sigma_m", "reprojection_px", "views", "origin"):
        array = getattr(person, name)
        arrays[name] = np.resize(array, (n, *array.shape[1:]))
    return replace(person, id=n, **arrays)


DISTORTIONS = {
    "a million metres": lambda pose: far(pose, 1e6),
    "as far as numbers go": lambda pose: far(pose, 1e38),
    "infinitely far": lambda pose: far(pose, float("inf")),
    "not a number": nowhere,
    "other joints": other_joints,
    "an origin of the future": lambda pose: replace(
        pose, people=tuple(replace(p, origin=np.full_like(p.origin, 200), id=2**60) for p in pose.people)
    ),
    "unknown skeleton": lambda pose: replace(pose, skeleton="octopus"),
    "one id twice": lambda pose: replace(pose, people=pose.people * 2),
    "sixty-four people": lambda pose: replace(pose, people=tuple(replace(pose.people[0], id=k) for k in range(64))),
    "cameras unheard of": lambda pose: replace(pose, cameras=("nobody", "knows"), left_out={"who?": HACK}),
    "uncalibrated": lambda pose: replace(pose, frame="root_relative"),
    "absent": lambda pose: replace(
        pose, people=tuple(replace(p, origin=np.full_like(p.origin, Origin.ABSENT)) for p in pose.people)
    ),
    "nobody": lambda pose: replace(pose, people=()),
}


def test_people_who_cannot_be(acting, page, reader):
    system = acting(preview_hz=0)
    for name, distort in DISTORTIONS.items():
        system.distort = distort
        time.sleep(0.3)
        assert page.is_well(reader), name
    system.distort = lambda pose: pose
    assert goes_on(page, reader)


def hostile() -> list[Message]:
    """Messages with markup wherever words are."""
    words = HACK * 3
    camera: dict[str, Any] = {
        "state": "reconnecting",
        "granted_format": HACK[:400],
        "note": words[:500],
        "video_file": HACK,
    }
    person = make.pose().people[0]
    return [
        CameraHealth(**stamps("front"), **camera),
        CameraHealth(**stamps(HACK[:60]), **camera),
        FusionHealth(
            **stamps(), cameras={HACK[:60]: make.fusion_health().cameras["left"]}, ticks=1, rate_hz=30.0, people=1,
            reprojection_px_p50=1.0, fused_until_ns=now_ns(), notes=(words[:500],) * 64, lifter=words[:200],
        ),
        RecorderHealth(**stamps("recorder"), state="failed", path=words, note=words[:500]),
        Mark(**stamps("somebody"), text=words[:200]),
        SystemState(
            **stamps("run_system"), smoothing=HACK[:60], calibration=words, said=(words[:1000],) * 100, note=words,
        ),
        CalibrationState(
            **stamps("calibrator"), state="failed", todo=(words[:500],) * 5, doing=words[:500], verdict="redo",
            headline=words * 20, calibration=words, report=words, note=words,
        ),
        PlayState(
            **stamps("replay"), path=words, position_s=float("nan"), duration_s=float("inf"), speed=float("nan"),
            beside=words, marks=(PlayMark(at_s=float("nan"), text=words[:200]),) * 50, note=words[:500],
        ),
        Pose3D(**stamps("beside"), skeleton=HACK[:60], people=(person,), cameras=(), valid=False),
    ]  # fmt: skip


def test_markup_is_shown_as_the_words_that_it_is(acting, page, reader):
    system = acting()
    for _ in range(10):
        for message in hostile():
            system.inject(message)
        time.sleep(0.1)
    reader.wait_for("&lt;img src=x")
    assert "<img src=x" not in reader.html()
    assert "<script>window" not in reader.html()
    assert goes_on(page, reader)


def test_previews_that_are_no_pictures(acting, page, reader):
    system = acting(preview_hz=0)
    jpeg = Cast().preview("front", 0.0, stamps("front")).jpeg
    for size_wh, data in (
        ((320, 180), b""),
        ((320, 180), b"no picture"),
        ((320, 180), jpeg[: len(jpeg) // 2]),
        ((1, 100_000), jpeg),
        ((320, 180), bytes(1024 * 1024)),
    ):
        for _ in range(3):
            system.inject(Preview(**stamps("front"), size_wh=size_wh, jpeg=data))
            time.sleep(0.1)
        assert page.is_well(reader)


def test_a_browser_that_reads_nothing_costs_the_others_nothing(acting, page, reader):
    acting(pose_hz=60)
    reader.wait_for("All is well")
    before = reader.kinds.copy()
    with stalled(page.port), stalled(page.port):
        assert goes_on(page, reader, 2.0)
    fresh = sum(reader.kinds.values()) - sum(before.values())
    assert fresh > 100
    assert page.is_well(reader)


def test_facts_of_any_kind_are_no_harm(acting, page, reader):
    system = acting()
    about = system.about
    assert about is not None
    octopus = {"skeleton": {"name": 1, "joints": 2, "bones": [[9, 99]]}, "lifter": ["x"]}
    every_kind: tuple[object, ...] = ([], 3, {"skeleton": 5}, octopus)
    for facts in every_kind:
        config_yaml = about.config_yaml + "\n" * (1 + len(json.dumps(facts)))
        system.say(replace(about, facts_json=json.dumps(facts), config_yaml=config_yaml))
        assert goes_on(page, reader, 0.4)
