"""Caliscope's 2D points: both layouts, whose cameras and joints they are, times, and what is broken."""

from pathlib import Path

import numpy as np
import pytest

from calibration.rig_file import load_rig, save_rig
from lifter.skeleton import HALPE26, MEDIAPIPE33
from nodes.importing.keypoints_csv import walk
from tests.import_files import content, fused_m, of_camera, recorded, renamed, run

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
OLD = "sync_index,port,frame_index,frame_time,point_id,img_loc_x,img_loc_y,obj_loc_x,obj_loc_y"
NEW = "sync_index,cam_id,object_id,keypoint_id,img_loc_x,img_loc_y,obj_loc_x,obj_loc_y,obj_loc_z,frame_time"
PHASE_S = (0.0, 0.011, 0.02)
UPTIME_S = 47389.9


def row(header: str, **values) -> str:
    return ",".join(str(values.get(name, "")) for name in header.split(","))


def rows_of(recording, header=OLD, camera="port", point="point_id", timed=True, people=1):
    """A line per point; hands and face besides, as Holistic finds them."""
    lines = []
    for t in range(len(recording.keypoints_px)):
        for c in range(len(recording.rig.cameras)):
            time = {"frame_time": UPTIME_S + t / 30 + PHASE_S[c]} if timed else {}
            frame = {"sync_index": t, camera: c, "frame_index": t, **time}
            for person in range(people):
                for j, (x, y) in enumerate(recording.keypoints_px[t, c].tolist()):
                    place = {"img_loc_x": x + 40 * person, "img_loc_y": y, point: j, "object_id": person}
                    lines.append(row(header, **frame, **place))
            for beside in (100, 204, 500):
                if header == OLD:
                    lines.append(row(header, **frame, point_id=beside, img_loc_x=1, img_loc_y=2))
    return lines


def write_csv(folder: Path, lines, header=OLD, name="xy_HOLISTIC.csv", recording=None) -> Path:
    """With the calibration beside it, as Caliscope puts it there."""
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    write_camera_array((recording or recorded(MEDIAPIPE33)).rig, folder / "camera_array.toml")
    return path


def write_camera_array(rig, path: Path) -> None:
    """Caliscope's own file: tables within `cameras`, the rotation as a matrix."""
    tables = [
        f"[cameras.{c}]\ncam_id = {c}\nsize = {list(camera.size_wh)}\nmatrix = {camera.K.tolist()}\n"
        f"distortions = {camera.dist.tolist()}\nrotation = {camera.T_cam_world[:3, :3].tolist()}\n"
        f"translation = {camera.T_cam_world[:3, 3].tolist()}\n"
        for c, camera in enumerate(rig.cameras)
    ]
    path.write_text("\n".join(tables))


def test_mediapipe_points_by_id_at_each_cameras_own_times(tmp_path, capsys):
    recording = recorded(MEDIAPIPE33)
    path = write_csv(tmp_path, rows_of(recording))
    assert run(path, "--out", tmp_path / "s.mcap") == 0
    assert "xy_HOLISTIC.csv's camera 0 is camera cam_0" in capsys.readouterr().err
    messages, config, rig, skeleton = content(tmp_path / "s.mcap")
    assert skeleton == MEDIAPIPE33
    assert config.fusion.synchroniser.rate_hz == pytest.approx(30, rel=1e-5)
    assert rig.names == ("cam_0", "cam_1", "cam_2")
    begin_ns = messages[0].captured_ns
    for c, camera in enumerate(rig.names):
        sent = of_camera(messages, camera)
        np.testing.assert_allclose(np.stack([m.keypoints_px[0] for m in sent]), recording.keypoints_px[:, c], atol=1e-3)
        expected_s = PHASE_S[c] + np.arange(12) / 30
        np.testing.assert_allclose([(m.captured_ns - begin_ns) * 1e-9 for m in sent], expected_s, atol=1e-6)


def test_the_newer_layout_tells_people_apart_and_need_not_tell_times(tmp_path, capsys):
    recording = recorded(HALPE26)
    lines = rows_of(recording, NEW, "cam_id", "keypoint_id", timed=False, people=2)
    path = write_csv(tmp_path, lines, NEW, "xy_ONNX_rtmpose_t_halpe26.csv")
    assert run(path, "--out", tmp_path / "s.mcap") == 0
    assert "30 frames per second are assumed" in capsys.readouterr().err
    messages, _, _, skeleton = content(tmp_path / "s.mcap")
    assert skeleton == HALPE26
    sent = of_camera(messages, "cam_1")
    assert {m.keypoints_px.shape for m in sent} == {(2, 26, 2)}
    np.testing.assert_allclose(sent[3].keypoints_px[1] - sent[3].keypoints_px[0], [[40, 0]] * 26, atol=1e-3)
    assert run(path, "--out", tmp_path / "t.mcap", "--fps", "60") == 0
    assert content(tmp_path / "t.mcap")[1].fusion.synchroniser.rate_hz == 60


def test_what_is_fused_is_where_the_actor_was(tmp_path):
    recording = recorded(MEDIAPIPE33)
    path = write_csv(tmp_path, rows_of(recording, timed=False))
    assert run(path, "--out", tmp_path / "s.mcap") == 0
    error_m = np.linalg.norm(fused_m(tmp_path / "s.mcap") - recording.joints_m, axis=-1)
    assert np.median(error_m) < 0.005


def test_points_that_are_not_seen_have_no_line(tmp_path):
    lines = [line for line in rows_of(recorded(MEDIAPIPE33)) if line.split(",")[4] != "16"]
    assert run(write_csv(tmp_path, lines), "--out", tmp_path / "s.mcap") == 0
    sent = of_camera(content(tmp_path / "s.mcap")[0], "cam_2")
    assert all(np.isnan(m.keypoints_px[0, 16]).all() and m.confidence[0, 16] == 0 for m in sent)
    assert all(np.isfinite(m.keypoints_px[0, 15]).all() for m in sent)


def test_a_file_sorted_by_camera_gives_the_same(tmp_path):
    lines = rows_of(recorded(MEDIAPIPE33))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    by_camera = sorted(lines, key=lambda line: line.split(",")[1])
    for folder, each in (("a", lines), ("b", by_camera)):
        assert run(write_csv(tmp_path / folder, each), "--out", tmp_path / folder / "s.mcap") == 0
    a, b = (content(tmp_path / folder / "s.mcap")[0] for folder in "ab")
    assert [(m.source, m.captured_ns) for m in a] == [(m.source, m.captured_ns) for m in b]
    assert all((m.keypoints_px == n.keypoints_px).all() for m, n in zip(a[:-3], b[:-3], strict=True))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("frame,x,y", "are not those of 2D points, which are sync_index, port"),
        ("frame_index,frame_number,body_nose_x,body_nose_y,body_nose_z", "are not those of 2D points"),
        ("sync_index,point_id,img_loc_x,img_loc_y", "are not those of 2D points"),
        ("", "are not those of 2D points"),
    ],
)
def test_other_columns_are_named_beside_those_that_are_known(tmp_path, capsys, header, told):
    path = write_csv(tmp_path, ["1,2,3"], header)
    assert run(path, "--out", tmp_path / "s.mcap") == 2
    said = capsys.readouterr().err
    assert told in said
    assert header[:20] in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:9]], "line 1297: 4 values for 9 columns; it is cut off"),
        (lambda lines: [*lines[40:], *lines[:40]], "comes after its frame"),
        (lambda lines: [lines[0].replace("0,0,0,", "x,0,0,", 1), *lines[1:]], "sync_index is 'x'"),
        (lambda lines: [line.replace(str(UPTIME_S), "noon") for line in lines], "frame_time is 'noon'"),
        (lambda lines: [], "no points of a body"),
        (lambda lines: [*lines, row(OLD, sync_index=50, port=0, point_id=40)], "its points go up to 40"),
    ],
)
def test_broken_lines_are_told_by_number(tmp_path, capsys, change, told):
    path = write_csv(tmp_path, change(rows_of(recorded(MEDIAPIPE33))))
    assert run(path, "--out", tmp_path / "s.mcap") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "s.mcap").exists()


def test_cameras_by_name_or_number_else_both_lists(tmp_path, capsys):
    path = write_csv(tmp_path, rows_of(recorded(MEDIAPIPE33)))
    rig = renamed(recorded(MEDIAPIPE33).rig, ["left", "right", "door"])
    save_rig(rig, tmp_path / "mine.toml")
    assert run(path, "--out", tmp_path / "s.mcap", "--calibration", tmp_path / "mine.toml") == 2
    told = capsys.readouterr().err
    assert "0, 1, 2" in told
    assert "left, right, door" in told
    options = ["--calibration", tmp_path / "mine.toml", "--names", "left", "right", "door"]
    assert run(path, "--out", tmp_path / "s.mcap", *options) == 0
    assert content(tmp_path / "s.mcap")[2].names == ("left", "right", "door")


def test_caliscopes_calibration_with_vectors_unposed_cameras_and_fisheye(tmp_path):
    rig = recorded(MEDIAPIPE33).rig
    path = tmp_path / "camera_array.toml"
    write_camera_array(rig, path)
    as_read = load_rig(path)
    for ours, theirs in zip(as_read.cameras, rig.cameras, strict=True):
        np.testing.assert_allclose(ours.T_cam_world, theirs.T_cam_world, atol=1e-12)
    text = path.read_text()
    unposed = text[: text.rindex("rotation =")]
    path.write_text(unposed)
    assert load_rig(path).names == ("cam_0", "cam_1")


def test_a_long_file_is_read_in_bounded_memory(tmp_path):
    """What is kept of a frame is three numbers: 24 bytes, however many points it has."""
    lines = rows_of(recorded(MEDIAPIPE33, n_frames=30))
    path = write_csv(tmp_path, lines)
    walked = walk(path)
    kept = sum(
        each.itemsize * len(each)
        for places in walked.cameras.values()
        for each in (places.frames, places.times_s, places.offsets)
    )
    assert kept == 30 * 3 * 24 < path.stat().st_size / 50


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared are not here")
def test_caliscopes_own_recording_and_calibration(tmp_path):
    with np.load(SHARED / "caliscope" / "caliscope_4cam_mediapipe.npz") as arrays:
        values, times_s, reference_m = arrays["keypoints2d"][:, :, 0], arrays["frame_time"], arrays["ref_xyz"]
    lines = [
        f"{t},{c},{t},{times_s[t, c]},{j},{values[t, c, j, 0]:.0f},{values[t, c, j, 1]:.0f},,"
        for t, c, j in np.argwhere(np.isfinite(values[..., :2]).all(-1)).tolist()
        if np.isfinite(times_s[t, c])
    ]
    (tmp_path / "xy_HOLISTIC.csv").write_text("\n".join([OLD, *lines]) + "\n")
    (tmp_path / "camera_array.toml").write_text((SHARED / "caliscope/session_c/camera_array.toml").read_text())
    assert run(tmp_path / "xy_HOLISTIC.csv", "--out", tmp_path / "s.mcap") == 0
    messages, _, rig, skeleton = content(tmp_path / "s.mcap")
    assert skeleton == MEDIAPIPE33
    assert len(of_camera(messages, rig.names[0])) == 267
    low_m, high_m = np.nanpercentile(reference_m, [5, 95], axis=(0, 1))
    ours_m = np.nanmedian(fused_m(tmp_path / "s.mcap"), axis=(0, 1))
    assert (ours_m > low_m).all()
    assert (ours_m < high_m).all()
