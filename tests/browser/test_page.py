"""The real page in a real browser: it takes the pack in, and opens every shared workflow."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from real_page import RealPage, find_browser, open_page

BROWSER = find_browser()
MISSING = "no Chromium on the PATH and no $CHROMIUM: the page tests cannot run"
if BROWSER is None and os.environ.get("CI") != "true":  # there they fail instead
    pytest.skip(MISSING, allow_module_level=True)
ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")  # closed before other tests run event loops of their own
def page(request: pytest.FixtureRequest) -> Iterator[RealPage]:
    assert BROWSER, MISSING
    server = request.getfixturevalue("server")
    with open_page(server.url, BROWSER) as opened:
        yield opened


@pytest.fixture(scope="session")
def our_nodes(server: Any) -> set[str]:
    """Ids of every node of the pack, as the server lists them."""
    return {
        name
        for name, about in server.object_info().items()
        if about["python_module"] == "custom_nodes.comfy_genart_nodes"
    }


@each_workflow
def test_a_shared_workflow_opens_and_means_what_scripts_get(page, path):
    page.load(path)
    known = "app.graph.nodes.filter(n => !LiteGraph.registered_node_types[n.type]).map(n => n.type)"
    assert page.page.evaluate(known) == []
    queued, saved = page.prompt()
    assert queued == read(path.parent / "api" / path.name)
    shipped = read(path)
    for workflow in (saved, shipped):
        workflow["extra"].pop("ds")  # where the person looks
    assert saved == shipped
    assert page.errors == []


@each_workflow
def test_nodes_lie_side_by_side_and_groups_around_them(page, path):
    page.load(path)
    boxes = page.page.evaluate(
        "app.graph.nodes.map(n => [n.pos[0], n.pos[1] - 30, n.pos[0] + n.size[0],"
        " n.pos[1] + Math.max(n.size[1], n.computeSize()[1])])"
    )
    for number, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, f"{boxes[number]} lies over {other}"
    for x, y, width, height in (group["bounding"] for group in read(path)["groups"]):
        for left, top, right, bottom in boxes:
            inside = x <= left and y <= top and right <= x + width and bottom <= y + height
            outside = right <= x or x + width <= left or bottom <= y or y + height <= top
            assert inside or outside


def test_every_node_is_on_the_page_and_in_a_shared_workflow(page, our_nodes):
    known = set(page.page.evaluate("Object.keys(LiteGraph.registered_node_types)"))
    used = {node["type"] for path in WORKFLOWS for node in read(path)["nodes"]}
    assert our_nodes and our_nodes <= known
    assert our_nodes <= used


def test_the_workflows_are_templates_with_pictures(page, server):
    names = server.get("/workflow_templates")["comfy_genart_nodes"]
    assert sorted(names) == [path.stem for path in WORKFLOWS]
    widths = page.page.evaluate(
        """names => Promise.all(names.map(async name => {
            const picture = new Image();
            picture.src = `/api/workflow_templates/comfy_genart_nodes/${name}.jpg`;
            await picture.decode();
            return picture.naturalWidth;
        }))""",
        names,
    )
    assert all(400 <= width <= 640 for width in widths)


SET = """([type, values]) => {
    const node = app.graph.nodes.find(node => node.type === type);
    for (const [name, value] of Object.entries(values))
        node.widgets.find(widget => widget.name === name).value = value;
}"""
QUEUE = "async () => { await app.queuePrompt(0) }"
CANCEL = "async () => { await app.extensionManager.command.execute('Comfy.Interrupt') }"


def wait(server: Any, done: Any) -> None:
    deadline = time.monotonic() + 300
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def idle(server: Any) -> bool:
    queue = server.get("/queue")
    return not queue["queue_running"] and not queue["queue_pending"]


def test_the_console_stays_clean_while_a_training_is_cancelled_goes_on_and_fails(page, server):
    # Other tests have queued numbers that are none, which no page can read in the history.
    server.post("/history", {"clear": True})
    pictures = server.base / "input" / "page pictures"
    pictures.mkdir()
    for i in range(4):
        Image.new("RGB", (40, 40), (60 * i, 90, 200)).save(pictures / f"{i}.png")
    events = server.base / "output" / "genart" / "page run" / "events.jsonl"
    said: list[Any] = []
    page.page.on("console", lambda message: said.append(message))

    def history() -> list[str]:
        return [entry["status"]["status_str"] for entry in server.get("/history").values()]

    page.load(ROOT / "workflows" / "train_and_sample.json")
    small = {"recipe": "stylegan2", "resolution": 32, "batch_size": 4, "channel_base": 512}
    page.page.evaluate(SET, ["GenartOpenPictureFolder", {"folder": pictures.name}])
    page.page.evaluate(SET, ["GenartTrainGAN", {**small, "run_name": "page run", "kimg": 1000}])
    page.page.evaluate(SET, ["GenartSaveGAN", {"name": "page_gan"}])
    page.page.evaluate(QUEUE)
    wait(server, lambda: events.exists() and '"progress"' in events.read_text())
    page.page.evaluate(CANCEL)
    wait(server, lambda: idle(server))
    last = json.loads(events.read_text().splitlines()[-1])
    assert last["event"] == "stopped"

    page.page.evaluate(SET, ["GenartTrainGAN", {"kimg": last["kimg"] + 0.008}])
    page.page.evaluate(QUEUE)
    wait(server, lambda: idle(server))
    assert json.loads(events.read_text().splitlines()[-1])["event"] == "finished"

    page.page.evaluate(SET, ["GenartOpenPictureFolder", {"folder": "no such folder"}])
    page.page.evaluate(QUEUE)
    wait(server, lambda: idle(server))
    page.page.wait_for_timeout(1000)  # until the page has said what it has to say
    assert history()[-3:] == ["error", "success", "error"]
    # The page asks ComfyUI's registry whose each node is, which is not let out.
    errors = [each.text for each in said if each.type == "error"]
    assert [text for text in errors if "api.comfy.org" not in text] == []
    assert page.errors == []
    (server.base / "models" / "genart" / "gan" / "page_gan.safetensors").unlink()
