"""Files of other programs, read back with other people's software: positions to 0.1 mm, in the right unit and axes."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nodes.exporting.export import Wish, export
from nodes.exporting.plan import Axes
from tests.export_readers import read_bvh, read_trc
from tests.export_sessions import poses_of, save, walker
from tests.messages import START_NS

ROOT = Path(__file__).parent.parent
TENTH_MM = 1e-4
RIGHT_WRIST = 16
HIDDEN = slice(40, 60)  # two thirds of a second: longer than any gap that is bridged
SECONDS = 4.0


@pytest.fixture(scope="module")
def joints_m():
    """Two people: 4, whose right wrist is hidden for a while, and 9, who comes after a second, goes and comes back."""
    x = walker(SECONDS)
    y = walker(SECONDS, motion="walk") + np.array([2.0, 0.0, 0.0])
    x[HIDDEN, RIGHT_WRIST] = np.nan
    y[:30] = y[70:90] = np.nan
    return {4: x.astype(np.float32).astype(float), 9: y.astype(np.float32).astype(float)}


@pytest.fixture(scope="module")
def session(joints_m, tmp_path_factory):
    return save(tmp_path_factory.mktemp("take") / "take.mcap", poses_of(joints_m, 30.0, skeleton="mediapipe33"))


@pytest.fixture
def exported(session, tmp_path):
    """Writes the session to a file; the folder it is in."""

    def write(name, **wish):
        told = export(session, Wish(tmp_path / name, **wish))
        assert not list(tmp_path.glob("*.part*"))
        return tmp_path / name, told

    return write


def y_up(points):
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def as_table(frame, who, joints):
    """(T, J, 3) of one person from tidy rows."""
    part = frame[frame["person"] == who]
    assert list(dict.fromkeys(part["joint"])) == list(joints)
    return part[["x", "y", "z"]].to_numpy(float).reshape(-1, len(joints), 3), part


@pytest.mark.parametrize("name", ["take.csv", "take.parquet"])
def test_tables_are_read_by_pandas(exported, joints_m, name):
    pandas = pytest.importorskip("pandas")
    path, told = exported(name)
    frame = pandas.read_csv(path) if name.endswith("csv") else pandas.read_parquet(path)
    assert list(frame.columns[:9]) == ["time", "captured_ns", "person", "joint", "x", "y", "z", "sigma", "views"]
    joints = list(dict.fromkeys(frame["joint"]))
    assert len(joints) == 33
    for who, expected in joints_m.items():
        there = np.isfinite(expected).all(-1).any(-1)
        found, part = as_table(frame, who, joints)
        assert np.nanmax(np.abs(found - expected[there])) < TENTH_MM
        assert np.array_equal(np.isnan(found), np.isnan(expected[there]))
        assert np.allclose(part["time"].to_numpy()[::33], np.flatnonzero(there) / 30.0, atol=1e-6)
        assert np.allclose((part["captured_ns"].to_numpy() - START_NS) * 1e-9, part["time"].to_numpy(), atol=1e-6)
    hidden = frame[(frame["person"] == 4) & (frame["joint"] == "right_wrist") & frame["x"].isna()]
    assert len(hidden) == 20
    assert set(hidden["origin"]) == {"absent"}
    assert set(hidden["views"]) == {0}
    seen = frame[frame["x"].notna()]
    assert set(seen["origin"]) == {"triangulated"}
    assert (set(seen["views"]), set(seen["cameras"])) == ({2}, {"left right"})
    assert np.allclose(seen["sigma"], 0.01)
    assert "2 people" in told[0]


def test_parquet_explains_itself(exported):
    parquet = pytest.importorskip("pyarrow.parquet")
    path, _ = exported("take.parquet", axes=Axes.Y_UP)
    facts = json.loads(parquet.read_schema(path).metadata[b"livepose3d"])
    assert (facts["axes"], facts["skeleton"], facts["start_ns"]) == ("y-up", "mediapipe33", START_NS)
    assert (len(facts["joints"]), facts["cameras"]) == (33, ["left", "right"])


def test_npz_is_what_reprocess_writes(exported, joints_m):
    from nodes.offline.result_file import load_result

    path, _ = exported("take.npz")
    result = load_result(path)
    assert (result.skeleton, result.cameras) == ("mediapipe33", ("left", "right"))
    assert np.array_equal(result.captured_ns, START_NS + np.round(np.arange(120) / 30 * 1e9).astype(int))
    for column, (who, expected) in enumerate(joints_m.items()):
        there = np.isfinite(expected).all(-1).any(-1)
        assert np.array_equal(result.person_id[:, column], np.where(there, who, -1))
        assert np.allclose(result.joints_m[:, column], expected, atol=TENTH_MM, equal_nan=True)
        assert np.array_equal(result.views[:, column, 0], np.where(there, 3, 0))


def test_tables_at_another_rate_say_what_was_bridged(session, tmp_path):
    pandas = pytest.importorskip("pandas")
    export(session, Wish(tmp_path / "take.csv", rate_hz=60.0, people=(4,)))
    frame = pandas.read_csv(tmp_path / "take.csv")
    assert set(frame["person"]) == {4}
    assert np.allclose(np.diff(frame["time"][::33]), 1 / 60, atol=2e-6)
    assert len(frame) == 33 * 239


def test_trc_is_read_by_what_knows_trc_alone(exported, joints_m):
    path, told = exported("take.trc")
    assert not path.exists()
    assert f"{path.with_name('take_p4.trc')}, {path.with_name('take_p9.trc')}: 2 people" in told[0]
    for who, first, count in ((4, 0, 120), (9, 30, 90)):
        markers = read_trc(path.with_name(f"take_p{who}.trc"))
        expected = y_up(joints_m[who])[first:]
        assert (markers.head["Units"], float(markers.head["DataRate"])) == ("mm", 30.0)
        assert (int(markers.head["NumFrames"]), int(markers.head["NumMarkers"])) == (count, 33)
        assert np.nanmax(np.abs(markers.xyz / 1000 - expected)) < TENTH_MM
        assert np.array_equal(np.isnan(markers.xyz), np.isnan(expected))
        assert np.allclose(markers.time_s, (first + np.arange(count)) / 30, atol=1e-6)
        assert np.array_equal(markers.frame, first + 1 + np.arange(count))
        assert markers.names[0] == "Nose"
        assert set(markers.names) >= {"RBigToe", "LHeel", "RWrist", "LHip", "RThumb", "LEyeInner"}


def test_trc_rows_are_as_long_as_opensim_wants_them(tmp_path):
    """OpenSim forgets an empty last field: whose last marker is absent, too, has a tab behind every field."""
    x = walker(1.0)
    x[:, -1] = np.nan
    path = save(tmp_path / "s.mcap", poses_of({0: x}, 30.0, skeleton="mediapipe33"))
    export(path, Wish(tmp_path / "s.trc"))
    rows = (tmp_path / "s.trc").read_text().split("\n")[6:-1]
    assert {row.count("\t") for row in rows} == {2 + 3 * 33}
    assert all(row.endswith("\t") for row in rows)


@pytest.mark.parametrize(("skeleton", "names"), [
    ("halpe26", {"Hip", "Neck", "Head", "Nose", "RBigToe", "RSmallToe", "LHeel", "LElbow"}),
    ("body25b", {"Neck", "Head", "Nose", "LBigToe", "RShoulder", "LEar"}),
    ("body25", {"CHip", "Neck", "Nose", "REye", "LSmallToe"}),
    ("coco17", {"Nose", "LEye", "RAnkle"}),
    ("mpii16", {"CHip", "Thorax", "Neck", "Head"}),
    ("h36m17", {"Hip", "Spine", "Thorax", "Neck", "Head"}),
    ("cmu22", {"Hip", "Neck", "Head", "HeadTop", "LHand", "LToe"}),
])  # fmt: skip
def test_markers_are_called_as_users_of_opensim_call_them(skeleton, names):
    from lifter.skeleton import SKELETONS
    from nodes.exporting.marker_names import marker_names

    found = marker_names(skeleton, SKELETONS[skeleton].joints)
    assert names <= set(found)
    assert len(set(found)) == len(found)


def test_c3d_is_read_by_ezc3d(exported, joints_m):
    ezc3d = pytest.importorskip("ezc3d")
    path, _ = exported("take.c3d")
    for who, first, count in ((4, 0, 120), (9, 30, 90)):
        found = ezc3d.c3d(str(path.with_name(f"take_p{who}.c3d")))
        points, point = found["data"]["points"], found["parameters"]["POINT"]
        expected = joints_m[who][first:]
        assert np.nanmax(np.abs(points[:3].transpose(2, 1, 0) / 1000 - expected)) < TENTH_MM
        residual = found["data"]["meta_points"]["residuals"][0].T
        assert np.array_equal(residual < 0, np.isnan(expected).any(-1))
        assert set(residual.ravel()) <= {-1.0, 0.0}
        assert not found["data"]["meta_points"]["camera_masks"][:, 0].any()
        assert point["UNITS"]["value"] == ["mm"]
        assert point["RATE"]["value"][0] == 30.0
        assert (point["X_SCREEN"]["value"], point["Y_SCREEN"]["value"]) == (["+X"], ["+Z"])
        assert point["LABELS"]["value"][15:17] == ["LWrist", "RWrist"]
        assert found["parameters"]["ANALOG"]["USED"]["value"][0] == 0
        assert (found["header"]["points"]["first_frame"], points.shape[2]) == (first, count)
        assert found["parameters"]["LIVEPOSE3D"]["START_S"]["value"][0] == pytest.approx(first / 30)
        assert found["parameters"]["LIVEPOSE3D"]["PERSON"]["value"] == [str(who)]


def test_c3d_of_a_time_longer_than_it_can_count_goes_on_in_another_file(session, tmp_path, monkeypatch):
    ezc3d = pytest.importorskip("ezc3d")
    from dataclasses import replace

    from nodes.exporting.formats import FORMATS

    monkeypatch.setitem(FORMATS, "c3d", replace(FORMATS["c3d"], most=50))
    monkeypatch.setattr("nodes.exporting.c3d_file.MOST_FRAMES", 50)
    told = export(session, Wish(tmp_path / "take.c3d", people=(4,)))
    files = ["take.c3d", "take_part2.c3d", "take_part3.c3d"]
    assert all(file in told[0] for file in files)
    read = [ezc3d.c3d(str(tmp_path / file)) for file in files]
    assert [each["data"]["points"].shape[2] for each in read] == [50, 50, 20]
    starts = [each["parameters"]["LIVEPOSE3D"]["START_S"]["value"][0] for each in read]
    assert np.allclose(starts, [0, 50 / 30, 100 / 30])


def test_bvh_by_its_own_kinematics(exported, joints_m):
    from lifter.skeleton import MEDIAPIPE33

    path, told = exported("take.bvh")
    assert any("stands still" in line for line in told)
    for who, first in ((4, 0), (9, 30)):
        skeleton = read_bvh(path.with_name(f"take_p{who}.bvh"))
        assert skeleton.frame_s == pytest.approx(1 / 30, abs=1e-8)
        assert len(skeleton.positions) == 120 - first
        expected = y_up(joints_m[who])[first:]
        found = np.stack([skeleton.of(joint) for joint in MEDIAPIPE33.joints], axis=1)
        error_mm = np.linalg.norm(found - expected, axis=-1) * 1000
        assert np.nanmean(error_mm) < 6.0
        assert np.nanpercentile(error_mm, 95) < 20.0
        for number, joint in enumerate(skeleton.joints):
            if joint.parent >= 0:
                arm = skeleton.positions[:, number] - skeleton.positions[:, joint.parent]
                assert np.ptp(np.linalg.norm(arm, axis=-1)) < 1e-6
        assert np.abs(np.diff(skeleton.values[:, 3:], axis=0)).max() < 180.0
    still = read_bvh(path.with_name("take_p9.bvh")).positions[40:60]
    assert np.allclose(still, still[0], atol=1e-6)


def test_bvh_in_centimetres(exported):
    metres = read_bvh(exported("m.bvh", people=(4,))[0])
    centimetres = read_bvh(exported("cm.bvh", people=(4,), unit="cm")[0])
    assert np.allclose(centimetres.positions, 100 * metres.positions, atol=1e-2)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="Blender as a module: pip install bpy==4.5.15")
def test_blender_puts_bvh_and_gltf_where_the_joints_are(exported, joints_m, tmp_path):
    """With the importers' usual settings: right size, upright, in the world's own coordinates."""
    from lifter.skeleton import MEDIAPIPE33

    bvh, _ = exported("take.bvh", people=(4,))
    glb, _ = exported("take.glb")
    seconds = [0.0, 1.0, 3.5]
    for path in (bvh, glb):
        found = in_blender(path, tmp_path, seconds)
        for who in (4,) if path == bvh else (4, 9):
            for second in seconds:
                if who == 9 and second < 1.0:
                    continue
                bones = found["places"][str(second)]["take" if path == bvh else f"p{who}"]
                prefix = "" if path == bvh else f"p{who}_"
                places = np.array([bones[prefix + joint] for joint in MEDIAPIPE33.joints])
                error_m = np.linalg.norm(places - joints_m[who][round(second * 30)], axis=-1)
                assert np.nanmean(error_m) < 0.01
    own, skeleton = in_blender(bvh, tmp_path, seconds), read_bvh(bvh)
    assert own["rate"] == pytest.approx(30.0, rel=1e-3)
    for second in seconds:
        for bone, place in own["places"][str(second)]["take"].items():
            assert np.allclose(y_up(np.array(place)), skeleton.of(bone)[round(second * 30)], atol=TENTH_MM)


def in_blender(path, folder, seconds):
    out = folder / "places.json"
    command = [sys.executable, "-m", "tests.export_blender", str(path), str(out), *map(str, seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


def test_gltf_is_read_by_pygltflib(exported, joints_m):
    pygltflib = pytest.importorskip("pygltflib")
    from lifter.skeleton import MEDIAPIPE33

    path, _ = exported("take.glb")
    gltf = pygltflib.GLTF2().load(str(path))
    assert (len(gltf.skins), len(gltf.meshes), len(gltf.animations)) == (2, 2, 1)
    blob = gltf.binary_blob()
    assert len(blob) == gltf.buffers[0].byteLength
    for accessor in gltf.accessors:
        values = of_accessor(gltf, blob, accessor)
        assert np.isfinite(values).all()
        if accessor.max:
            assert np.allclose(values.max(axis=0), accessor.max)
    for who in joints_m:
        places, times = gltf_places(gltf, blob, who)
        rows = np.round(times * 30).astype(int)
        assert np.allclose(times, rows / 30, atol=1e-5)
        expected = y_up(joints_m[who])[rows]
        found = np.stack([places[f"p{who}_{joint}"] for joint in MEDIAPIPE33.joints], axis=1)
        error_mm = np.linalg.norm(found - expected, axis=-1) * 1000
        assert np.nanmean(error_mm) < 6.0
    shown = scales(gltf, blob, "p9")
    assert [(round(time, 3), round(size)) for time, size in shown] == [(0, 0), (1, 1), (2.333, 0), (3, 1)]
    assert scales(gltf, blob, "p4") == []


def test_gltf_bodies_stand_on_their_bones(exported):
    """The skin at rest is the mesh itself: every vertex where its bone is."""
    pygltflib = pytest.importorskip("pygltflib")
    path, _ = exported("take.glb", people=(4,))
    gltf = pygltflib.GLTF2().load(str(path))
    blob, skin = gltf.binary_blob(), gltf.skins[0]
    bind = of_accessor(gltf, blob, gltf.accessors[skin.inverseBindMatrices]).reshape(-1, 4, 4)
    rest: dict[int, Any] = {}
    for node in skin.joints:
        for child in gltf.nodes[node].children or []:
            rest[child] = rest.get(node, np.array(gltf.nodes[node].translation)) + gltf.nodes[child].translation
    for number, node in enumerate(skin.joints[1:], start=1):
        assert np.allclose(bind[number, 3, :3], -rest[node], atol=1e-6)
    points = np.concatenate([
        of_accessor(gltf, blob, gltf.accessors[each.attributes.POSITION]) for each in gltf.meshes[0].primitives
    ])  # fmt: skip
    assert points[:, 1].min() == pytest.approx(0.0, abs=0.02)
    assert 1.4 < np.ptp(points[:, 1]) < 2.0
    assert np.ptp(points[:, 0]) > np.ptp(points[:, 2])  # arms out to the sides


def of_accessor(gltf, blob, accessor):
    view = gltf.bufferViews[accessor.bufferView]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
    dtype = {5126: "<f4", 5121: "u1"}[accessor.componentType]
    values = np.frombuffer(blob, dtype, accessor.count * width, view.byteOffset)
    assert view.byteOffset % 4 == 0
    return values.reshape(-1, width).astype(float)


def channels(gltf, blob, node, path):
    """Times and values of one animation of a node."""
    animation = gltf.animations[0]
    for channel in animation.channels:
        if channel.target.node == node and channel.target.path == path:
            sampler = animation.samplers[channel.sampler]
            return [of_accessor(gltf, blob, gltf.accessors[each]) for each in (sampler.input, sampler.output)]
    return None


def scales(gltf, blob, name):
    node = [each.name for each in gltf.nodes].index(name)
    found = channels(gltf, blob, node, "scale")
    return (
        []
        if found is None
        else [(time, size) for (time,), (size, *_) in zip(*map(np.ndarray.tolist, found), strict=True)]
    )


def gltf_places(gltf, blob, who):
    """Where a person's nodes are at its key frames."""
    top = gltf.nodes[[node.name for node in gltf.nodes].index(f"p{who}")]
    root = top.children[0]
    times, translation = channels(gltf, blob, root, "translation")
    places = {}

    def descend(node, position, turn):
        places[gltf.nodes[node].name] = position
        own = channels(gltf, blob, node, "rotation")
        turn = turn if own is None else turn @ matrix(own[1])
        for child in gltf.nodes[node].children or []:
            descend(child, position + turn @ np.array(gltf.nodes[child].translation), turn)

    descend(root, translation, np.tile(np.eye(3), (len(times), 1, 1)))
    return places, times[:, 0]


def matrix(q):
    x, y, z, w = q.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
