"What the notebooks of the convolutional families cannot show: many networks, sets without validation, hostile files."
import numpy as np
import pandas as pd
import pytest

import aurora_nb.learn  # makes torchvision fit torch
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aurora_nb.core import AuroraError
from aurora_nb.families.baselines import ColumnNorm, fit_baseline
from aurora_nb.families.comparison import compare_networks
from aurora_nb.families.convnets import LowPrecision, balanced_weights, convnets_learner, learner_probabilities
from aurora_nb.families.saliency import class_gradient, grad_cam, smooth_gradient
from aurora_nb.learn.backbones import build_network, register_network
from aurora_nb.learn.parts import Split
from aurora_nb.learn.preparation import Preparation

CLASSES = "level", "rising", "upright", "falling"


def arcs(count, seed, size=32, bands=1):
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 4, count)
    y, x = np.indices((size, size)) - size / 2
    angle = np.radians(45 * which)[:, None, None]
    off = x * np.sin(angle) + y * np.cos(angle) + rng.uniform(-5, 5, (count, 1, 1))
    images = rng.uniform(0, 0.4, (count, size, size)) + 0.6 * np.exp(-((off / 2) ** 2))
    return np.repeat(images[:, None], bands, 1).astype("f4"), which


def loaders(count=32, bands=1, size=32, valid=8):
    sets = [list(zip(torch.tensor(images), torch.tensor(which)))
            for images, which in (arcs(count, 1, size, bands), arcs(valid, 2, size, bands))]
    dls = DataLoaders(DataLoader(sets[0], 8, shuffle=True), DataLoader(sets[1], 8), device=torch.device("cpu"))
    dls.vocab, dls.c, dls.scheme, dls.preparation = CLASSES, 4, "directions", Preparation(size=size, bands=bands)
    return dls


def fit(learner, epochs=1, rate=1e-3):
    with learner.no_bar(), learner.no_logging(): learner.fit(epochs, rate)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("arcs"), []
    images, which = arcs(96, 3)
    for number, (image, kind) in enumerate(zip(images[:, 0], which)):
        file = folder / f"{number:03d}.png"
        Image.fromarray((255 * image.clip(0, 1)).astype("u1")).save(file)
        moment = pd.Timestamp("2020-01-01T20:00") + pd.Timedelta(days=number // 12, minutes=number % 12)
        rows.append((str(file), "krn", moment, f"krn_{moment:%Y%m%d}", CLASSES[kind]))
    table = pd.DataFrame(rows, columns=["file", "station", "time", "night", "label"])
    table.attrs = {"scheme": "directions", "classes": CLASSES, "folder": str(folder), "problem_files": {}}
    return table


@pytest.fixture
def call():
    return dict(networks=["small_resnet"], modern=[], baselines=["ridge"], features_of="small_resnet", epochs=1, batch=8,
                preparation=Preparation(size=32, stretch="range"))


@pytest.mark.parametrize("name", ["small_resnet", "mobilenet_v3_small", "resnet18", "swin_tiny"])
def test_network_learns_and_is_looked_into(name):
    "One step of training, probabilities and maps: convolutions, inverted residuals, windows with channels last."
    dls = loaders(8, bands=3, size=64)
    learner = convnets_learner(dls, name, low_precision=name == "resnet18")
    fit(learner)
    assert "forward" not in vars(learner.model)
    chances = learner_probabilities(learner, dls.valid)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
    images = arcs(2, 5, 64, 3)[0]
    for method in (class_gradient, lambda *given: smooth_gradient(*given, copies=2), grad_cam):
        found = method(learner.model, images)
        assert found.shape == (2, 64, 64) and np.isfinite(found).all() and (found >= 0).all()


def test_low_precision_leaves_nothing_behind_when_training_breaks():
    learner = convnets_learner(loaders(), "small_resnet", low_precision=True)
    learner.opt_func = None  # breaks within fit
    with pytest.raises(Exception): fit(learner)
    with torch.no_grad(): assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_without_validation_frames_training_ends_with_its_last_weights():
    dls = loaders(16, valid=0)
    learner = convnets_learner(dls, "small_resnet", patience=2)
    fit(learner, 2)
    assert learner_probabilities(learner, dls.train.new(shuffle=False)).shape == (16, 4)
    assert LowPrecision not in [type(one) for one in learner.cbs]


def test_early_stopping():
    learner = convnets_learner(loaders(16), "small_resnet", patience=1)
    fit(learner, 60, 1.0)  # steps so large that it must get worse some day
    *before, last = (losses[1] for losses in learner.recorder.values)  # of validation; NaN is no better either
    assert 1 <= len(before) < 59 and before == sorted(set(before), reverse=True) and not last < before[-1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_balanced_weights_give_each_class_the_same_say(labels):
    weights, labels = balanced_weights(labels, 6), np.array(labels)
    shares = [weights[kind] * (labels == kind).sum() for kind in np.unique(labels)]
    np.testing.assert_allclose(shares, shares[0])
    np.testing.assert_allclose(weights[labels].mean(), 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["knn", "svm", "ridge"]), st.integers(2, 5))
def test_baselines_give_probabilities_whatever_the_rows(seed, name, known):
    rng = np.random.default_rng(seed)
    rows, labels = rng.normal(size=(30, 4)) * 10 ** rng.uniform(-3, 3), np.arange(30) % known
    valid = rng.normal(size=(9, 4)), rng.integers(0, 6, 9)  # with classes that training lacks
    chances = fit_baseline(name, rows, labels, 6, valid, normalisation="column").probabilities(rng.normal(size=(7, 4)))
    assert chances.shape == (7, 6) and np.isfinite(chances).all()
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)
    assert (chances.argmax(1) < known).all()


def test_column_norm_is_what_scikit_learn_called_normalize():
    "Centred columns of L2 norm 1 over the training rows, as `normalize=True` of scikit-learn before 1.2 made them."
    rows = np.random.default_rng(0).normal(3, [1, 5, 20], (40, 3))
    centred = rows - rows.mean(0)
    np.testing.assert_allclose(ColumnNorm().fit(rows).transform(rows), centred / np.linalg.norm(centred, axis=0), atol=1e-6)


def test_comparison_goes_on_where_it_was_stopped(table, call, tmp_path):
    split = Split(np.arange(48), np.arange(48, 60), np.arange(60, 96), "night", "by hand")
    results, lines = tmp_path / "results.csv", []

    def stopped(classes, bands, pretrained, size): raise KeyboardInterrupt

    register_network("stopped", stopped)
    with pytest.raises(KeyboardInterrupt):
        compare_networks(table, split, results=results, tell=lines.append, **call | {"networks": ["small_resnet", "stopped"]})
    done = pd.read_csv(results, index_col="model")
    assert sorted(done.index) == ["ridge on pixels", "ridge on small_resnet", "small_resnet"]
    register_network("stopped", lambda classes, bands, pretrained, size: build_network("small_resnet", classes, bands))
    register_network("small", build_network)
    again = compare_networks(table, split, results=results, **call | {"networks": ["small_resnet", "stopped"]})
    assert set(again.table.index) == {*done.index, "stopped"} and not again.problems
    pd.testing.assert_series_equal(again.table.training_seconds[done.index].astype(float), done.training_seconds)
    with pytest.raises(AuroraError, match="another comparison"):
        compare_networks(table.assign(label=table.label[::-1].values), split, results=results, **call)


def test_comparison_without_validation_and_with_an_unreadable_test_frame(table, call, tmp_path):
    broken = table.copy()
    broken.attrs = dict(table.attrs)
    (tmp_path / "cut.png").write_bytes(open(table.file[70], "rb").read()[:60])
    broken.loc[70, "file"] = str(tmp_path / "cut.png")
    split = Split(np.arange(60), [], np.arange(60, 96), "night", "by hand")
    with pytest.warns(UserWarning): found = compare_networks(broken, split, **call)
    assert not found.problems
    assert {len(report.truth) for report in found.reports.values()} == {35}


def test_features_of_a_network_as_given(table, call):
    split = Split(np.arange(48), np.arange(48, 60), np.arange(60, 96), "night", "by hand")
    network = build_network("small_resnet", 4, bands=1, size=32)
    found = compare_networks(table, split, **call | {"networks": [], "features_of": network})
    assert set(found.reports) == {"ridge on pixels", "ridge on small_resnet as given"}
