"""Latents in files, in a real ComfyUI: what is kept is what comes back, from where it may."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
from latent_samples import noise
from prompts import Graph, forget
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_gans import refusal
from vae_numbers import latent, results


def fresh(stem: str = "kept") -> str:
    return f"{stem}_{uuid.uuid4().hex[:8]}"


def save(graph: Graph, samples: list[Any], name: str, folder: str = "latents") -> list[Any]:
    return graph.node("GenartSaveLatents", samples=samples, name=name, folder=folder)


def load(graph: Graph, name: str = "by path", **more: Any) -> list[Any]:
    values = {"first": 0, "count": 0, "path": ""} | more
    return graph.node("GenartLoadLatents", latents_name=name, **values)


def keep(server: Any, samples: torch.Tensor, name: str, folder: str = "latents") -> Path:
    """Save latents; the file."""
    graph = Graph()
    saved = save(graph, latent(server, graph, samples), name, folder)
    return Path(graph.run(server)[saved[0]]["text"][0].removeprefix("Saved "))


def listed(server: Any) -> list[str]:
    known = server.get("/object_info/GenartLoadLatents")["GenartLoadLatents"]
    return known["input"]["required"]["latents_name"][1]["options"]


def whole(server: Any, graph: Graph, link: list[Any]) -> dict[str, torch.Tensor]:
    """All that a LATENT holds."""
    name = f"{fresh('whole')}.safetensors"
    graph.node("GenartTestWriteNumbers", name=name, latent=link)
    graph.run(server)
    return load_file(server.base / "output" / name)


def masked(server: Any, graph: Graph, samples: torch.Tensor) -> list[Any]:
    """Latents with a mask, an index and something else."""
    mask = graph.node("SolidMask", value=0.25, width=64, height=64)
    link = graph.node("SetLatentNoiseMask", samples=latent(server, graph, samples), mask=mask)
    return graph.node("GenartTestCarryMore", latent=link, first=5)


def test_saved_latents_come_back_with_all_they_carry(server):
    name, samples = fresh(), noise(3, 4, 8, 8)
    graph = Graph()
    saved = save(graph, masked(server, graph, samples), name)
    given = whole(server, graph, [saved[0], 0])
    shown = f"latents/{name}.safetensors [output]"
    assert shown in listed(server)
    forget(server)
    graph = Graph()
    found = whole(server, graph, load(graph, shown))
    assert set(found) == set(given) == {"samples", "noise_mask", "batch_index", "something"}
    assert all(found[key].equal(given[key]) for key in given)
    assert found["samples"].equal(samples) and found["batch_index"].tolist() == [5, 6, 7]


def test_a_file_goes_on_by_its_path_and_a_part_of_it_alone(server):
    graph, samples = Graph(), noise(5, 4, 8, 8)
    saved = save(graph, masked(server, graph, samples), fresh())
    part = whole(server, graph, load(graph, first=1, count=2, path=[saved[0], 1]))
    assert part["samples"].equal(samples[1:3]) and part["batch_index"].tolist() == [6, 7]
    assert part["something"].tolist() == [5] and (part["noise_mask"] == 0.25).all()


def test_core_and_this_pack_read_each_others_files(server):
    graph, samples = Graph(), noise(2, 4, 8, 8)
    stem = fresh("core")
    graph.node(
        "SaveLatent", samples=latent(server, graph, samples), filename_prefix=f"latents/{stem}"
    )
    graph.run(server)
    shown = f"latents/{stem}_00001_.latent [output]"
    assert shown in listed(server)
    old = f"{stem}_old.latent"
    save_file({"latent_tensor": samples * 0.18215}, server.base / "input" / old)
    ours = keep(server, samples, fresh())
    moved = server.base / "input" / f"{ours.stem}.latent"
    ours.rename(moved)
    assert {old, moved.name} <= set(listed(server))
    graph = Graph()
    made = results(
        server,
        graph,
        latent_theirs=load(graph, shown),
        latent_old=load(graph, old),
        latent_ours=graph.node("LoadLatent", latent=moved.name),
    )
    assert made["latent_theirs"].equal(samples) and made["latent_ours"].equal(samples)
    assert torch.allclose(made["latent_old"], samples, rtol=1e-6)


def test_a_folder_is_one_batch_in_the_order_of_its_names(server):
    folder, samples = fresh("folder"), noise(4, 4, 8, 8)
    for number in (10, 2, 1, 9):
        keep(server, samples[number % 4][None], f"a_{number}", f"latents/{folder}")
    shown, place = f"latents/{folder}/ [output]", server.base / "output" / "latents" / folder
    assert shown in listed(server)
    graph = Graph()
    made = results(
        server,
        graph,
        latent=load(graph, shown),
        latent_part=load(graph, path=str(place), first=1, count=2),
    )
    assert made["latent"].equal(samples[[1, 2, 1, 2]])
    assert made["latent_part"].equal(samples[[2, 1]])


def test_nothing_is_overwritten_and_a_changed_file_is_read_again(server):
    name, one, two = fresh(), noise(1, 4, 8, 8), noise(1, 4, 8, 8, seed=9)
    first, second = (keep(server, samples, name) for samples in (one, two))
    assert (first.name, second.name) == (f"{name}.safetensors", f"{name}_2.safetensors")
    graph = Graph()
    found = load(graph, f"latents/{first.name} [output]")
    assert results(server, graph, latent=found)["latent"].equal(one)
    second.replace(first)
    graph = Graph()
    found = load(graph, f"latents/{first.name} [output]")
    assert results(server, graph, latent=found)["latent"].equal(two)


def test_a_file_tells_its_workflow_and_its_family(server):
    path = keep(server, noise(1, 16, 8, 8), fresh())
    with safe_open(path, "pt") as file:
        assert list(file.metadata()) == ["genart"]
        about = json.loads(file.metadata()["genart"])["about"]
    queued = json.loads(about["workflow"]["prompt"])
    assert "GenartSaveLatents" in {node["class_type"] for node in queued.values()}
    assert "16 channels" in about["family"] and "SD 3" in about["family"]


def test_any_folder_that_is_there_may_be_saved_into(server, tmp_path):
    samples = noise(1, 4, 8, 8)
    path = keep(server, samples, fresh(), f'"{tmp_path}"')
    assert path.parent == tmp_path and list(tmp_path.iterdir()) == [path]
    graph = Graph()
    assert results(server, graph, latent=load(graph, path=str(path)))["latent"].equal(samples)


@pytest.mark.parametrize("folder", ["../up", "/no/such/folder", "a/../../b", "a\0b"])
def test_no_other_folder_is_made(server, folder):
    graph = Graph()
    saved = save(graph, latent(server, graph, noise(1, 4, 8, 8)), fresh(), folder)
    before = set(server.base.parent.rglob("*.safetensors"))
    assert "is no folder to save into" in refusal(server, graph, saved).message
    assert set(server.base.parent.rglob("*.safetensors")) == before


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\b", "", ".hidden", "nul"])
def test_a_name_cannot_leave_its_folder(server, name):
    graph = Graph()
    saved = save(graph, latent(server, graph, noise(1, 4, 8, 8)), name)
    assert "cannot name a file of latents" in refusal(server, graph, saved).message


@pytest.mark.parametrize("name", ["none.latent", "../models/x.safetensors", "/etc/hostname", ""])
def test_names_mean_files_of_comfyuis_folders_alone(server, name):
    graph = Graph()
    assert "There are no latents at" in refusal(server, graph, load(graph, name)).message


def test_without_a_name_and_a_path_it_asks(server):
    graph = Graph()
    assert "Say which latents" in refusal(server, graph, load(graph)).message


def test_a_broken_file_is_one_sentence(server):
    path = server.base / "input" / f"{fresh('broken')}.safetensors"
    path.write_bytes(keep(server, noise(1, 4, 8, 8), fresh()).read_bytes()[:-9])
    graph = Graph()
    message = refusal(server, graph, load(graph, path.name)).message
    assert path.name in message and "not a whole safetensors file" in message


def test_what_was_read_is_told(server):
    path = keep(server, noise(3, 4, 8, 8), fresh())
    graph = Graph()
    found = load(graph, first=1, path=str(path))
    graph.node("GenartExamineLatent", samples=found)
    assert graph.run(server)[found[0]]["text"] == [
        "2 latents: 4 channels (as those of SD 1.5, SDXL and their kin), 8x8 places."
    ]
