"""Session files: what is written is read, whole or cut at any byte; what is none says what it is."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import Writer

from nodes.sessions.about import about_of, config_of, config_text, skeleton_of
from nodes.sessions.catalogue import read_catalogue
from nodes.sessions.errors import SessionError
from nodes.sessions.logged import Logged
from nodes.sessions.playing import Flow, Pace, began_with, beginning, has_beginning, shifted
from nodes.sessions.reader import SessionReader
from nodes.sessions.recover import recover
from nodes.sessions.sameness import Sameness
from nodes.sessions.target import check_target, set_aside
from nodes.sessions.writer import PROFILE, SessionWriter, new_session
from nodes.wire.messages import SCHEMA_VERSION, CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D, decode
from tests import messages as make
from tests.session_files import CAMERAS, MS, about, messages, rig_of, saved
from tests.session_files import config_of as config_for


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("session") / "take.mcap")


def read(path: Path) -> list[tuple[str, int, bytes]]:
    with SessionReader(path) as session:
        return [(logged.topic, logged.log_ns, logged.data) for logged in session.logged()]


def test_what_is_written_is_read_in_order_and_to_the_byte(take):
    written = messages()
    with SessionReader(take) as session:
        found: list[Message] = list(session.messages())
        times_ns = [logged.log_ns for logged in session.logged()]
    assert len(found) == len(written)
    assert all(make.same(one, other) for one, (other, _) in zip(found, written, strict=True))
    assert times_ns == [log_ns for _, log_ns in written]


def test_a_session_explains_itself(take):
    with SessionReader(take) as session:
        assert session.cameras == CAMERAS
        assert session.counts == {"keypoints/left": 100, "keypoints/right": 100, "pose/fusion": 100}
        assert (session.start_ns, session.end_ns) == (make.START_NS + 21 * MS, make.START_NS + 99 * 33 * MS + 22 * MS)
        rig = session.rig()
        assert rig is not None
        assert all(
            np.allclose(a.T_cam_world, b.T_cam_world) for a, b in zip(rig.cameras, rig_of().cameras, strict=True)
        )
        assert session.config().fusion == config_for().fusion
        skeleton = session.skeleton()
        assert skeleton is not None
        assert skeleton.name == "mediapipe33"
        assert not session.is_cut
        assert not session.damaged


def test_kinds_and_seconds_are_chosen(take):
    with SessionReader(take) as session:
        assert len(list(session.messages(Pose3D))) == 100
        some = list(session.messages(Keypoints2D, from_s=1.0, to_s=2.0))
        begin_ns = session.start_ns
        assert {message.source for message in some} == set(CAMERAS)
        first, last = some[0].captured_ns + 21 * MS, some[-1].captured_ns + 21 * MS
        assert begin_ns + 1000 * MS <= first < begin_ns + 1033 * MS
        assert begin_ns + 1967 * MS <= last < begin_ns + 2000 * MS
        assert not list(session.messages(from_s=1e6))
        backwards = list(session.logged(Pose3D, reverse=True))
        assert backwards[::-1] == list(session.logged(Pose3D))


def test_the_mcap_package_reads_it(take):
    with take.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        found = [(channel.topic, message.data) for _, channel, message in reader.iter_messages(log_time_order=False)]
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == len(found) == 315
        assert {schema.encoding for schema in summary.schemas.values()} == {"jsonschema"}
        assert {attachment.name for attachment in reader.iter_attachments()} == {
            "config.yaml",
            "rig.toml",
            "about.json",
        }
        middle_ns = make.START_NS + 50 * 33 * MS
        assert next(reader.iter_messages(starting_at=middle_ns))[2].log_time == middle_ns + 21 * MS
    ours = [(topic, data) for topic, _, data in read(take)]
    assert [entry for entry in found if entry[0] != "scene"] == ours
    keypoints = decode(Keypoints2D, next(data for topic, data in found if topic == "keypoints/left"))
    assert keypoints.source == "left"


def test_other_programs_find_schemas_and_a_scene_to_draw(take):
    with take.open("rb") as file:
        schemas, scenes = {}, []
        for schema, channel, message in make_reader(file).iter_messages():
            assert schema is not None
            schemas[schema.name] = json.loads(schema.data)
            if channel.topic == "scene":
                scenes.append(json.loads(message.data))
    assert set(schemas) == {"livepose3d.Keypoints2D", "livepose3d.Pose3D", "foxglove.SceneUpdate"}
    people = schemas["livepose3d.Pose3D"]["properties"]["people"]["items"]["properties"]
    assert people["joints_m"]["description"].startswith("array <f4 of axes J, 3")
    entity = scenes[0]["entities"][0]
    points = entity["lines"][0]["points"]
    assert len(points) > 20
    assert len(points) % 2 == 0
    assert all(set(point) == {"x", "y", "z"} for point in points)


def test_cut_at_any_byte_it_opens_with_everything_before_the_last_quarter_of_a_second(take, tmp_path):
    whole, content = read(take), take.read_bytes()
    with take.open("rb") as file:
        chunks = read_catalogue(file).chunks
    rng = np.random.default_rng(5)
    ends = {chunk.chunk_start_offset + chunk.chunk_length: chunk.message_end_time for chunk in chunks}
    for size in rng.integers(chunks[0].chunk_start_offset + chunks[0].chunk_length, len(content), 40).tolist():
        path = tmp_path / "cut.mcap"
        path.write_bytes(content[:size])
        found = read(path)
        assert found == whole[: len(found)]
        last_ns = max(end_ns for offset, end_ns in ends.items() if offset <= size)
        assert found[-1][1] == last_ns
        with SessionReader(path) as session:
            assert session.is_cut
            assert session.cameras == CAMERAS


def test_a_chunk_holds_no_more_than_a_quarter_of_a_second(take):
    with take.open("rb") as file:
        for chunk in read_catalogue(file).chunks:
            assert chunk.message_end_time - chunk.message_start_time <= 250 * MS


def test_recover_writes_the_index_of_a_cut_session_and_drops_half_a_record(take, tmp_path):
    path = tmp_path / "cut.mcap"
    path.write_bytes(take.read_bytes()[:-3000])
    before = read(path)
    told = recover(path)
    assert "half a record" in told
    assert read(path) == before
    with SessionReader(path) as session:
        assert not session.is_cut
        assert sum(session.counts.values()) >= len(before)
    with path.open("rb") as file:
        found = [
            m for _, channel, m in make_reader(file, validate_crcs=True).iter_messages() if channel.topic != "scene"
        ]
    assert len(found) == len(before)
    assert "whole already" in recover(path)


def test_a_recording_that_is_being_made_is_left_alone_by_recover(tmp_path):
    path = tmp_path / "live.mcap"
    writer = SessionWriter(path)
    for message, log_ns in messages(40):
        writer.write(message, log_ns)
    with pytest.raises(SessionError, match="is being recorded"):
        recover(path)
    writer.close()
    assert "whole already" in recover(path)


def test_a_damaged_chunk_is_passed_over_and_told(take, tmp_path):
    content = bytearray(take.read_bytes())
    with take.open("rb") as file:
        chunk = read_catalogue(file).chunks[3]
    content[chunk.chunk_start_offset + 200] ^= 0xFF
    path = tmp_path / "damaged.mcap"
    path.write_bytes(content)
    with SessionReader(path) as session:
        found = list(session.logged())
        (damage,) = session.damaged
    assert 0 < len(found) < 300
    assert damage.startswith(f"damaged at {(chunk.message_start_time - make.START_NS - 21 * MS) / 1e9:.2f} s")


def without_index(path: Path) -> bytes:
    with path.open("rb") as file:
        return path.read_bytes()[: read_catalogue(file).end]


def test_a_hole_in_a_cut_session_costs_what_was_in_it_and_nothing_behind(take, tmp_path):
    content = bytearray(without_index(take))
    with take.open("rb") as file:
        chunks = read_catalogue(file).chunks
    at = chunks[4].chunk_start_offset + 100
    content[at : at + 4096] = bytes(4096)  # a page that a power cut kept from the disk
    path = tmp_path / "hole.mcap"
    path.write_bytes(content)
    lost = {index for index, chunk in enumerate(chunks) if chunk.chunk_start_offset < at + 4096 and index >= 4}
    for name in ("as it is", "recovered"):
        found = read(path)
        kept = [
            entry
            for entry in read(take)
            if not any(chunks[index].message_start_time <= entry[1] <= chunks[index].message_end_time for index in lost)
        ]
        assert found == kept, name
        with SessionReader(path) as session:
            list(session.logged())
            assert session.damaged or name == "recovered"
        recover(path)


def test_lengths_of_garbage_are_no_reason_to_ask_for_memory(take, tmp_path):
    content = take.read_bytes()
    rng = np.random.default_rng(8)
    path, refused = tmp_path / "flipped.mcap", 0
    for _ in range(150):
        flipped = bytearray(content)
        for at in rng.integers(8, len(content), 3).tolist():
            flipped[at] = int(rng.integers(256))
        path.write_bytes(flipped)
        try:
            with SessionReader(path) as session:
                list(session.logged())
        except SessionError:
            refused += 1
    assert refused < 30  # most of a damaged file is read


def test_what_is_replaced_is_lost_only_when_there_is_something_new(take, tmp_path):
    out = tmp_path / "walk.mcap"
    set_aside(out)()  # nothing there
    for new, kept in ((None, b"old"), (b"", b"old"), (take.read_bytes(), take.read_bytes())):
        out.write_bytes(b"old")
        (tmp_path / "walk.mcap.bak").write_text("mine")
        settle = set_aside(out)
        assert not out.exists()
        if new == b"":
            SessionWriter(out).close()  # a recording of nothing
        elif new is not None:
            out.write_bytes(new)
        settle()
        assert out.read_bytes() == kept
        assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.mcap", "walk.mcap.bak"]


def mcap_of(path: Path, profile: str, metadata: dict[str, str]) -> Path:
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile=profile)
        writer.add_metadata(PROFILE, metadata)
        writer.finish()
    return path


def test_what_is_no_session_says_what_it_is(tmp_path):
    empty = tmp_path / "empty.mcap"
    empty.touch()
    text = tmp_path / "text.mcap"
    text.write_text("keypoints\n" * 100)
    foreign = mcap_of(tmp_path / "ros.mcap", "ros2", {})
    newer = mcap_of(tmp_path / "newer.mcap", PROFILE, {"schema": str(SCHEMA_VERSION + 1), "version": "9.1"})
    for path, told in (
        (tmp_path / "none.mcap", "does not exist"),
        (tmp_path, "no file"),
        (empty, "is empty"),
        (text, "does not begin as an MCAP file"),
        (foreign, "'ros2'"),
        (newer, f"recorded by livepose3d 9.1 in schema {SCHEMA_VERSION + 1}"),
    ):
        with pytest.raises(SessionError, match=told) as fault:
            SessionReader(path)
        assert str(path) in str(fault.value)


def test_a_session_without_messages_and_without_words_about_itself_opens(tmp_path):
    writer = SessionWriter(tmp_path / "bare.mcap")
    writer.close()
    with SessionReader(tmp_path / "bare.mcap") as session:
        assert list(session.messages()) == []
        assert session.about is None
        assert session.cameras == ()
        with pytest.raises(SessionError, match="no configuration in it"):
            session.config()


def test_log_times_never_fall(tmp_path):
    content = [
        (make.pose(seq=0), make.START_NS + 5),
        (make.pose(seq=1), make.START_NS),
        (make.pose(seq=2), make.START_NS + 9),
    ]
    path = saved(tmp_path / "s.mcap", content)
    assert [log_ns - make.START_NS for _, log_ns, _ in read(path)] == [5, 5, 9]


def test_a_recording_is_never_written_over(take):
    with pytest.raises(FileExistsError):
        SessionWriter(take)
    with (
        pytest.raises(SessionError, match="exists already: give another name, or --force"),
        new_session(take, about(), force=False),
    ):
        pass


def test_a_command_that_fails_leaves_what_was_there_and_no_half_work(tmp_path):
    path = saved(tmp_path / "s.mcap")
    before = path.read_bytes()

    def fail() -> None:
        with new_session(path, about(), force=True) as writer:
            writer.write(make.pose(), make.START_NS)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_targets_that_would_lose_something_are_refused(take, tmp_path):
    with pytest.raises(SessionError, match="is what is read, which would be lost"):
        check_target(take, (take,), force=True)
    with pytest.raises(SessionError, match="is a folder"):
        check_target(tmp_path, (), force=True)
    with pytest.raises(SessionError, match="there is no folder"):
        check_target(tmp_path / "no" / "o.mcap", (), force=True)
    with pytest.raises(SessionError, match="File name too long"):
        check_target(tmp_path / ("n" * 300), (), force=True)


def test_a_full_disk_leaves_the_file_whole_up_to_there_with_its_index(tmp_path, monkeypatch):
    path = tmp_path / "full.mcap"
    writer = SessionWriter(path)
    room, real = 40_000, io.FileIO.write

    class Full(io.FileIO):
        def write(self, data) -> int:
            left = room - self.tell()
            if left < len(data) and not done:
                real(self, bytes(data)[: max(0, left // 2)])  # half of it still fits
                raise OSError(28, os.strerror(28))
            return real(self, data)

    done: list[bool] = []
    writer._file.close()
    writer._file = Full(path, "r+b")
    writer._file.seek(0, io.SEEK_END)
    writer._container._file = writer._file

    def write_all() -> None:
        for message, log_ns in messages(1000):
            writer.write(message, log_ns)

    with pytest.raises(OSError, match="No space left"):
        write_all()
    done.append(True)
    writer.close()
    with SessionReader(path) as session:
        assert not session.is_cut
        found: list[Message] = list(session.messages())
    assert len(found) > 50
    assert all(make.same(one, other) for one, (other, _) in zip(found, messages(1000), strict=False))


def test_the_configuration_in_a_session_is_whole_and_without_passwords():
    config = config_for()
    streams = {"cam": {"source": "stream", "url": "rtsp://user:secret@10.0.0.7/stream"}}
    secret = type(config).model_validate({"cameras": streams})
    text = config_text(secret, "")
    assert "secret" not in text
    assert "rtsp://10.0.0.7/stream" in text
    told = about_of(config, rig_of())
    assert config_of(told).fusion == config.fusion
    assert "min_cutoff_hz" in told.config_yaml  # defaults, too: they may be others tomorrow
    without = config.model_copy(
        update={
            "fusion": config.fusion.model_copy(
                update={"synchroniser": config.fusion.synchroniser.model_copy(update={"deadline_ms": None})}
            )
        }
    )
    assert config_of(about_of(without, rig_of())).fusion.synchroniser.deadline_ms is None


def test_a_calibration_file_is_kept_to_the_last_digit(tmp_path):
    from calibration.rig_file import save_rig

    path = tmp_path / "mine.toml"
    save_rig(rig_of(), path)
    path.write_text(path.read_text() + "# measured on Monday\n")
    told = about_of(config_for(), path)
    assert told.rig_text == path.read_text()
    skeleton = skeleton_of(told)
    assert skeleton is not None
    assert len(skeleton.joints) == 33


def test_times_are_moved_and_nothing_else(take):
    with SessionReader(take) as session:
        for logged in session.logged():
            moved = decode(logged.kind, shifted(logged, 3_600_000 * MS))
            before = logged.message()
            assert moved.captured_ns - before.captured_ns == moved.published_ns - before.published_ns == 3_600_000 * MS
            back = replace(moved, captured_ns=before.captured_ns, published_ns=before.published_ns)
            assert make.same(back, before)
            assert shifted(logged, 0) == logged.data


def test_a_replay_is_as_even_as_the_cameras_were_not_in_bursts_as_it_was_logged():
    pace, late_ns = Pace(), 3_600_000 * MS  # the camera's clock is an hour behind
    sent_ns = [make.START_NS + tick * 5 * MS for tick in range(40)]
    logged_ns = [make.START_NS + late_ns + (tick * 5 // 50 + 1) * 50 * MS for tick in range(40)]
    records = [Logged("pose/fusion", log, sent, b"") for sent, log in zip(sent_ns, logged_ns, strict=True)]
    came_ns = [pace.came_ns(record) for record in records]
    assert set(np.diff(came_ns[10:]).tolist()) == {5 * MS}
    assert all(0 <= record.log_ns - came <= 50 * MS for record, came in zip(records, came_ns, strict=True))


def healthy(began_source: str, began_ns: int) -> FusionHealth:
    return make.fusion_health(began_source=began_source, began_ns=began_ns)


def test_a_session_is_played_from_the_frame_that_fusion_began_with(tmp_path):
    content = messages(10)
    third = [message for message, _ in content if message.source == "right"][2]
    told = [*content, (healthy("right", third.captured_ns), content[-1][1] + MS)]
    with SessionReader(saved(tmp_path / "s.mcap", told)) as session:
        assert beginning(session) == ("right", third.captured_ns)
        assert has_beginning(session)
        first = next(began_with(session, session.logged(Keypoints2D)))
        assert (first.source, first.seq) == ("right", 2)
    unknown = [*content, (healthy("right", third.captured_ns - 999 * MS), content[-1][1] + MS)]
    with SessionReader(saved(tmp_path / "t.mcap", unknown)) as session:
        assert not has_beginning(session)
        assert len(list(began_with(session, session.logged(Keypoints2D)))) == 20
    gone = [*content, (healthy("attic", 5), content[-1][1] + MS)]
    with SessionReader(saved(tmp_path / "u.mcap", gone)) as session:
        assert len(list(began_with(session, session.logged(Keypoints2D)))) == 20


def test_what_fusion_has_not_taken_in_holds_the_player_up_while_fusion_lives():
    flow = Flow()
    flow.sent = 700
    assert not flow.is_ahead(10.0)  # nobody has spoken
    flow.heard(seq=3, taken=100, now_s=10.0)
    assert flow.is_ahead(10.1)
    assert not flow.is_ahead(13.0)  # fusion is silent: whoever waited would wait for ever
    flow.heard(seq=4, taken=300, now_s=13.0)
    assert not flow.is_ahead(13.1)
    flow.sent = 1200
    flow.heard(seq=0, taken=10, now_s=14.0)  # started again
    assert not flow.is_ahead(14.0)


def poses_at(*ticks: int, x: float = 0.0) -> list[Pose3D]:
    return [
        make.pose(
            seq=tick,
            captured_ns=make.START_NS + tick * MS,
            people=(make.person(sigma_m=np.full(17, 0.01 + x, np.float32)),),
        )
        for tick in ticks
    ]


def compared(live: list[Pose3D], again: list[Pose3D]) -> Sameness:
    sameness = Sameness()
    for pose in again:
        sameness.again(pose)
    for pose in live:
        sameness.live(pose)
    return sameness


def test_sameness_is_of_what_was_fused_not_of_when_it_was_sent():
    live = [
        replace(pose, published_ns=pose.captured_ns + 7, stages_ns={**pose.stages_ns, "send": 5, "fuse": 9})
        for pose in poses_at(1, 2, 3)
    ]
    again = [
        replace(pose, stages_ns={k: v for k, v in pose.stages_ns.items() if k not in ("send", "fuse")})
        for pose in poses_at(1, 2, 3, 4)
    ]
    assert compared(live, again).result(1, True) == "all 3 poses are identical to those that were live"


def test_every_difference_is_counted():
    sameness = compared(poses_at(1, 2, 4, 5), [*poses_at(1), *poses_at(2, x=0.5), *poses_at(3, 5)])
    assert (sameness.same, sameness.different, sameness.only_live, sameness.only_again) == (2, 1, 1, 1)
    assert sameness.first_ns == make.START_NS + 2 * MS
    told = sameness.result(2, False)
    assert told.startswith("2 poses are identical to those that were live, 1 differ, 1 were live only, 1 are new")
    assert "had begun before" in told
    assert "started again once" in told


def test_a_session_with_nobody_in_it(tmp_path):
    content = [(make.keypoints(people=0, seq=0), make.START_NS), (make.pose(people=(), seq=0), make.START_NS + MS)]
    content.append((CameraHealth(**make.stamps(), state="ended"), make.START_NS + 2 * MS))
    with SessionReader(saved(tmp_path / "nobody.mcap", content)) as session:
        found: list[Message] = list(session.messages())
        assert [type(message) for message in found] == [Keypoints2D, Pose3D, CameraHealth]
