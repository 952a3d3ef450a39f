"""Sound in a real ComfyUI: curves, what follows them, and videos with the sound they follow."""

from typing import Any

import av
import numpy as np
import pytest
import torch
from prompts import Graph, NodeError
from safetensors.torch import load_file
from small_gans import latents, refusal, sampled
from vae_numbers import latent, numbers, random_vae, results, text
from videos import decode, fresh, made

from comfy_genart_nodes.latent.sphere import lerp, slerp
from comfy_genart_nodes.sound.beat import RATE, beat
from comfy_genart_nodes.sound.curves import curve

SECONDS = 4.0  # two bars at 120


def sound(graph: Graph, seed: int = 0) -> list[Any]:
    return graph.node("GenartMakeTestBeat", seed=seed, bpm=120.0, bars=2)


def heard(graph: Graph, audio: list[Any], **more: Any) -> list[Any]:
    values = {"follow": "low", "fps": 20.0, "attack": 0.0, "release": 0.25, "gain": 1.0} | more
    return graph.node("GenartMakeAudioCurve", audio=audio, **values)


def paced(graph: Graph, kind: str, following: Any, **more: Any) -> list[Any]:
    values = {"base": 1.0, "strength": 2.0, "way": "once"} | more
    return graph.node(kind, curve=following, **values)


def expected() -> torch.Tensor:
    return curve(beat(0, 120.0, 2), RATE, "low", 20.0, 0.0, 0.25, 1.0)


def test_a_curve_is_a_list_of_numbers_and_a_picture(server):
    graph = Graph()
    node = heard(graph, sound(graph))
    shown = graph.pictures(server, [node[0], 2])
    assert shown.shape == (1, 320, 960, 3) and shown.std() > 10
    assert text(server, graph, [node[0], 1]) == "80"
    numbers = [float(each) for each in text(server, graph, node).strip("[]").split(",")]
    assert np.allclose(numbers, expected().numpy(), atol=1e-6)


def test_the_sound_of_a_video_is_heard_too(server, gans):
    graph = Graph()
    audio = sound(graph)
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    pictures = sampled(graph, gan, latents(graph, gan, 0, 2))
    video = graph.node("CreateVideo", images=pictures, fps=20.0, audio=audio)
    parts = graph.node("GetVideoComponents", video=video)
    node = heard(graph, [parts[0], 1])
    assert text(server, graph, [node[0], 1]) == "80"


def test_several_sounds_at_once_are_refused(server):
    graph = Graph()
    two = graph.node("GenartTestTwoSounds", audio=sound(graph))
    assert "2 sounds" in refusal(server, graph, heard(graph, two)).message


@pytest.mark.parametrize("follow", ["drums", ""])
def test_a_kind_that_is_not_there_is_refused(server, follow):
    graph = Graph()
    with pytest.raises(NodeError):
        graph.node("PreviewAny", source=heard(graph, sound(graph), follow=follow))
        graph.run(server)


def test_latents_move_as_fast_as_the_sound_wants(server):
    frames = torch.randn(12, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    graph = Graph()
    samples, following = latent(server, graph, frames), heard(graph, sound(graph))
    kinds = {"straight": lerp, "sphere": slerp}
    nodes = {
        f"latent_{between}": paced(
            graph, "GenartPaceLatents", following, samples=samples, between=between
        )
        for between in kinds
    }
    film = latent(server, graph, frames.movedim(0, 1)[None].contiguous())
    nodes["latent_film"] = paced(
        graph, "GenartPaceLatents", following, samples=film, between="straight"
    )
    made_ = results(server, graph, **nodes)
    speed = 1 + 2 * expected().double()
    gone = speed.cumsum(0) - speed[0]
    places = gone / gone[-1] * 11
    way = places.floor().clamp(max=10).long()
    for between, turn in kinds.items():
        wanted = turn(frames[way], frames[way + 1], places - way)
        got = made_[f"latent_{between}"]
        assert torch.allclose(got, wanted, atol=1e-5)
        assert torch.equal(got[0], frames[0]) and torch.equal(got[-1], frames[-1])
    assert torch.equal(made_["latent_film"][0].movedim(1, 0), made_["latent_straight"])


def test_what_a_latent_carries_goes_along(server):
    graph = Graph()
    rising = torch.linspace(0, 1, 5).reshape(5, 1, 1).expand(5, 32, 32).contiguous()
    given = numbers(server, graph, samples=torch.randn(5, 4, 4, 4), mask=rising)
    masked = graph.node("SetLatentNoiseMask", samples=[given[0], 2], mask=[given[0], 1])
    following = heard(graph, sound(graph))
    node = paced(graph, "GenartPaceLatents", following, samples=masked, between="straight")
    graph.node("GenartTestWriteNumbers", name="paced.safetensors", latent=node)
    graph.run(server)
    found = load_file(server.base / "output" / "paced.safetensors")["noise_mask"].flatten(1)[:, 0]
    assert len(found) == 80 and bool((found.diff() >= 0).all())
    assert float(found[0]) == 0 and float(found[-1]) == 1


def test_the_mask_of_a_film_goes_along(server):
    graph = Graph()
    rising = torch.linspace(0, 1, 5).reshape(5, 1, 1).expand(5, 32, 32).contiguous()
    given = numbers(server, graph, samples=torch.randn(1, 4, 5, 4, 4), mask=rising)
    masked = graph.node("SetLatentNoiseMask", samples=[given[0], 2], mask=[given[0], 1])
    following = heard(graph, sound(graph))
    node = paced(graph, "GenartPaceLatents", following, samples=masked, between="straight")
    graph.node("GenartTestWriteNumbers", name="paced_film.safetensors", latent=node)
    graph.run(server)
    found = load_file(server.base / "output" / "paced_film.safetensors")["noise_mask"]
    assert found.shape == (1, 1, 80, 32, 32)
    assert bool((found[0, 0, :, 0, 0].diff() >= 0).all()) and float(found[0, 0, -1, 0, 0]) == 1


@pytest.mark.parametrize(
    ("shape", "says"), [((1, 4, 4, 4), "two keys"), ((2, 4, 3, 4, 4), "films")]
)
def test_what_is_no_path_is_refused(server, shape, says):
    graph = Graph()
    samples, following = latent(server, graph, torch.zeros(shape)), heard(graph, sound(graph))
    node = paced(graph, "GenartPaceLatents", following, samples=samples, between="straight")
    assert says in refusal(server, graph, node).message


def test_gan_latents_follow_and_blend(server, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
    following = heard(graph, sound(graph))
    path = graph.node(
        "GenartWalkGANLatents",
        keys=latents(graph, gan, 0, 3),
        frames=40,
        mode="lerp w",
        loop=True,
        gan=gan,
    )
    moved = paced(graph, "GenartPaceGANLatents", following, path=path, way="round and round")
    centre = graph.node("GenartFindGANCentres", gan=gan, count=1, samples=2000, seed=0)
    pulled = graph.node("GenartBlendGANLatents", a=moved, b=centre, curve=following, amount=1.0)
    shown = graph.pictures(server, sampled(graph, gan, pulled)).astype(int)
    assert shown.shape == (80, 32, 32, 3)
    loudest = int(expected().argmax())
    mean = graph.pictures(server, sampled(graph, gan, centre)).astype(int)
    assert np.abs(shown[loudest] - mean[0]).max() <= 1  # the curve is 1 there
    quiet = int(expected().argmin())
    assert np.abs(shown[quiet] - mean[0]).mean() > 2


def test_one_latent_in_z_and_one_in_w_need_the_gan(server, gans):
    for wired in (False, True):
        graph = Graph()
        gan = graph.node("GenartLoadGAN", gan_name="test_a.safetensors")
        centre = graph.node("GenartFindGANCentres", gan=gan, count=1, samples=2000, seed=0)
        more = {"gan": gan} if wired else {}
        node = graph.node(
            "GenartBlendGANLatents",
            a=latents(graph, gan, 0, 1),
            b=centre,
            curve=heard(graph, sound(graph)),
            amount=0.5,
            **more,
        )
        pictures = sampled(graph, gan, node)
        if wired:
            assert graph.pictures(server, pictures).shape == (80, 32, 32, 3)
        else:
            assert "wire the GAN" in refusal(server, graph, pictures).message


@pytest.mark.parametrize("seconds", [2.0, 6.0])
def test_a_long_video_has_the_sound_beside_its_frames(server, seconds):
    """As long as the frames, or as the sound where that is shorter."""
    graph = Graph()
    audio, count = sound(graph), int(seconds * 20)
    frames = torch.rand(count, 3, 32, 48, generator=torch.Generator().manual_seed(1)) - 0.5
    node = graph.node(
        "GenartDecodeLatentsToVideo",
        vae=random_vae(graph, "pixels"),
        samples=latent(server, graph, frames),
        fps=20.0,
        filename_prefix=fresh("sound"),
        audio=audio,
    )
    path = made(server, graph, node)
    assert len(decode(path)) == count
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    got = np.concatenate(parts, axis=1)
    wanted = beat(0, 120.0, 2).numpy()[:, : int(seconds * RATE)]
    assert rate == RATE and abs(got.shape[1] - wanted.shape[1]) <= 3 * 1024
    length = min(got.shape[1], wanted.shape[1])
    apart = got[:, :length] - wanted[:, :length]
    assert np.sqrt((apart**2).mean()) < 0.15 * np.sqrt((wanted**2).mean())  # what AAC loses
