"""A compiled generator: the same pictures from the same weights, or a sentence why not.

Slow: torch's compiler takes seconds to import and up to minutes to run.
"""

import subprocess
import sys

import pytest
import torch

from comfy_genart_nodes.gan import latents
from comfy_genart_nodes.gan.networks.compiling import compiled
from comfy_genart_nodes.gan.networks.layers import initialise
from comfy_genart_nodes.gan.networks.stylegan2 import StyleGAN2
from comfy_genart_nodes.gan.networks.stylegan2_spec import StyleGAN2Spec
from comfy_genart_nodes.gan.sampling import Settings, sample

pytestmark = pytest.mark.slow


@pytest.fixture
def generator():
    spec = StyleGAN2Spec(
        resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=16, mapping_layers=1
    )
    made = StyleGAN2(spec).eval().requires_grad_(False)
    initialise(made, 0)
    for layer in (made.synthesis.b4.conv1, made.synthesis.b32.conv0):
        layer.noise_strength.fill_(0.3)
    return made


@pytest.mark.parametrize("noise_mode", ["const", "random"])
def test_pictures_are_the_same_for_any_batch_and_strength(generator, noise_mode):
    fast = compiled(generator)
    assert fast.state_dict().keys() == generator.state_dict().keys()
    for count, strength in ((2, 1.0), (3, 0.5)):
        latent = latents.from_seeds(generator.spec, 0, count)
        settings = Settings(noise_mode=noise_mode, noise_strength=strength)
        expected, made = sample(generator, latent, settings), sample(fast, latent, settings)
        torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)


def test_weights_are_shared_also_when_they_move(generator):
    fast = compiled(generator)
    generator.to(torch.float64)
    assert fast.w_avg.dtype == torch.float64


def test_without_a_compiler_it_says_what_to_do(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    code = (
        "import torch\n"
        "from comfy_genart_nodes.errors import GenartError\n"
        "from comfy_genart_nodes.gan.networks.compiling import compiled\n"
        "from comfy_genart_nodes.gan.networks.generator import Generator, Look\n"
        "class Small(Generator):\n"
        "    def synthesize(self, ws, look): return ws.sin() * 2 + ws\n"
        "try: compiled(Small()).synthesize(torch.ones(2, 3), Look())\n"
        "except GenartError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("torch.compile cannot work here (")
    assert "switch compile off" in done.stdout and done.stdout.count("\n") == 1
