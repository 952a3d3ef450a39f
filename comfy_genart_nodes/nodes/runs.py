"""Look at training runs, use what they reached, stop them."""

import time
from pathlib import Path
from typing import Any

from comfy_api.latest import io, ui
from PIL import Image

from ..errors import GenartError, check_choice
from ..gan.checkpoint import LoadedGAN
from ..host import folders, images, memory, outputs, sockets
from ..host.progress import Progress, show_text
from ..host.schema import field, result, schema, within_bounds
from ..host.sockets import ManagedGAN
from ..host.vae_object import as_vae
from ..training.curves import Curve, curves
from ..training.job import ask_to_stop
from ..training.plots import plot
from ..training.reached import WHICH, Reached, reached, sheet_of
from ..training.run_folder import RunFolder, mark, open_run, run_names, runs_folder
from ..training.status import describe, headline, notable
from ..vae.files import LoadedVAE

CATEGORY = "genart/training"
LATEST = "(latest)"
NOTHING_YET = "no checkpoint yet, so nothing behind it runs; queue again later"


def _runs() -> Path:
    return runs_folder(folders.output_folder())


def _run_field() -> io.Input:
    # Its first choice is always there: a workflow that has it is valid on every machine.
    return field(
        io.Combo,
        "run_name",
        "The run, by its folder under output/genart, or the one that was at work last (R refreshes "
        "the list).",
        options=[LATEST, *run_names(_runs())],
        default=LATEST,
    )


def _wire_field() -> io.Input:
    return field(
        sockets.Run,
        "run",
        "The run of a node that trains, in place of the name: this node then comes after the "
        "training, or after its beginning in the background.",
        optional=True,
    )


def _named(run_name: str) -> str:
    """The name of a run of the list."""
    if run_name != LATEST:
        return run_name
    names = run_names(_runs())
    if not names:
        raise GenartError(
            f"There is no run in {_runs()} yet: begin one with Train GAN or Train VAE."
        )
    return names[0]


def _open(run_name: str, run: RunFolder | None) -> RunFolder:
    """The run that is wired, else the one that is named."""
    return run or open_run(_runs(), _named(run_name))


def gan_of(found: Reached | None) -> Any:
    """The GAN that a run has reached; where there is none, nodes behind it are passed over."""
    if found is None or not isinstance(found.network, LoadedGAN):
        return outputs.nothing()
    patcher = memory.manage(found.network.generator)
    return ManagedGAN(found.network, patcher, precision=memory.choose_precision("auto"))


def vae_of(found: Reached | None) -> Any:
    """The VAE that a run has reached; where there is none, nodes behind it are passed over."""
    if found is None or not isinstance(found.network, LoadedVAE):
        return outputs.nothing()
    return as_vae(found.network)


def told_of(run: RunFolder, found: Reached | None, chosen: str) -> tuple[Any, dict[str, Any]]:
    """A run's sheet as IMAGE, and what a node that trains shows at its end.

    Args:
        run: the run.
        found: what it reached.
        chosen: a line that says what was chosen for the person; "" for nothing.
    """
    told = [headline(run), chosen, *notable(run), "" if found else NOTHING_YET]
    sheet = sheet_of(run, found and found.path)
    return _picture(sheet), _shown("\n".join(filter(None, told)), sheet)


def _picture(sheet: Path | None) -> Any:
    """A sheet as IMAGE."""
    if sheet is None:
        return outputs.nothing()
    with Image.open(sheet) as picture:
        return images.read_image(picture)


def _shown(text: str, sheet: Path | None) -> dict[str, Any]:
    """A text and a sheet on the node."""
    show_text(text)
    shown = ui.PreviewText(text).as_dict()
    return shown if sheet is None else shown | ui.SavedImages([outputs.shown(sheet)]).as_dict()


def _mark(run_name: str | None) -> str | float:
    """Changes with what a run records; of one whose name is wired, always."""
    if run_name is None:
        return float("nan")
    try:
        name = _named(run_name)
    except GenartError as error:
        return str(error)
    return f"{name} {mark(_runs(), name)}"


class _OfRun(io.ComfyNode):
    """What nodes that name a run share."""

    @classmethod
    def validate_inputs(cls, run_name: str = LATEST) -> bool:
        """Any name: a run may have begun after the page read the list, and execute tells."""
        return True

    @classmethod
    def fingerprint_inputs(cls, run_name: str | None = LATEST, **_: Any) -> str | float:
        """Changes with what the run records."""
        return _mark(run_name)


class LoadRun(_OfRun):
    """A run's name to its network."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartLoadRun",
            "Load Run",
            CATEGORY,
            description=(
                "Takes the GAN or VAE out of a training run, finished, stopped or still at work: "
                "the newest checkpoint, the best one, or the one at a step."
            ),
            search_aliases=["checkpoint", "resume"],
            inputs=[
                _run_field(),
                field(
                    io.Combo,
                    "which",
                    "newest: the last checkpoint that can be read. best: the one with the lowest "
                    "KID or the highest PSNR, where the run measures it. step: the one at the step "
                    "below.",
                    options=list(WHICH),
                    default="newest",
                ),
                field(
                    io.Int,
                    "step",
                    "Which checkpoint, for which = step. The newest and the best ones are kept.",
                    default=0,
                    min=0,
                    max=1_000_000_000,
                    advanced=True,
                ),
                _wire_field(),
            ],
            outputs=[
                result(sockets.Gan, "gan", "GAN", "The network as it was at that checkpoint."),
                result(sockets.Run, "loaded_run", "loaded run", "The run's folder."),
                result(io.Image, "samples", "samples", "The sheet of samples of that time."),
                result(io.Vae, "vae", "VAE", "The network of a run that trains a VAE."),
            ],
        )

    @classmethod
    @within_bounds
    def execute(
        cls, run_name: str, which: str, step: int, run: RunFolder | None = None
    ) -> io.NodeOutput:
        """Read the checkpoint."""
        check_choice("which", which, WHICH)
        opened = _open(run_name, run)
        found = reached(opened, which, step)
        told = found.about if found else f"{opened.path.name}: {NOTHING_YET}"
        sheet = sheet_of(opened, found and found.path)
        shown = _shown(told, sheet)
        return io.NodeOutput(gan_of(found), opened, _picture(sheet), vae_of(found), ui=shown)


class TrainingStatus(_OfRun):
    """A run's name to how it stands."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartTrainingStatus",
            "Training Status",
            CATEGORY,
            description=(
                "Shows how a training run stands: step, speed, time left, losses, measures, what "
                "happened last, and its newest sheet of samples. Queue it whenever you want to "
                "know."
            ),
            search_aliases=["progress", "watch"],
            is_output_node=True,
            inputs=[_run_field(), _wire_field()],
            outputs=[
                result(io.String, "status", "status", "How the run stands, as text."),
                result(io.Image, "samples", "samples", "The newest sheet of samples."),
            ],
        )

    @classmethod
    def execute(cls, run_name: str, run: RunFolder | None = None) -> io.NodeOutput:
        """Read the run's folder."""
        opened = _open(run_name, run)
        told, sheet = describe(opened), sheet_of(opened, None)
        return io.NodeOutput(told, _picture(sheet), ui=_shown(told, sheet))


class PlotRun(_OfRun):
    """A run's name to its curves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartPlotRun",
            "Plot Run",
            CATEGORY,
            description=(
                "Draws what a training run recorded: losses, the balance of the two networks, KID "
                "and its company, ADA, speed. Other runs can be drawn beside it."
            ),
            search_aliases=["loss curve", "graph", "compare runs"],
            is_output_node=True,
            inputs=[
                _run_field(),
                field(
                    io.String,
                    "compare_with",
                    "Other runs to draw into the same plot: their names, with commas between.",
                    default="",
                    optional=True,
                ),
                _wire_field(),
            ],
            outputs=[
                result(io.Image, "plot", "plot", "The curves, as a picture."),
                result(_LOSS_MAP, "loss_g", "generator loss", "For ComfyUI's Plot Loss Graph."),
                result(
                    _LOSS_MAP, "loss_d", "discriminator loss", "The same, of the other network."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, run_name: str | None = LATEST, compare_with: str | None = "", **_: Any
    ) -> str | float:
        """Changes with what any of the runs records."""
        if run_name is None or compare_with is None:
            return float("nan")
        return "\n".join(str(_mark(name)) for name in (run_name, *_names(compare_with)))

    @classmethod
    def execute(
        cls, run_name: str, compare_with: str = "", run: RunFolder | None = None
    ) -> io.NodeOutput:
        """Read the events and draw them."""
        first = _open(run_name, run)
        runs = [first, *(open_run(_runs(), name) for name in _names(compare_with))]
        found = {each.path.name: curves(each.events()) for each in runs}
        image = images.read_image(plot(found))
        own = found[first.path.name]
        return io.NodeOutput(
            image,
            _loss_map(own.get("loss_g")),
            _loss_map(own.get("loss_d")),
            ui=ui.PreviewImage(image, cls=cls),
        )


_LOSS_MAP = io.Custom("LOSS_MAP")


def _names(compare_with: str) -> list[str]:
    return [name.strip() for name in compare_with.split(",") if name.strip()]


def _loss_map(curve: Curve | None) -> Any:
    """What ComfyUI's own plot takes; it cannot draw a level line."""
    if curve is None or len(set(curve.values)) < 2:
        return outputs.nothing()
    return {"loss": curve.values}


class StopRun(_OfRun):
    """A run's name, and it stops."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            "GenartStopRun",
            "Stop Run",
            CATEGORY,
            description=(
                "Asks a training run, in the background or in another program, to write a "
                "checkpoint and end. The node that began it goes on with it at any time."
            ),
            search_aliases=["end training", "abort"],
            is_output_node=True,
            inputs=[
                _run_field(),
                field(
                    io.Float,
                    "seconds",
                    "How long to wait for its end. It ends all the same, later, when a step takes "
                    "longer.",
                    default=60.0,
                    min=0.0,
                    max=3600.0,
                    step=1.0,
                ),
            ],
            outputs=[result(io.String, "report", "report", "What happened, as text.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> float:
        """Never the same: a run that was stopped may have begun again."""
        return float("nan")

    @classmethod
    @within_bounds
    def execute(cls, run_name: str, seconds: float) -> io.NodeOutput:
        """Ask, and wait for the checkpoint."""
        show_text("Asked to stop")
        beats = Progress(max(round(seconds), 1))
        begun = time.monotonic()

        def beat() -> None:
            beats.at(min(int(time.monotonic() - begun), round(seconds)))

        told = ask_to_stop(_open(run_name, None), seconds, beat)
        return io.NodeOutput(told, ui=_shown(told, None))
