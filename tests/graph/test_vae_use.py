"""VAE Round Trip and Denoise by VAE in a real ComfyUI, with VAEs of core and of diffusers."""

import re
import shutil
import time
from typing import Any

import numpy as np
import pytest
import torch
from prompts import Graph, NodeError, wait
from small_gans import refusal
from tiny_vaes import save
from vae_numbers import image, random_vae, results, text

OF_DIFFUSERS = ["AutoencoderKL", "AutoencoderKLTemporalDecoder"]
FILMS = ["AutoencoderKLQwenImage", "AutoencoderKLWan"]


def pictures(n: int = 2, height: int = 32, width: int = 48, seed: int = 4) -> torch.Tensor:
    """Slow changes of colour with some noise."""
    generator = torch.Generator().manual_seed(seed)
    slow = torch.rand(n, 3, 3, 3, generator=generator)
    large = torch.nn.functional.interpolate(slow, (height, width), mode="bilinear")
    noise = 0.1 * torch.rand(n, 3, height, width, generator=generator)
    return (0.9 * large + noise).movedim(1, -1).contiguous()


@pytest.fixture(scope="module")
def vaes(server: Any) -> Any:
    """Networks of diffusers in the server's models/vae."""
    folder = server.base / "models" / "vae" / "use"
    for name in [*OF_DIFFUSERS, *FILMS]:
        save(folder / name, name)
    yield
    shutil.rmtree(folder)


def of_diffusers(graph: Graph, class_name: str) -> list[Any]:
    return graph.node("GenartLoadDiffusersVAE", vae_name=f"vae/use/{class_name}")


def trip(graph: Graph, vae: list[Any], pixels: list[Any], **more: Any) -> list[list[Any]]:
    """The outputs of VAE Round Trip: rebuilt, compared, error map, drift, report, PSNR, SSIM."""
    values = {"trips": 1, "brightest": 0} | more
    made = graph.node("GenartVAERoundTrip", vae=vae, images=pixels, **values)
    return [[made[0], place] for place in range(7)]


def core_trip(graph: Graph, vae: list[Any], pixels: list[Any]) -> list[Any]:
    return graph.node("VAEDecode", vae=vae, samples=graph.node("VAEEncode", vae=vae, pixels=pixels))


def decibel(made: torch.Tensor, real: torch.Tensor) -> float:
    a, b = ((x.double() * 255).round() for x in (made, real))
    return float(10 * torch.log10(255**2 / (a - b).square().mean()))


@pytest.mark.parametrize("kind", ["sd", "flux", "tiny", *OF_DIFFUSERS, *FILMS])
def test_a_trip_is_encode_and_decode_of_each_picture(server, vaes, kind):
    """Also where core takes a batch for a film."""
    known = kind in ("sd", "flux", "tiny")
    graph, real = Graph(), pictures()
    vae = random_vae(graph, kind, exact=True) if known else of_diffusers(graph, kind)
    both = image(server, graph, real)
    found = trip(graph, vae, both)
    alone = [core_trip(graph, vae, image(server, graph, each)) for each in real.split(1)]
    made = results(server, graph, all=found[0], first=alone[0], second=alone[1])
    assert torch.allclose(made["all"], torch.cat([made["first"], made["second"]]), atol=1e-4)
    assert made["all"].shape == real.shape and made["all"].std() > 0.005
    shown = float(text(server, graph, found[5]))
    assert shown == pytest.approx(decibel(made["all"], real), abs=0.01)


def test_an_exact_vae_is_called_exact_and_its_map_is_black(server):
    graph, real = Graph(), (pictures() * 255).round() / 255
    found = trip(graph, random_vae(graph, "pixels"), image(server, graph, real), trips=2)
    made = results(server, graph, rebuilt=found[0], map=found[2], compared=found[1])
    assert torch.allclose(made["rebuilt"], real, atol=1e-6)
    assert made["map"].shape == real.shape and made["map"].max() == 0
    assert made["compared"].shape[0] == 2 and made["compared"].shape[2] == 3 * 48 * 6 + 16
    assert made["compared"][:, : 32 * 6, : 48 * 6 : 6][:, ::6].sub(real).abs().max() < 1e-6
    report = text(server, graph, found[4])
    assert "One trip: exact" in report and "2 trips: exact" in report
    assert text(server, graph, found[5]) == "inf" and float(text(server, graph, found[6])) == 1


def test_trips_follow_each_other(server):
    graph, real = Graph(), pictures(1)
    vae, pixels = random_vae(graph), image(server, graph, real)
    found = trip(graph, vae, pixels, trips=3)
    chain = [core_trip(graph, vae, pixels)]
    chain += [core_trip(graph, vae, chain[0])]
    chain += [core_trip(graph, vae, chain[1])]
    made = results(server, graph, drift=found[3], a=chain[0], b=chain[1], c=chain[2])
    expected = torch.cat([made["a"], made["b"], made["c"]])
    assert torch.allclose(made["drift"], expected, atol=1e-4)
    told = re.findall(r"PSNR ([\d.]+) dB", text(server, graph, found[4]))
    assert [float(each) for each in told] == pytest.approx(
        [decibel(picture, real[0]) for picture in expected], abs=0.02
    )


def test_what_is_cut_off_is_said_and_not_compared(server):
    graph, real = Graph(), pictures(1, 35, 53)
    vae, pixels = random_vae(graph), image(server, graph, real)
    found = trip(graph, vae, pixels)
    made = results(server, graph, rebuilt=found[0])
    assert made["rebuilt"].shape == (1, 32, 48, 3)
    middle = real[:, 1:33, 2:50]
    assert float(text(server, graph, found[5])) == pytest.approx(
        decibel(made["rebuilt"], middle), abs=0.01
    )
    assert "Of 53x35 pixels the VAE takes the middle 48x32" in text(server, graph, found[4])


def test_a_map_can_have_the_scale_of_another(server):
    graph, real = Graph(), pictures(1, 256, 256)
    vae, pixels = random_vae(graph), image(server, graph, real)
    auto, dark = trip(graph, vae, pixels), trip(graph, vae, pixels, brightest=255)
    made = results(server, graph, auto=auto[2], dark=dark[2])
    assert made["auto"].shape == made["dark"].shape == real.shape
    assert made["dark"].mean() < made["auto"].mean()


def test_the_node_shows_report_and_map(server):
    graph = Graph()
    found = trip(graph, random_vae(graph), image(server, graph, pictures()))
    graph.node("PreviewAny", source=found[4])
    shown = graph.run(server)[found[0][0]]
    assert "PSNR" in shown["text"][0] and len(shown["images"]) == 2


@pytest.mark.parametrize(("most", "side"), [(2, 64), (1, 24)])
def test_where_memory_is_short_less_is_done_at_a_time(server, most, side):
    """Fewer pictures, and where not even one fits, strips of it; the result is the same."""
    graph, real = Graph(), pictures(5)
    vae, pixels = random_vae(graph), image(server, graph, real)
    short = graph.node("GenartTestShortMemoryVAE", vae=vae, most=most, side=side)
    made = results(
        server, graph, whole=trip(graph, vae, pixels)[0], less=trip(graph, short, pixels)[0]
    )
    assert torch.allclose(made["whole"], made["less"], atol=1e-4) and made["whole"].std() > 0.01


def test_trips_can_be_cancelled(server):
    graph = Graph()
    found = trip(graph, random_vae(graph), image(server, graph, pictures(8, 256, 256)), trips=100)
    graph.node("PreviewAny", source=found[4])
    prompt = graph.queue(server)
    while not server.get("/queue")["queue_running"]:
        time.sleep(0.05)
    time.sleep(1)
    server.interrupt(prompt)
    start = time.monotonic()
    with pytest.raises(InterruptedError):
        wait(server, prompt)
    assert time.monotonic() - start < 10  # cores may be shared


def denoised(graph: Graph, vae: list[Any], pixels: list[Any], **more: Any) -> list[Any]:
    values = {"passes": 1, "noise": 0.0, "seed": 0} | more
    return graph.node("GenartDenoiseByVAE", vae=vae, images=pixels, **values)


def test_one_pass_is_a_round_trip_and_more_are_smoother(server):
    graph, real = Graph(), pictures(2, 64, 64)
    vae, pixels = random_vae(graph), image(server, graph, real)
    made = results(
        server,
        graph,
        trip=core_trip(graph, vae, pixels),
        one=denoised(graph, vae, pixels),
        many=denoised(graph, vae, pixels, passes=8),
    )
    assert torch.allclose(made["one"], made["trip"], atol=1e-4)
    rough = {name: float(x.diff(dim=1).square().mean()) for name, x in made.items()}
    assert rough["many"] < 0.8 * rough["one"]
    assert made["many"].shape == real.shape


@pytest.mark.parametrize("kind", ["tiny", "pixels", "AutoencoderKLWan"])
def test_denoising_keeps_every_size(server, vaes, kind):
    graph, real = Graph(), pictures(2, 35, 53)
    vae = of_diffusers(graph, kind) if kind in FILMS else random_vae(graph, kind)
    pixels = image(server, graph, real)
    made = results(server, graph, clean=denoised(graph, vae, pixels, passes=3))
    assert made["clean"].shape == real.shape
    if kind == "pixels":
        assert torch.allclose(made["clean"], real, atol=1e-5)


def test_a_seed_decides_the_noise(server):
    graph = Graph()
    vae, pixels = random_vae(graph, "pixels"), image(server, graph, torch.full((1, 64, 64, 3), 0.5))
    links = {f"s{seed}": denoised(graph, vae, pixels, noise=0.1, seed=seed) for seed in (1, 2)}
    made = results(server, graph, **links)
    assert not torch.equal(made["s1"], made["s2"])
    assert float(made["s1"].std()) == pytest.approx(0.1, rel=0.05)


def test_pictures_smaller_than_a_place_are_refused(server):
    graph = Graph()
    found = trip(graph, random_vae(graph), image(server, graph, pictures(1, 6, 40)))
    assert "40x6 pixels are too small for this VAE" in refusal(server, graph, found[4]).message


def test_numbers_stay_in_their_bounds(server):
    for more in ({"trips": 0}, {"trips": 101}, {"brightest": 256}):
        graph = Graph()
        found = trip(graph, random_vae(graph), image(server, graph, pictures(1)), **more)
        graph.node("PreviewAny", source=found[4])
        with pytest.raises(NodeError):
            graph.run(server)


def test_rebuilt_pictures_are_those_that_are_saved(server):
    """What PSNR is of: eight bits."""
    graph, real = Graph(), pictures(1)
    vae, pixels = random_vae(graph), image(server, graph, real)
    found = trip(graph, vae, pixels)
    saved = graph.pictures(server, found[0]).astype(float)
    shown = float(text(server, graph, found[5]))
    wanted = (real.numpy() * 255).round()
    assert shown == pytest.approx(
        10 * np.log10(255**2 / np.square(saved - wanted).mean()), abs=0.2
    )  # Save Image cuts where others round
