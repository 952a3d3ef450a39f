"""VAE Decode and Encode (Seamless) in a real ComfyUI, beside its own nodes."""

from typing import Any

import pytest
from prompts import Graph, NodeError
from small_gans import refusal

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
    ("kind", "shape"), [("sd", "2,4,24,40"), ("flux", "1,16,33,17"), ("tiny", "2,4,40,24")]
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


@pytest.mark.parametrize("kind", ["sd", "flux", "tiny"])
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
    whole = graph.node("VAEEncode", pixels=drawn, vae=vae)
    made = graph.node("GenartEncodeSeamless", pixels=drawn, vae=vae, memory=SMALL)
    difference, largest, _ = told(server, graph, whole, made)
    assert difference < 1e-4 and largest > 0.1


def test_frames_become_pictures(server):
    graph = Graph()
    vae, _, made = decoded(graph, "tiny", "1,4,3,8,8")
    one = graph.node(
        "VAEDecode", samples=graph.node("GenartTestRandomLatents", shape="3,4,8,8"), vae=vae
    )
    assert told(server, graph, one, made)[2] == "3x64x64x3"


def test_a_vae_of_another_kind_works_in_comfyuis_tiles(server):
    graph = Graph()
    vae, noise, made = decoded(graph, "pixels", "1,3,64,64")
    whole = graph.node("VAEDecode", samples=noise, vae=vae)
    assert told(server, graph, whole, made)[0] < 1e-5


def test_latents_of_another_model_are_refused(server):
    graph = Graph()
    _, _, made = decoded(graph, "sd", "1,16,8,8")
    error = refusal(server, graph, made)
    assert "16 channels" in error.message and "Flux" in error.message


def test_less_memory_than_there_is_is_refused(server):
    graph = Graph()
    _, _, made = decoded(graph, "sd", "1,4,8,8", memory=0)
    graph.node("PreviewImage", images=made)
    with pytest.raises(NodeError):
        graph.run(server)
