"Every network keeps one contract; published weights come from cache, file or server, or say why not; skies stay skies."
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import aurora_nb.learn  # makes torchvision fit torch
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torchvision import models

from aurora_nb.core import AuroraError
from aurora_nb.learn import backbones
from aurora_nb.learn.augment import SkyAugment, augment_for, inside_disc, paste_moon, turn_and_shift
from aurora_nb.learn.backbones import build_network, describe_networks, known_networks

assert aurora_nb.learn.declare_operators() == []
OURS = ["alexnet", "vgg16", "resnet18", "resnet50", "densenet121", "convnext_tiny", "swin_tiny", "efficientnet_b0",
        "mobilenet_v3_small", "inception_v4", "shufflenet_v2", "small_resnet"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    "For pictures as small as these threads wait longer than they work."
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_all_names_are_known():
    assert known_networks()[:len(OURS)] == OURS


@pytest.mark.parametrize("name", OURS)
def test_contract(name):
    torch.manual_seed(0)
    side = {"inception_v4": 79, "swin_tiny": 76}.get(name, 70)  # no multiple of 32; Swin's patches are of 4 pixels
    network = build_network(name, classes=5, bands=2, size=96).eval()
    pictures = torch.rand(2, 2, side, side)
    scores = network(pictures)
    features = network.features(pictures)
    assert scores.shape == (2, 5) and features.shape == (2, network.feature_count)
    assert torch.equal(network(pictures), scores) and torch.equal(network.head(features), scores)
    scores = network.train()(pictures)  # Inception's untrained eval mode lets nothing through that many layers
    assert scores.isfinite().all() and not torch.equal(scores[0], scores[1])
    scores.square().sum().backward()
    for layer in (next(network.parameters()), network.head.weight):
        assert layer.grad.isfinite().all() and layer.grad.abs().sum() > 0
    with torch.device("meta"): again = build_network(network.name, **network.options)
    told, wanted = again.state_dict(), network.state_dict()
    assert {key: value.shape for key, value in told.items()} == {key: value.shape for key, value in wanted.items()}
    assert again.options == network.options


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "swin_tiny", "shufflenet_v2", "small_resnet"])
@pytest.mark.parametrize("bands, size", [(1, 64), (3, 100)])
def test_bands_and_sizes(name, bands, size):
    network = build_network(name, classes=3, bands=bands, size=size).eval()
    with torch.no_grad():
        assert network(torch.rand(1, bands, size, size)).shape == (1, 3)
        assert network(torch.rand(1, bands, 128, 96)).shape == (1, 3)
    with pytest.raises(AuroraError, match=rf"expected \(n, {bands}, y, x\)"): network(torch.rand(1, bands + 1, size, size))


def test_levels_are_part_of_the_network_and_of_its_options():
    plain, level = build_network("small_resnet", 4).eval(), build_network("small_resnet", 4, mean=0.4, std=[0.2]).eval()
    level.load_state_dict(plain.state_dict())
    again = build_network("small_resnet", **level.options).eval()
    again.load_state_dict(plain.state_dict())
    pictures = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(level(pictures), plain((pictures - 0.4) / 0.2), atol=1e-5)
        assert torch.equal(level(pictures), again(pictures))


def test_sizes_of_published_files():
    for name, (architecture, size_mb, _) in backbones._TIMM.items():
        with torch.device("meta"):
            whole, body = timm.create_model(architecture), timm.create_model(architecture, num_classes=0)
        held = sum(value.numel() * value.element_size() for value in whole.state_dict().values()) / 1e6
        assert abs(held - size_mb) < 0.01 * size_mb + 0.1, name
        assert timm.get_pretrained_cfg(architecture).hf_hub_id == f"timm/{architecture}"
        whole.reset_classifier(0)
        assert whole.state_dict().keys() == body.state_dict().keys(), name


def test_table():
    table = describe_networks(["small_resnet", "mobilenet_v3_small"], size=64)
    assert table.features.tolist() == [256, 1024] and (table.multiply_adds_million > 1).all()


# published weights

def python(code, folder, **environment):
    "Run code in a process of its own, with empty caches."
    place = {"HF_HOME": str(folder / "hf"), "TORCH_HOME": str(folder / "torch"), "PYTHONWARNINGS": "ignore"}
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and not key.startswith("HF_")}
    code = "import aurora_nb.learn\nfrom aurora_nb.learn.backbones import build_network\n" + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
                          env=kept | place | environment)


def test_no_network_no_cache(tmp_path):
    code = """
from aurora_nb.core import AuroraError
for name in ("resnet18", "alexnet"):
    try: build_network(name, 6, pretrained=True)
    except AuroraError as error: print(error)
"""
    nowhere = "http://127.0.0.1:9"
    done = python(code, tmp_path, HF_ENDPOINT=nowhere, HTTPS_PROXY=nowhere, https_proxy=nowhere, NO_PROXY="127.0.0.1")
    assert done.returncode == 0, done.stderr
    first, hub, second, other = done.stdout.strip().splitlines()
    assert first.startswith("resnet18: downloading weights, 47 MB, from https://huggingface.co/timm/resnet18.a1_in1k")
    assert "model.safetensors, 47 MB. Fetch this file" in hub and "pass its path as pretrained=" in hub
    assert second.startswith("alexnet: downloading") and "alexnet-owt-7be5be79.pth, 233 MB" in other
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 1000]


def test_offline_mode_is_obeyed(tmp_path):
    done = python("build_network('resnet18', 6, pretrained=True)", tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode and "AuroraError: resnet18: published weights are not in the cache" in done.stderr


class Hub(SimpleHTTPRequestHandler):
    "As much of Hugging Face as a download asks for."
    def end_headers(self):
        self.send_header("ETag", '"0123456789abcdef0123456789abcdef01234567"')
        self.send_header("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
        super().end_headers()

    def log_message(self, *told): pass


def test_downloaded_once_then_from_the_cache(tmp_path):
    folder = tmp_path / "server/timm/mobilenetv3_small_100.lamb_in1k/resolve/main"
    folder.mkdir(parents=True)
    published = timm.create_model("mobilenetv3_small_100")
    save_file(published.state_dict(), folder / "model.safetensors")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=tmp_path / "server"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = ("network = build_network('mobilenet_v3_small', 6, bands=3, pretrained=True)\n"
            "print(float(network.body.conv_stem.weight.double().sum()), network.options['mean'])")
    address = f"http://127.0.0.1:{server.server_port}"
    first = python(code, tmp_path, HF_ENDPOINT=address, HF_HUB_DISABLE_XET="1")
    server.shutdown()
    server.server_close()
    assert first.returncode == 0, first.stderr
    told, found = first.stdout.strip().splitlines()
    assert told.startswith("mobilenet_v3_small: downloading weights, 10 MB")
    assert float(found.split()[0]) == pytest.approx(float(published.conv_stem.weight.detach().double().sum()), abs=1e-6)
    second = python(code, tmp_path, HF_ENDPOINT=address)
    assert second.stdout.strip() == found, second.stderr


def test_torchvision_weights_by_path_and_names(tmp_path, monkeypatch):
    theirs = models.shufflenet_v2_x1_0().eval()
    torch.save(theirs.state_dict(), tmp_path / "shuffle.pth")
    ours = build_network("shufflenet_v2", 6, bands=3, pretrained=tmp_path / "shuffle.pth", mean=0.0, std=1.0).eval()
    pictures = torch.rand(2, 3, 64, 64)
    with torch.no_grad(): assert torch.allclose(theirs.fc(ours.features(pictures)), theirs(pictures), atol=1e-5)
    theirs = models.alexnet().eval()
    monkeypatch.setattr(backbones, "read_weights", lambda file: theirs.state_dict())
    ours = build_network("alexnet", 6, bands=3, pretrained="here", mean=0.0, std=1.0).eval()
    with torch.no_grad(): assert torch.allclose(theirs.classifier[6](ours.features(pictures)), theirs(pictures), atol=1e-5)
    with pytest.raises(AuroraError, match="do not fit: fc6.weight"): build_network("alexnet", 6, pretrained="here", width=64)


class Trap:
    def __init__(self, path): self.path = path
    def __reduce__(self): return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["small_resnet", "resnet18", "shufflenet_v2", "alexnet"])
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_pickle_is_not_run(tmp_path, name, ending):
    torch.save({"weight": Trap(str(tmp_path / "sprung"))}, tmp_path / f"weights.{ending}")
    with pytest.raises(AuroraError, match="expected a file of weights"):
        build_network(name, 6, pretrained=tmp_path / f"weights.{ending}")
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_network(tmp_path):
    save_file(models.shufflenet_v2_x1_0().state_dict(), tmp_path / "model.safetensors")
    for name, told in (("mobilenet_v3_small", "expected those of mobilenetv3"), ("small_resnet", "do not fit")):
        with pytest.raises(AuroraError, match=told): build_network(name, 6, pretrained=tmp_path / "model.safetensors")


# augmentation

def skies(count, bands, size, seed=0):
    "Smooth pictures, 0 to 1, black outside the disc."
    rough = torch.rand(count, bands, 8, 8, generator=torch.Generator().manual_seed(seed))
    pictures = torch.nn.functional.interpolate(rough, size=(size, size), mode="bilinear")
    return pictures * inside_disc(pictures)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(16, 70), bands=st.integers(1, 3), count=st.integers(1, 5), seed=st.integers(0, 10**6),
       strengths=st.fixed_dictionaries({
           "rotation_deg": st.floats(0, 360), "shift": st.floats(0, 0.5), "gain": st.floats(0, 5), "noise": st.floats(0, 1),
           "horizon": st.floats(0, 1), "coarse": st.floats(0, 0.9), "stars": st.integers(0, 50), "star_light": st.floats(0, 5), "moon": st.floats(0, 0.95),
           "clouds": st.floats(0, 1), "flip": st.booleans(), "chance": st.floats(0, 1)}))
def test_whatever_the_strengths(size, bands, count, seed, strengths):
    pictures = skies(count, bands, size, seed)
    kept = pictures.clone()
    changed = SkyAugment(**strengths, seed=seed)(pictures)
    assert torch.equal(pictures, kept), "the batch itself is left alone"
    assert changed.shape == pictures.shape and changed.dtype == pictures.dtype and changed.isfinite().all()
    assert changed.min() >= 0 and changed.max() <= 1 and (changed * (1 - inside_disc(pictures))).max() == 0
    assert torch.equal(changed, SkyAugment(**strengths, seed=seed)(pictures))
    assert SkyAugment(**strengths | {"noise": 0})(0 * pictures).max() == 0
    if bands > 1:  # what happens to one band happens to all: colours stay
        grey = pictures[:, :1].expand_as(pictures)
        turned = SkyAugment(**strengths | {"noise": 0}, seed=seed)(grey)
        assert torch.allclose(turned, turned[:, :1].expand_as(turned), atol=1e-6)


@pytest.mark.parametrize("size", [33, 64])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns(size, quarters):
    pictures, none = skies(3, 2, size), torch.zeros(3)
    turned = turn_and_shift(pictures, none + 90 * quarters, none, none)
    assert torch.allclose(turned, torch.rot90(pictures, quarters, (2, 3)), atol=1e-4)


def test_a_turn_keeps_the_light():
    pictures, none = skies(8, 1, 128), torch.zeros(8)
    turned = turn_and_shift(pictures, torch.linspace(5, 85, 8), none, none)
    assert torch.allclose(turned.sum((1, 2, 3)), pictures.sum((1, 2, 3)), rtol=0.01)


def test_defaults_are_too_weak_to_change_a_class():
    pictures = skies(256, 1, 64)
    alone = {name: 0 for name in SkyAugment().settings if name not in ("star_light", "chance", "seed", "edge_deg")}
    for preset, share in (("oath", 0.2), ("kiruna", 0.3), ("yellow_river", 0.3)):
        chosen = augment_for(preset).settings
        moonlit = SkyAugment(**alone | {"moon": chosen["moon"]}, chance=1, seed=1)(pictures)
        of_moon = 1 - pictures.mean((1, 2, 3)) / moonlit.mean((1, 2, 3))
        assert of_moon.min() >= -1e-6 and of_moon.max() <= share + 1e-4 and of_moon.max() > share / 2
        cloudy = SkyAugment(**alone | {"clouds": chosen["clouds"]}, chance=1, seed=1)(pictures)
        assert (cloudy >= pictures * (1 - chosen["clouds"]) - 1e-6).all()
        assert chosen["flip"] is False


def test_presets_and_strength():
    half = augment_for("kiruna", 0.5).settings
    assert half["moon"] == 0.15 and half["stars"] == 6 and half["rotation_deg"] == 180
    assert augment_for("oath", 9).settings["moon"] <= 0.95


def test_moon_where_it_was_put():
    dim = 0.2 * skies(2, 1, 128)
    moonlit = paste_moon(dim, torch.tensor([30.0, 100.0]), torch.tensor([64.0, 50.0]), torch.tensor([0.01, 0.01]))
    brightest = [divmod(int(each.argmax()), 128) for each in (moonlit - dim)[:, 0]]
    assert brightest == [(30, 64), (100, 50)]


def test_chance_by_torch_when_no_seed():
    pictures, augment = skies(4, 1, 32), SkyAugment()
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(augment(pictures))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_same_on_a_graphics_card():
    pictures = skies(8, 3, 64)
    here = SkyAugment(noise=0, chance=1, seed=3)(pictures)
    there = SkyAugment(noise=0, chance=1, seed=3)(pictures.cuda())
    assert there.is_cuda and torch.allclose(here, there.cpu(), atol=2e-3)
    assert SkyAugment(seed=3)(pictures.cuda()).isfinite().all()
