"""Run by tests in a process of its own: where Blender puts the bones of a file. FILE OUT.json SECONDS …

bpy has one scene for a process, changes signal handlers and prints; so it is not imported into the tests' process.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    import bpy

    path, out, *seconds = sys.argv[1:]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    if path.endswith(".bvh"):
        bpy.ops.import_anim.bvh(filepath=path, update_scene_fps=True)
        first = 1
    else:
        bpy.ops.import_scene.gltf(filepath=path)
        first = 0
    found = {}
    rate = scene.render.fps / scene.render.fps_base
    for each in seconds:
        frame = first + float(each) * rate
        scene.frame_set(int(frame), subframe=frame - int(frame))
        found[each] = {
            armature.name: {bone.name: list(armature.matrix_world @ bone.head) for bone in armature.pose.bones}
            for armature in bpy.data.objects
            if armature.type == "ARMATURE"
        }
    meshes = [thing.name for thing in bpy.data.objects if thing.type == "MESH"]
    Path(out).write_text(json.dumps({"places": found, "rate": rate, "meshes": meshes}))


if __name__ == "__main__":
    main()
