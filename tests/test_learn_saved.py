"""Saved models: mutated files either give the same answers or are refused; every network comes back; predict at length.

A file that was changed anywhere must load to the same weights and the same description, or be refused with an AuroraError;
no other exception, and nothing that runs code.
"""
import json
import pickle
import threading
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import aurora_nb.learn  # noqa: F401  (makes torchvision fit torch)
import torch
from aurora_nb.core import AuroraError
from aurora_nb.frames import build_frames
from aurora_nb.learn import ahead, predict
from aurora_nb.learn.backbones import Network, build_network, register_network
from aurora_nb.learn.preparation import Preparation
from aurora_nb.learn.saved import Classifier, load_model, save_model, shipped_models

NAMES = ("arc", "diffuse", "noaurora")


class Tiny(torch.nn.Module):
    "A body that brightness and contrast are enough for."
    def __init__(self, width):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, width, 3)
        self.norm = torch.nn.BatchNorm2d(width)

    def forward(self, pictures): return self.norm(self.layer(pictures)).relu().mean((2, 3))


def build_tiny(classes, bands=1, pretrained=False, size=16, width=4): return Network(Tiny(width), width, classes, bands)


@pytest.fixture(scope="module")
def model():
    register_network("tiny", build_tiny)
    torch.manual_seed(0)
    return Classifier(build_network("tiny", 3, size=16), NAMES, "oath", Preparation(size=16), 1.5, {"data": "none"})


@pytest.fixture(scope="module")
def content(model, tmp_path_factory):
    return save_model(model, tmp_path_factory.mktemp("saved") / "model.safetensors").read_bytes()


place, byte = st.floats(0, 1, exclude_max=True), st.integers(0, 255)
change = st.one_of(
    st.tuples(st.just("flip"), place, st.integers(0, 7)), st.tuples(st.just("cut"), place, st.none()),
    st.tuples(st.just("overwrite"), place, st.lists(byte, min_size=1, max_size=8)),
    st.tuples(st.just("insert"), place, st.lists(byte, min_size=1, max_size=8)),
    st.tuples(st.just("delete"), place, st.integers(1, 200)),
    st.tuples(st.just("digit"), place, st.sampled_from(b'0123456789,:"{}[]-eE')))


def mutate(data, changes):
    "The content with changes, half of them in the first 1500 bytes, where the header is."
    for kind, where, what in changes:
        start = int(where * 2 * len(data)) if where < 0.5 else int((where - 0.5) * 2 * min(len(data), 1500))
        head, rest = data[:start], data[start:]
        if kind == "cut": data = head
        elif kind == "flip": data = head + bytes([rest[0] ^ 1 << what]) + rest[1:] if rest else data
        elif kind == "overwrite": data = head + bytes(what) + rest[len(what):]
        elif kind == "insert": data = head + bytes(what) + rest
        elif kind == "delete": data = head + rest[what:]
        else: data = head + bytes([what]) + rest[1:]
    return data


def test_mutated_models(model, content, tmp_path):
    path, seen = tmp_path / "model.safetensors", {"same": 0, "refused": 0}
    path.write_bytes(content)
    good = load_model(path)
    state = good.network.state_dict()

    @settings(max_examples=1500, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(st.lists(change, min_size=1, max_size=3))
    def run(changes):
        path.write_bytes(mutate(content, changes))
        try:
            found = load_model(path)
        except AuroraError:
            seen["refused"] += 1
            return
        seen["same"] += 1
        assert all(torch.equal(value, state[name]) for name, value in found.network.state_dict().items())
        assert (found.classes, found.scheme, found.preparation, found.temperature, found.card, found.version) == (
            good.classes, good.scheme, good.preparation, good.temperature, good.card, good.version)

    run()
    assert seen["refused"] > 1000, seen


def test_every_cut(content, tmp_path):
    path = tmp_path / "model.safetensors"
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])
        with pytest.raises(AuroraError): load_model(path)


class Bomb:
    "Runs code when it is unpickled."
    def __reduce__(self): return (exec, ("raise SystemExit('a pickle was opened')",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_not_opened(tmp_path, protocol):
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb(), protocol))
    with pytest.raises(AuroraError): load_model(path)


def test_torch_files_are_refused(tmp_path, model):
    path = tmp_path / "model.safetensors"
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save(model.network.state_dict(), path, **options)
        with pytest.raises(AuroraError, match="can run code"): load_model(path)
    with zipfile.ZipFile(path, "w") as archive: archive.writestr("data.pkl", pickle.dumps(Bomb()))
    with pytest.raises(AuroraError, match="can run code"): load_model(path)


@pytest.mark.parametrize("header", [b"{}", b"[]", b"null", b'{"a": 1}', b'{"__metadata__": 3}', b'{"a": {"data_offsets": [0, 8]}}',
                                    b'{"__metadata__": {"aurora_nb": "[]", "sha256": ""}}', b"{" * 100_000,
                                    b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}',
                                    b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1e400]}}',
                                    b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": ["0", "8"]}}'])
def test_odd_headers(tmp_path, header):
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(AuroraError): load_model(path)


@pytest.mark.parametrize("name, options", {
    "alexnet": {"width": 64}, "densenet121": {"growth_rate": 8, "block_config": [2, 2, 2, 2]}, "mobilenet_v3_small": {},
    "swin_tiny": {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 3, 6]}, "shufflenet_v2": {}, "small_resnet": {},
}.items())
def test_networks_come_back(tmp_path, name, options):
    torch.manual_seed(1)
    network = build_network(name, 3, 3, size=64, mean=(0.4, 0.5, 0.6), **options).eval()
    model = Classifier(network, NAMES, "oath", Preparation(size=64, bands=3), 0.7)
    pictures = torch.rand(2, 3, 64, 64)
    for half, tolerance in ((False, 1e-6), (True, 5e-3)):
        path = save_model(model, tmp_path / f"{name}.safetensors", half=half)
        again = load_model(path)
        assert torch.allclose(again.probabilities(pictures), model.probabilities(pictures), atol=tolerance)
        assert again.network.options == network.options
    assert path.stat().st_size < 0.55 * sum(each.numel() * 4 for each in network.state_dict().values()) + 60_000


def test_shipped_models():
    for name, path in shipped_models().items():
        model = load_model(name)
        assert model.card.get("scores") and model.card.get("script"), f"{name}: a card without scores or script"
        assert model.scheme == load_model(path, expect_scheme=model.scheme).scheme
    assert sum(path.stat().st_size for path in shipped_models().values()) <= 12e6


def many_frames(count, fail=()):
    "Lazy Frames; blocks of 10 are made when they are asked for."
    import dask.array as da

    def block(block_info=None):
        start = block_info[None]["array-location"][0][0]
        if start in fail: raise OSError("the disk is gone")
        return np.random.default_rng(start).integers(300, 4000, (10, 32, 32)).astype("u2")

    image = da.map_blocks(block, chunks=((10,) * (count // 10), (32,), (32,)), dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    return build_frames(image, np.datetime64("2014-12-20", "ns") + np.arange(count) * np.timedelta64(3, "s"), station="gill")


def test_lazy_frames_fail_in_part(model):
    frames = many_frames(200, fail=(50, 190))
    labels = predict.predict_frames(model, frames, batch=32, workers=2)
    lost = labels.label.isna().to_numpy()
    assert np.flatnonzero(lost).tolist() == [*range(50, 60), *range(190, 200)]
    assert labels.reason[lost].str.contains("the disk is gone").all() and len(labels.attrs["problem_files"]) == 2
    good = frames.isel(time=~lost).compute()
    assert np.allclose(labels[list(NAMES)].to_numpy()[~lost], model.judge(good.image.values), atol=1e-6)


def test_few_frames_are_held_at_a_time(model, monkeypatch):
    "However many frames there are, the threads stay a bounded number of them ahead of the network."
    made, judged, most, lock = [0], [0], [0], threading.Lock()
    probabilities, prepare = Classifier.probabilities, ahead.prepare_piece

    def counted(images, preparation):
        with lock:
            made[0] += len(images)
            most[0] = max(most[0], made[0] - judged[0])
        return prepare(images, preparation)

    def slow(self, pictures):
        judged[0] += len(pictures)
        return probabilities(self, pictures)

    monkeypatch.setattr(ahead, "prepare_piece", counted)
    monkeypatch.setattr(Classifier, "probabilities", slow)
    for count in (400, 4000):
        made[0] = judged[0] = most[0] = 0
        labels = predict.predict_frames(model, many_frames(count), batch=32, workers=2)
        assert len(labels) == count == judged[0] and most[0] <= 6 * 32, most


def test_stopped_in_the_middle(model, monkeypatch):
    "An error in the network ends the threads and is raised."
    monkeypatch.setattr(Classifier, "probabilities", lambda self, pictures: 1 / 0)
    with pytest.raises(ZeroDivisionError): predict.predict_frames(model, many_frames(4000), batch=32)
    assert threading.active_count() < 20


def test_real_files(model, shared_data, tmp_path):
    "Streams of THEMIS, with a cut one and a page of a web server among them; the table is Parquet-ready."
    files = sorted((shared_data / "themis_pgm").rglob("*.pgm.gz"))
    if not files: pytest.skip("no THEMIS streams")
    (tmp_path / "20110401_0800_gako_themis20_full.pgm.gz").write_bytes(b"<html>404</html>")
    (tmp_path / "x_cut_full.pgm.gz").write_bytes(files[0].read_bytes()[:2000])
    labels = predict.predict_files(model, [*files, *tmp_path.iterdir()], batch=16)
    assert labels.index.is_monotonic_increasing and labels.index.is_unique and labels.label.notna().all()
    assert len(labels.attrs["problem_files"]) >= 2
    labels.to_parquet(tmp_path / "labels.parquet")
    again = pd.read_parquet(tmp_path / "labels.parquet")
    assert again.index.equals(labels.index) and json.dumps(again.attrs) == json.dumps(labels.attrs)
