"""Sample GAN to Video in a real ComfyUI: the frames, the file, and what a cancelled one leaves."""

import json
import os
import shutil
import threading
import time
from typing import Any

import av
import numpy as np
import pytest
from prompts import Graph, NodeError
from small_gans import latents, pictures
from videos import PARTS, cancelled, decode, files, fresh, held

SHIPPED = "emoji_people_64.safetensors"


def video(
    graph: Graph, prefix: str, frames: int, gan_name: str = SHIPPED, **more: Any
) -> list[Any]:
    """A walk through three keys, as a video."""
    gan = graph.node("GenartLoadGAN", gan_name=gan_name)
    keys = latents(graph, gan, 0, 3)
    walk = graph.node("GenartWalkGANLatents", keys=keys, frames=frames, mode="slerp z", loop=True)
    look = {"psi": 0.7, "cutoff": -1, "noise_mode": "const", "noise_seed": 0} | more
    return graph.node(
        "GenartSampleGANToVideo", gan=gan, latents=walk, fps=24.0, filename_prefix=prefix, **look
    )


def test_the_file_holds_every_frame_and_the_workflow(server, gans):
    graph, prefix = Graph(), fresh("whole")
    node = video(graph, prefix, 70)
    made = graph.run(server)[node[0]]
    assert made["animated"] == [True]
    file = made["images"][0]
    assert file["filename"] == f"{prefix.removeprefix('videos/')}_00001_.mp4"
    path = server.base / "output" / file["subfolder"] / file["filename"]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shape = (stream.codec.name, stream.pix_fmt, stream.frames, stream.average_rate)
        assert shape == ("h264", "yuv420p", 70, 24)
        assert "GenartSampleGANToVideo" in container.metadata["prompt"]
        assert json.loads(container.metadata["prompt"])
    shown = decode(path).astype(int)
    keys = Graph()
    gan = keys.node("GenartLoadGAN", gan_name=SHIPPED)
    walk = keys.node(
        "GenartWalkGANLatents", keys=latents(keys, gan, 0, 3), frames=70, mode="slerp z", loop=True
    )
    look = {"psi": 0.7, "cutoff": -1, "noise_mode": "const", "noise_seed": 0}
    images = keys.node("GenartSampleGAN", gan=gan, latents=walk, **look)
    assert np.abs(shown - keys.pictures(server, images)).mean() < 3  # what h264 loses


def test_core_nodes_take_the_video(server, gans):
    graph = Graph()
    made = video(graph, fresh("on"), 5)
    parts = graph.node("GetVideoComponents", video=made)
    assert graph.pictures(server, parts).shape == (5, 64, 64, 3)


def test_a_cancelled_video_goes_on_with_its_parts(server, gans):
    before = files(server.base / "output")
    graph, prefix = Graph(), fresh("later")
    made = video(graph, prefix, 1000)
    parts = cancelled(server, graph, 3)
    assert files(server.base / "output") - before == set(parts)
    assert len(pictures(server, count=1)) == 1
    shutil.copy(parts[1], parts[0])  # whoever makes it anew does not see this
    file = graph.run(server)[made[0]]["images"][0]
    shown = decode(server.base / "output" / file["subfolder"] / file["filename"])
    assert len(shown) == 1000 and not parts[0].parent.exists()
    assert np.array_equal(shown[:64], shown[64:128])
    assert not np.array_equal(shown[64:128], shown[128:192])


@pytest.mark.parametrize("count", [1, 65, 66, 130])
def test_a_short_last_part_leaves_the_speed_as_it_is(server, gans, count):
    graph = Graph()
    made = video(graph, fresh("speed"), count)
    file = graph.run(server)[made[0]]["images"][0]
    with av.open(str(server.base / "output" / file["subfolder"] / file["filename"])) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (count, 24)
        seen = [frame.pts for frame in container.decode(video=0)]
    assert len(seen) == count and len(set(np.diff(seen))) <= 1


def test_a_damaged_part_is_made_anew(server, gans):
    graph = Graph()
    made = video(graph, fresh("mended"), 300)
    parts = cancelled(server, graph, 2)
    parts[0].write_bytes(parts[0].read_bytes()[:100])
    file = graph.run(server)[made[0]]["images"][0]
    assert len(decode(server.base / "output" / file["subfolder"] / file["filename"])) == 300


def test_parts_that_nobody_goes_on_with_are_removed(server, gans):
    old, young = (server.base / "output" / PARTS / name for name in ("0" * 32, "1" * 32))
    for folder, days in ((old, 8), (young, 6)):
        folder.mkdir(parents=True)
        (folder / "00000000.mp4").touch()
        begun = time.time() - days * 24 * 3600
        os.utime(folder, (begun, begun))
    graph = Graph()
    video(graph, fresh("short"), 2)
    graph.run(server)
    assert young.exists() and not old.exists()
    shutil.rmtree(young)


def wide_video(server: Any, frames: int, sides: tuple[int, int]) -> dict[str, str]:
    """A video of a quick GAN on a canvas."""
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    canvas = graph.node("GenartSetGANCanvas", gan=gan, width=sides[0], height=sides[1])
    keys = latents(graph, gan, 0, 2)
    walk = graph.node("GenartWalkGANLatents", keys=keys, frames=frames, mode="slerp z", loop=True)
    look = {"psi": 0.7, "cutoff": -1, "noise_mode": "none", "noise_seed": 0}
    made = graph.node(
        "GenartSampleGANToVideo",
        gan=canvas,
        latents=walk,
        fps=30.0,
        filename_prefix=fresh("wide"),
        **look,
    )
    return graph.run(server)[made[0]]["images"][0]


def test_memory_does_not_grow_with_the_length(server, gans):
    seen, stop = [], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            seen.append(held(server))

    watcher = threading.Thread(target=watch)
    watcher.start()
    wide_video(server, 600, (256, 256))
    stop.set()
    watcher.join()
    half = len(seen) // 2
    assert half > 10
    assert max(seen[half:]) - max(seen[:half]) < 60 * 2**20  # kept, they would take 225 MB more


def test_odd_sides_are_made_even(server, gans):
    file = wide_video(server, 3, (45, 33))
    path = server.base / "output" / file["subfolder"] / file["filename"]
    assert decode(path).shape == (3, 34, 46, 3)


@pytest.mark.parametrize("fps", [0.0, -5.0, 1e9, float("nan")])
def test_a_wired_speed_that_no_video_has_is_refused(server, gans, fps):
    """The server holds what stands in a node to its bounds, and lets through what is wired."""
    graph = Graph()
    made = video(graph, fresh("speed"), 4)
    graph.nodes[made[0]]["inputs"]["fps"] = graph.node("PrimitiveFloat", value=fps)
    with pytest.raises(NodeError, match=r"fps cannot be .*: give it 1.0 to 240.0."):
        graph.run(server)
