"""VAE Decode and Encode (Seamless) in a real ComfyUI, beside its own nodes."""

import itertools
import re
import shutil
import time
from typing import Any

import pytest
from prompts import Graph, NodeError, wait
from small_gans import refusal
from tiny_vaes import PICTURES, save
from training_runs import hear

SMALL = 1  # MB: strips of a few rows


def told(server: Any, graph: Graph, a: list[Any], b: list[Any]) -> tuple[float, float, str]:
    """How far two results are apart, the largest number of the first, the second's shape."""
    apart = graph.node("GenartTestApart", a=a, b=b)
    shown = [graph.node("PreviewAny", source=[apart[0], place]) for place in range(3)]
    outputs = graph.run(server)
    difference, largest, shape = (outputs[node[0]]["text"][0] for node in shown)
    return float(difference), float(largest), shape


def decoded(graph: Graph, kind: str, shape: str, memory: int = SMALL) -> tuple[list, list, list]:
    """Latents, and what the seamless node makes of them with a VAE of a kind."""
    vae = graph.node("GenartTestRandomVAE", layout=kind, exact=False)
    noise = graph.node("GenartTestRandomLatents", shape=shape)
    made = graph.node("GenartDecodeSeamless", samples=noise, vae=vae, memory=memory)
    return vae, noise, made


@pytest.mark.parametrize("memory", [1, 4, 4096])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("sd", "2,4,24,40"),
        ("flux", "1,16,33,17"),
        ("tiny", "2,4,40,24"),
        ("flux2", "1,16,9,12"),
        ("hunyuan", "1,16,13,18"),
    ],
)
def test_decoding_is_that_of_the_whole_picture(server, kind, shape, memory):
    graph = Graph()
    vae, noise, made = decoded(graph, kind, shape, memory)
    whole = graph.node("VAEDecode", samples=noise, vae=vae)
    difference, largest, _ = told(server, graph, whole, made)
    assert difference < 1e-4 and largest > 0.2


def test_comfyuis_tiles_are_not_that(server):
    """What there is to gain: the test would see a seam."""
    graph = Graph()
    vae, noise, _ = decoded(graph, "sd", "1,4,48,48")
    whole = graph.node("VAEDecode", samples=noise, vae=vae)
    how = {"tile_size": 256, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8}
    tiled = graph.node("VAEDecodeTiled", samples=noise, vae=vae, **how)
    difference, _, _ = told(server, graph, whole, tiled)
    assert difference > 1e-3


@pytest.mark.parametrize("kind", ["sd", "flux", "tiny", "flux2", "hunyuan"])
def test_encoding_is_that_of_the_whole_picture(server, kind):
    """Also of sides that are no multiple, which lose the same pixels."""
    graph = Graph()
    vae = graph.node("GenartTestRandomVAE", layout=kind, exact=True)
    pixels = graph.node("EmptyImage", width=203, height=138, batch_size=2, color=0x804020)
    mask = graph.node("SolidMask", value=1.0, width=90, height=70)
    light = graph.node("MaskToImage", mask=mask)
    drawn = graph.node(
        "ImageCompositeMasked", destination=pixels, source=light, x=31, y=17, resize_source=False
    )
    check_encoding(server, graph, drawn, vae)


def check_encoding(server: Any, graph: Graph, pixels: list[Any], vae: list[Any]) -> None:
    """The seamless node encodes as core's does, and more than nothing."""
    whole = graph.node("VAEEncode", pixels=pixels, vae=vae)
    made = graph.node("GenartEncodeSeamless", pixels=pixels, vae=vae, memory=SMALL)
    difference, largest, _ = told(server, graph, whole, made)
    assert difference < 1e-4 and largest > 0.1


def test_frames_become_pictures(server):
    graph = Graph()
    vae, _, made = decoded(graph, "tiny", "1,4,3,8,8")
    one = graph.node(
        "VAEDecode", samples=graph.node("GenartTestRandomLatents", shape="3,4,8,8"), vae=vae
    )
    assert told(server, graph, one, made)[2] == "3x64x64x3"


@pytest.fixture(scope="module")
def vaes(server: Any) -> Any:
    """Networks of diffusers, which lie in the server's models/vae under the name of their class."""
    folder = server.base / "models" / "vae" / "seamless"
    yield {name: save(folder / name, name) for name in [*PICTURES, "AutoencoderKLQwenImage"]}
    shutil.rmtree(folder)


SHAPES = {
    "AutoencoderKL": "2,16,33,20",
    "AutoencoderTiny": "1,4,9,14",
    "AsymmetricAutoencoderKL": "1,4,21,32",
    "VQModel": "1,3,21,32",
    "AutoencoderDC": "1,8,17,32",
    "AutoencoderKLFlux2": "1,16,9,16",
    "AutoencoderKLHunyuanImage": "1,8,17,32",
}


@pytest.mark.parametrize("class_name", SHAPES)
def test_vaes_of_diffusers_are_known(server, vaes, class_name):
    graph = Graph()
    vae = graph.node("GenartLoadDiffusersVAE", vae_name=f"vae/seamless/{class_name}")
    vae = graph.node("GenartTestExact", vae=vae)
    noise = graph.node("GenartTestRandomLatents", shape=SHAPES[class_name])
    made = graph.node("GenartDecodeSeamless", samples=noise, vae=vae, memory=SMALL)
    whole = graph.node("VAEDecode", samples=noise, vae=vae)
    difference, largest, _ = told(server, graph, whole, made)
    assert difference < 1e-4 and largest > 0.1
    small = graph.node("GenartTestNoise", seed=1)
    how = {"upscale_method": "bilinear", "width": 203, "height": 138, "crop": "disabled"}
    check_encoding(server, graph, graph.node("ImageScale", image=small, **how), vae)


@pytest.mark.parametrize(
    ("class_name", "shape"),
    [("ConsistencyDecoderVAE", "1,4,4,4"), ("AutoencoderKLQwenImage", "1,4,1,8,8")],
)
def test_one_of_another_kind_works_in_comfyuis_tiles_and_says_so(server, vaes, class_name, shape):
    """Where one tile holds the whole picture, tiled is whole."""
    graph = Graph()
    vae = graph.node("GenartLoadDiffusersVAE", vae_name=f"vae/seamless/{class_name}")
    noise = graph.node("GenartTestRandomLatents", shape=shape)
    made = graph.node("GenartDecodeSeamless", samples=noise, vae=vae, memory=SMALL)
    whole = graph.node("VAEDecode", samples=noise, vae=vae)
    apart = graph.node("GenartTestApart", a=whole, b=made)
    shown = graph.node("PreviewAny", source=apart)
    outputs = graph.run(server)
    assert float(outputs[shown[0]]["text"][0]) < 1e-5
    (text,) = outputs[made[0]]["text"]
    assert text.startswith("This VAE") and text.endswith("It works in ComfyUI's tiles instead.")


def test_films_larger_than_a_tile_come_back_whole(server, vaes):
    graph = Graph()
    vae = graph.node("GenartLoadDiffusersVAE", vae_name="vae/seamless/AutoencoderKLQwenImage")
    noise = graph.node("GenartTestRandomLatents", shape="1,4,1,80,72")
    made = graph.node("GenartDecodeSeamless", samples=noise, vae=vae, memory=SMALL)
    back = graph.node("GenartEncodeSeamless", pixels=made, vae=vae, memory=SMALL)
    assert told(server, graph, back, noise)[2] == "1x4x1x80x72"


def test_what_is_smaller_than_a_place_is_refused(server):
    graph = Graph()
    vae = graph.node("GenartTestRandomVAE", layout="sd", exact=False)
    picture = graph.node("EmptyImage", width=40, height=6, batch_size=1, color=255)
    node = graph.node("GenartEncodeSeamless", pixels=picture, vae=vae, memory=SMALL)
    assert "40x6 pixels are too small" in refusal(server, graph, node).message


def test_a_vae_of_another_kind_works_in_comfyuis_tiles(server):
    graph = Graph()
    vae, noise, made = decoded(graph, "pixels", "1,3,64,64")
    whole = graph.node("VAEDecode", samples=noise, vae=vae)
    assert told(server, graph, whole, made)[0] < 1e-5


@pytest.mark.parametrize(
    ("kind", "shape", "says"),
    [
        ("sd", "1,16,8,8", r"have 16 channels \(.*Flux.* takes 4 channels \(.*SD 1.5"),
        ("flux", "1,4,8,8", r"have 4 channels \(.*SD 1.5.* takes 16 channels \(.*Flux"),
        ("flux2", "1,32,8,8", r"have 32 channels \(.* takes 16 channels \("),
        ("tiny", "1,16,3,8,8", r"have 16 channels \(.* takes 4 channels \("),
    ],
)
def test_latents_of_another_model_are_refused(server, kind, shape, says):
    """In one sentence that names both families."""
    graph = Graph()
    _, _, made = decoded(graph, kind, shape)
    message = refusal(server, graph, made).message
    assert re.search(says, message) and message.count(".") - message.count("1.5") == 1


def test_half_precision_that_runs_over_is_done_again(server):
    """Where core's own node makes a black picture."""
    graph = Graph()
    half = graph.node("GenartTestOverflowing")
    noise = graph.node("GenartTestRandomLatents", shape="2,4,12,8")
    whole = graph.node("VAEDecode", samples=noise, vae=[half[0], 1])
    made = graph.node("GenartDecodeSeamless", samples=noise, vae=half, memory=SMALL)
    difference, largest, _ = told(server, graph, whole, made)
    assert difference < 0.02 and largest > 0.2


def test_progress_counts_the_strips_of_layers(server):
    """A bar that stands still while a large layer is made would look as if it hung."""
    graph = Graph()
    _, _, made = decoded(graph, "sd", "1,4,40,40")
    graph.node("PreviewImage", images=made)
    steps = hear(server, graph).steps
    assert steps == sorted(steps) and 900 < steps[-1] <= 1000
    assert max(after - before for before, after in itertools.pairwise(steps)) < 40
    assert len(steps) > 200


def test_cancel_stops_between_strips(server):
    graph = Graph()
    _, _, made = decoded(graph, "sd", "1,4,256,256")
    graph.node("PreviewImage", images=made)
    prompt = graph.queue(server)
    while not server.get("/queue")["queue_running"]:
        time.sleep(0.05)
    time.sleep(3)
    server.interrupt(prompt)
    start = time.monotonic()
    with pytest.raises(InterruptedError):
        wait(server, prompt)
    assert time.monotonic() - start < 10  # cores may be shared
    graph = Graph()
    _, _, made = decoded(graph, "sd", "1,4,8,8")
    assert graph.pictures(server, made).std() > 1


def test_less_memory_than_there_is_is_refused(server):
    graph = Graph()
    _, _, made = decoded(graph, "sd", "1,4,8,8", memory=0)
    graph.node("PreviewImage", images=made)
    with pytest.raises(NodeError):
        graph.run(server)
