"""What the page says about every node: tooltips, translations and help, for every node."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def nodes(server: Any) -> dict[str, Any]:
    """The pack's nodes, as the server describes them."""
    known = server.object_info()
    ours = {name: node for name, node in known.items() if node["category"].startswith("genart/")}
    assert ours
    return ours


def inputs(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every input's options, by its id."""
    parts = [node["input"].get(part, {}) for part in ("required", "optional")]
    return {name: spec[1] for part in parts for name, spec in part.items()}


def translations(repository: Path, language: str) -> dict[str, Any]:
    path = repository / "locales" / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_node_explains_itself(nodes):
    for name, node in nodes.items():
        assert name.startswith("Genart"), name
        assert node["description"] and node["display_name"] != name
        for id, options in inputs(node).items():
            assert options.get("tooltip"), f"{name}.{id} has no tooltip"
        for label, tip in zip(node["output_name"], node["output_tooltips"], strict=True):
            assert tip, f"{name}: output {label} has no tooltip"
            assert label not in inputs(node), f"{name}: {label} names an input and an output"


def test_every_widget_has_a_default_inside_its_bounds(nodes):
    for name, node in nodes.items():
        for id, options in inputs(node).items():
            if "min" in options:
                assert options["min"] <= options["default"] <= options["max"], f"{name}.{id}"
            if options.get("options") and "default" in options:
                assert options["default"] in options["options"], f"{name}.{id}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_cover_every_node_input_and_output(nodes, repository, language):
    texts = translations(repository, language)
    assert set(texts) == set(nodes)
    for name, node in nodes.items():
        text = texts[name]
        assert text["display_name"] and text["description"]
        assert set(text["inputs"]) == set(inputs(node)), name
        assert set(text["outputs"]) == {str(i) for i in range(len(node["output"]))}, name
        for entry in (*text["inputs"].values(), *text["outputs"].values()):
            assert entry["name"] and entry["tooltip"], name


def test_the_english_texts_are_those_of_the_nodes(nodes, repository):
    texts = translations(repository, "en")
    for name, node in nodes.items():
        text = texts[name]
        assert text["display_name"] == node["display_name"]
        assert text["description"] == node["description"]
        told = {id: options["tooltip"] for id, options in inputs(node).items()}
        assert {id: entry["tooltip"] for id, entry in text["inputs"].items()} == told
        outputs = [(entry["name"], entry["tooltip"]) for entry in text["outputs"].values()]
        told_outputs = zip(node["output_name"], node["output_tooltips"], strict=True)
        assert outputs == list(told_outputs)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_menu_is_translated(nodes, repository, language):
    main = json.loads((repository / "locales" / language / "main.json").read_text("utf-8"))
    menus = {part for node in nodes.values() for part in node["category"].split("/")}
    assert menus <= set(main["nodeCategories"])


@pytest.mark.parametrize("place", ["{name}.md", "{name}/zh.md"])
def test_the_server_hands_out_a_help_page_that_names_every_input(server, nodes, place):
    for name, node in nodes.items():
        pack = node["python_module"].removeprefix("custom_nodes.")
        address = f"{server.url}/extensions/{pack}/docs/{place.format(name=name)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=30) as reply:
            page = reply.read().decode("utf-8")
        assert page.startswith("# ")
        assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(inputs(node)), name


def test_the_server_offers_the_translations(server, nodes):
    offered = server.get("/i18n")
    for language in LANGUAGES:
        assert set(nodes) <= set(offered[language]["nodeDefs"])


def test_only_documented_nodes_have_pages(nodes, repository):
    pages = repository / "comfy_genart_nodes" / "web" / "docs"
    assert {page.stem for page in pages.glob("*.md")} == set(nodes)
    assert {folder.name for folder in pages.iterdir() if folder.is_dir()} == set(nodes)
