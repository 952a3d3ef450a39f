"""Load GAN on every kind of file, and what moves, sizes and refuses its pictures afterwards."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prompts import Graph, NodeError, forget
from small_gans import latents, refusal, sampled

NETWORKS = Path(__file__).resolve().parents[1] / "fixtures" / "networks"


@pytest.fixture(scope="module", autouse=True)
def networks(gans: Path) -> Iterator[None]:
    """The reference networks beside the small ones."""
    for path in NETWORKS.glob("*.pkl"):
        shutil.copy(path, gans / path.name)
    yield


def drawn(server: Any, name: str, c: int = -1, frame: tuple[Any, ...] = (), **look: Any) -> Any:
    """Two pictures of a network, after each of the frames."""
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name=name)
    framed = gan
    for kind, values in frame:
        framed = graph.node(kind, gan=framed, **values)
    made = sampled(graph, framed, latents(graph, gan, 0, 2, class_index=c), **look)
    return graph.pictures(server, made).astype(int)


def about(server: Any, name: str) -> str:
    forget(server)  # what is cached is not told again
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name=name)
    shown = graph.node("PreviewAny", source=[gan[0], 1])
    made = graph.run(server)
    assert made[gan[0]]["text"] == made[shown[0]]["text"]  # on the node, and as an output
    return made[gan[0]]["text"][0]


@pytest.mark.parametrize("name", sorted(path.stem for path in NETWORKS.glob("*.pkl")))
def test_a_foreign_network_draws_and_says_what_it_is(server, name):
    pictures = drawn(server, f"{name}.pkl", c=3 if name.endswith("cond") else -1)
    assert pictures.shape == (2, 64, 64, 3) and not np.array_equal(*pictures)
    text = about(server, f"{name}.pkl")
    assert "resolution: 64" in text and "licence" in text and "format" in text


def test_its_own_file_says_what_its_maker_wrote_down(server):
    assert "licence: CC0" in about(server, "test_a.safetensors")


def test_the_content_decides_and_never_the_suffix(server, gans):
    shutil.copy(NETWORKS / "sg2_64.pkl", gans / "renamed.safetensors")
    shutil.copy(gans / "test_a.safetensors", gans / "renamed.pth")
    assert np.array_equal(drawn(server, "renamed.safetensors"), drawn(server, "sg2_64.pkl"))
    assert np.array_equal(drawn(server, "renamed.pth"), drawn(server, "test_a.safetensors"))


def test_a_foreign_network_is_saved_as_one_of_ours(server, gans):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="sg3t_64.pkl")
    turned = graph.node("GenartTransformGAN", gan=gan, x=0.5, y=0.0, degrees=0.0)
    kept = graph.node("GenartSaveGAN", gan=turned, name="from_pickle")
    path = Path(graph.run(server)[kept[0]]["text"][0].removeprefix("Saved "))
    assert np.array_equal(drawn(server, path.name), drawn(server, "sg3t_64.pkl"))
    ours, theirs = (about(server, name).splitlines() for name in (path.name, "sg3t_64.pkl"))
    assert sorted(ours) == sorted(theirs)


def test_a_file_that_is_not_there_is_asked_for_by_every_suffix(server):
    graph = Graph()
    message = refusal(server, graph, graph.node("GenartLoadGAN", gan_name="gone.pkl")).message
    assert all(suffix in message for suffix in ("gone.pkl", ".safetensors", ".pkl", ".pt", ".pth"))


def moved(x: float = 0.0, y: float = 0.0, degrees: float = 0.0) -> tuple[str, dict[str, float]]:
    return "GenartTransformGAN", {"x": x, "y": y, "degrees": degrees}


def test_two_transforms_add_up(server):
    def shown(*frame: Any) -> np.ndarray:
        return drawn(server, "sg3t_64.pkl", frame=frame)

    still = shown()
    assert np.array_equal(shown(moved()), still)
    assert np.abs(shown(moved(x=0.3), moved(x=-0.3)) - still).max() <= 1
    assert (
        np.abs(shown(moved(y=0.2), moved(degrees=180)) - shown(moved(y=-0.2, degrees=180))).max()
        <= 1
    )
    assert np.abs(shown(moved(degrees=30)) - shown(moved(degrees=-30))).mean() > 0.5


def test_a_move_goes_right_and_down(server):
    still = drawn(server, "sg3t_64.pkl")
    right = drawn(server, "sg3t_64.pkl", frame=(moved(x=0.25),))
    down = drawn(server, "sg3t_64.pkl", frame=(moved(y=0.25),))
    inner = (
        np.abs(right[:, 8:-8, 24:-8] - still[:, 8:-8, 8:-24]).mean(),
        np.abs(down[:, 24:-8, 8:-8] - still[:, 8:-24, 8:-8]).mean(),
    )
    assert inner[0] < 0.3 * np.abs(right - still).mean()
    assert inner[1] < 0.3 * np.abs(down - still).mean()


def canvas(width: int, height: int) -> tuple[str, dict[str, int]]:
    return "GenartSetGANCanvas", {"width": width, "height": height}


def test_a_canvas_has_the_size_asked_for_and_the_last_counts(server):
    wide = drawn(server, "sg2_64.pkl", frame=(canvas(64, 64), canvas(160, 96)))
    assert wide.shape == (2, 96, 160, 3)
    assert np.array_equal(
        drawn(server, "sg2_64.pkl", frame=(canvas(64, 64),)), drawn(server, "sg2_64.pkl")
    )


@pytest.mark.parametrize(
    ("name", "frame", "says"),
    [("sg2_64.pkl", moved(x=0.1), "StyleGAN3"), ("sg3t_64.pkl", canvas(96, 64), "StyleGAN2")],
)
def test_what_a_network_cannot_do_it_says(server, name, frame, says):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name=name)
    error = refusal(server, graph, graph.node(frame[0], gan=gan, **frame[1]))
    assert says in error.message and error.node == frame[0]


def test_a_network_of_one_style_says_that_it_has_no_layers_to_mix(server):
    graph = Graph()
    gan = graph.node("GenartLoadGAN", gan_name="r3gan_64.pkl")
    batch = latents(graph, gan, 0, 2)
    mixed = graph.node(
        "GenartMixGANLatents", gan=gan, latents=batch, styles=batch, layers="4-", amount=1.0
    )
    assert "no layers to mix" in refusal(server, graph, mixed).message


def test_bf16_is_near_fp32_and_auto_is_fp32_on_a_cpu(server):
    def in_precision(**more: Any) -> np.ndarray:
        graph = Graph()
        gan = graph.node("GenartLoadGAN", gan_name="sg2_64.pkl", **more)
        return graph.pictures(server, sampled(graph, gan, latents(graph, gan, 0, 2))).astype(int)

    exact, half = in_precision(precision="fp32"), in_precision(precision="bf16")
    assert np.array_equal(in_precision(precision="auto"), exact)
    assert np.array_equal(in_precision(), exact)
    assert 0 < np.abs(half - exact).mean() < 3
    with pytest.raises(NodeError, match="precision cannot be 'fp8'"):
        in_precision(precision="fp8")
