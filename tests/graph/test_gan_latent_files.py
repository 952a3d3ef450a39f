"""Latents in files and inside pictures, in a real ComfyUI: what is kept is what comes back."""

import io
import json
import re
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prompts import Graph, NodeError, fetch, forget
from small_gans import latents, pictures, refusal, sampled, write_gan

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fresh(stem: str) -> str:
    return f"{stem} {uuid.uuid4().hex[:8]}"


def keep(server: Any, name: str, seed: int = 3, count: int = 4) -> str:
    """Save latents under a name; what the list then calls the file."""
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    batch = latents(graph, gan, seed, count)
    kept = graph.node("GenartSaveGANLatents", latents=batch, name=name)
    path = Path(graph.run(server)[kept[0]]["text"][0].removeprefix("Saved "))
    return f"{path.relative_to(server.base / 'output').as_posix()} [output]"


def listed(server: Any, node: str, input_: str) -> list[str]:
    return server.get(f"/object_info/{node}")[node]["input"]["required"][input_][1]["options"]


def test_saved_latents_come_back(server, gans):
    name = keep(server, fresh("kept"))
    assert name in listed(server, "GenartLoadGANLatents", "latents_name")
    forget(server)
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    loaded = graph.node("GenartLoadGANLatents", latents_name=name)
    assert np.array_equal(
        graph.pictures(server, sampled(graph, gan, loaded)), pictures(server, seed=3)
    )


def test_nothing_is_overwritten_and_equal_latents_are_one_file(server, gans):
    name = fresh("twice")
    first = keep(server, name, seed=3)
    forget(server)
    assert keep(server, name, seed=3) == first == f"genart/latents/{name}.safetensors [output]"
    assert keep(server, name, seed=4) == f"genart/latents/{name}_2.safetensors [output]"


def test_latents_are_read_from_the_input_folder_too(server, gans):
    name = keep(server, fresh("moved"))
    source = server.base / "output" / name.removesuffix(" [output]")
    moved = server.base / "input" / source.name
    source.rename(moved)
    assert moved.name in listed(server, "GenartLoadGANLatents", "latents_name")
    graph = Graph()
    loaded = graph.node("GenartLoadGANLatents", latents_name=moved.name)
    shown = graph.node("GenartSaveGANLatents", latents=loaded, name=fresh("again"))
    assert "text" in graph.run(server)[shown[0]]


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\b", "", ".hidden", "nul"])
def test_a_name_cannot_leave_its_folder(server, gans, name):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    batch = latents(graph, gan, 0, 1)
    before = set(server.base.rglob("*.safetensors"))
    refused = refusal(server, graph, graph.node("GenartSaveGANLatents", latents=batch, name=name))
    assert refused.node == "GenartSaveGANLatents"
    assert set(server.base.rglob("*.safetensors")) == before


@pytest.mark.parametrize(
    "name",
    [
        "none.safetensors",
        "../models/genart/gan/test_a.safetensors",
        "/etc/hostname",
        "",
        "[output]",
    ],
)
def test_latents_lie_in_comfyuis_folders_alone(server, gans, name):
    graph = Graph()
    refused = refusal(server, graph, graph.node("GenartLoadGANLatents", latents_name=name))
    assert "no file of latents" in refused.message


def test_a_network_is_no_file_of_latents(server, gans):
    write_gan(server.base / "input" / "network.safetensors", 5)
    graph = Graph()
    loaded = graph.node("GenartLoadGANLatents", latents_name="network.safetensors")
    assert "network" in refusal(server, graph, loaded).message


def save_pictures(server: Any, prefix: str, count: int = 4, **scale: Any) -> list[dict[str, str]]:
    """Pictures of seeds 3 and on, saved with their latents, upscaled first where asked."""
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    batch = latents(graph, gan, 3, count)
    images = sampled(graph, gan, batch)
    if scale:
        images = graph.node(
            "ImageScale", image=images, upscale_method="lanczos", crop="disabled", **scale
        )
    saved = graph.node(
        "GenartSaveImagesWithLatents", images=images, latents=batch, filename_prefix=prefix
    )
    return graph.run(server)[saved[0]]["images"]


def content(server: Any, file: dict[str, str]) -> bytes:
    with OPENER.open(f"{server.url}/view?{urllib.parse.urlencode(file)}", timeout=60) as reply:
        return reply.read()


def upload(server: Any, name: str, data: bytes) -> str:
    """Upload a picture as the button on the node does; the name it got."""
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(f"{server.url}/upload/image", body)
    request.add_header("Content-Type", f"multipart/form-data; boundary={edge}")
    with OPENER.open(request, timeout=60) as reply:
        return json.load(reply)["name"]


def test_a_saved_picture_uploaded_again_is_its_own_latent(server, gans):
    saved = save_pictures(server, fresh("upscaled"), width=96, height=80)
    assert len(saved) == 4
    third = content(server, saved[2])
    assert Image.open(io.BytesIO(third)).size == (96, 80)
    name = upload(server, f"{uuid.uuid4().hex}.png", third)
    assert name in listed(server, "GenartLoadGANLatentFromImage", "image")
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    latent = graph.node("GenartLoadGANLatentFromImage", image=name)
    again = graph.pictures(server, sampled(graph, gan, latent))
    assert np.array_equal(again, pictures(server, seed=5, count=1))


def test_pictures_are_saved_as_comfyui_saves_them(server, gans):
    stem = uuid.uuid4().hex[:8]
    prefix = f"walks/{stem}"
    files = save_pictures(server, prefix) + save_pictures(server, prefix, count=1)
    assert [file["filename"] for file in files] == [f"{stem}_{n:05}_.png" for n in range(1, 6)]
    assert {(file["subfolder"], file["type"]) for file in files} == {("walks", "output")}
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    core = graph.node(
        "SaveImage",
        images=sampled(graph, gan, latents(graph, gan, 3, 4)),
        filename_prefix=fresh("core"),
    )
    plain = graph.run(server)[core[0]]["images"]
    assert np.array_equal(fetch(server, files[:4]), fetch(server, plain))
    texts = [Image.open(io.BytesIO(content(server, file))).text for file in files[:4]]
    assert all(set(text) == {"prompt", "genart_latent"} for text in texts)
    assert len({text["genart_latent"] for text in texts}) == 4
    queued = json.loads(texts[0]["prompt"])
    assert "GenartSaveImagesWithLatents" in {node["class_type"] for node in queued.values()}


def test_pictures_and_latents_must_be_as_many(server, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    images = sampled(graph, gan, latents(graph, gan, 0, 3))
    graph.node(
        "GenartSaveImagesWithLatents",
        images=images,
        latents=latents(graph, gan, 0, 2),
        filename_prefix=fresh("uneven"),
    )
    with pytest.raises(NodeError, match="3 pictures do not go with 2 latents"):
        graph.run(server)


@pytest.mark.parametrize(
    "prefix", ["../outside", "/tmp/outside", "", "inside/../../outside", "in\0side"]
)
def test_pictures_stay_in_the_output_folder(server, gans, prefix):
    before = set(server.base.parent.rglob("*.png"))
    with pytest.raises(NodeError, match="is no name in ComfyUI's output folder"):
        save_pictures(server, prefix)
    assert set(server.base.parent.rglob("*.png")) == before


@pytest.mark.parametrize(("suffix", "says"), [("png", "carries no latent"), ("jpg", "not a PNG")])
def test_a_picture_without_a_latent_is_named(server, gans, suffix, says):
    path = server.base / "input" / f"plain_{uuid.uuid4().hex}.{suffix}"
    Image.new("RGB", (8, 8)).save(path)
    graph = Graph()
    error = refusal(server, graph, graph.node("GenartLoadGANLatentFromImage", image=path.name))
    assert path.name in error.message and says in error.message


@pytest.mark.parametrize("name", ["gone.png", "../models/x.png", "/etc/hostname"])
def test_a_picture_that_is_not_there_is_refused_before_the_run(server, gans, name):
    graph = Graph()
    graph.node("PreviewAny", source=graph.node("GenartLoadGANLatentFromImage", image=name))
    with pytest.raises(NodeError, match=f"There is no picture.*{re.escape(name)}"):
        graph.run(server)
