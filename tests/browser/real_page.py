"""Open the real page in Chromium, load workflows there, and see what it makes of them."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

# A fresh profile each time; none of Chromium's own errands. What is left may reach the server only.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
READY = """window.app?.graph?.nodes.length > 0  // the page has opened its own first graph
    && !!LiteGraph.registered_node_types.GenartLoadGAN"""
LOAD = "async workflow => { await app.loadGraphData(JSON.parse(workflow), true, true, null) }"
PROMPT = "async () => JSON.stringify(await app.graphToPrompt())"


def find_browser() -> str | None:
    """The Chromium to drive: `$CHROMIUM`, or one on the PATH."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


class RealPage:
    """ComfyUI's page, ready for work.

    Attributes:
        page: Playwright's handle.
        errors: uncaught errors, and what the console or the server complained of that names us.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        page.route(lambda address: not address.startswith(url), lambda route: route.abort())
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("response", lambda reply: self._hear("", reply.url) if not reply.ok else None)
        # A new user is shown the templates, which would lie over the graph.
        page.request.post(f"{url}/settings", data={"Comfy.TutorialCompleted": True})
        page.goto(url)
        page.wait_for_function(READY, timeout=120_000)

    def _hear(self, kind: str, text: str) -> None:
        # The page asks ComfyUI's registry whose each node is; neither server nor we let it out.
        asking = "api.comfy.org" in text
        if kind in ("", "error") and "genart" in text.lower() and not asking:
            self.errors.append(text)

    def load(self, path: Path) -> None:
        """Open a workflow file, as dropping it onto the page does."""
        self.page.evaluate(LOAD, path.read_text(encoding="utf-8"))
        self.page.wait_for_function("count => app.graph.nodes.length === count", arg=_count(path))

    def prompt(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What Run would queue, and what Export would save."""
        both = json.loads(self.page.evaluate(PROMPT))
        return both["output"], both["workflow"]


def _count(path: Path) -> int:
    return len(json.loads(path.read_text(encoding="utf-8"))["nodes"])


@contextmanager
def open_page(url: str, browser: str) -> Iterator[RealPage]:
    """The page of the ComfyUI at `url`, for as long as the block lasts."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        try:
            page = chromium.new_page(viewport={"width": 1600, "height": 900})
            yield RealPage(page, url)
        finally:
            chromium.close()
