"Large margin and spatial transformer: over the whole range, in other precisions, in fresh processes, saved and loaded."
import subprocess
import sys

import aurora_nb.learn  # makes torchvision fit torch
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.families.margin import Easing, LargeMarginLinear, easing_within, margin_cosine, margin_scores
from aurora_nb.families.spatial_margin import (SpatialTransformer, limited, resample, retrieval_neighbours,
                                               transformer_body_head)
from aurora_nb.learn.backbones import build_network


def printed_psi(theta, margin):
    "As the paper of 2016 prints it, by way of the angle."
    k = np.minimum(np.floor(margin * theta / np.pi), margin - 1)
    return (-1.0) ** k * np.cos(margin * theta) - 2 * k


@pytest.mark.parametrize("margin", [1, 2, 3, 4, 5, 7])
def test_angle_over_its_whole_range(margin):
    joints = np.pi * np.arange(margin + 1) / margin
    near = (joints[:, None] + np.array([-1e-6, -1e-12, 0, 1e-12, 1e-6])).clip(0, np.pi).ravel()
    theta = np.concatenate([np.linspace(0, np.pi, 20_001), near])
    found = margin_cosine(torch.from_numpy(np.cos(theta)), margin).numpy()
    assert np.abs(found - printed_psi(theta, margin)).max() < 1e-12
    order = np.argsort(theta)
    assert (np.diff(found[order]) < 1e-13).all()


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_cosine_rounded_beyond_one_has_a_slope(margin):
    for cosine, slope in ((1 + 1e-7, margin**2), (-1 - 1e-7, margin**2)):
        value = torch.tensor(cosine, dtype=torch.float64, requires_grad=True)
        gradient = torch.autograd.grad(margin_cosine(value, margin), value)[0]
        assert abs(float(gradient) - slope) < 1e-4


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.sampled_from([0.0, 0.3, 15.0, 1e4]), st.integers(2, 9), st.integers(1, 8),
       st.floats(1e-3, 30), st.integers(0, 10**6))
def test_loss_as_printed(margin, easing, features, classes, length, seed):
    rng = np.random.default_rng(seed)
    rows, weight, targets = (rng.normal(size=(12, features)) * length, rng.normal(size=(classes, features)),
                             rng.integers(0, classes, 12))
    lengths = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(weight, axis=1)
    angles = np.arccos(np.clip(rows @ weight.T / lengths, -1, 1))
    scores, line = lengths * np.cos(angles), np.arange(12)
    scores[line, targets] = (easing * scores[line, targets]
                             + lengths[line, targets] * printed_psi(angles[line, targets], margin)) / (1 + easing)
    found = margin_scores(*map(torch.from_numpy, (rows, weight, targets)), margin, easing)
    np.testing.assert_allclose(found.numpy(), scores, atol=1e-6 * lengths.max())  # arccos loses half its digits near 0
    assert F.cross_entropy(found, torch.from_numpy(targets)).isfinite()


@pytest.mark.parametrize("margin", [2, 3, 4])
@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-20, 1e-3, 1e18])
def test_gradients_are_finite_at_any_length(margin, scale):
    torch.manual_seed(0)
    features = (torch.randn(8, 5) * scale).requires_grad_()
    layer = LargeMarginLinear(5, 4, margin)
    layer.targets, layer.easing = torch.arange(8) % 4, 0.0
    layer(features).sum().backward()
    assert features.grad.isfinite().all() and layer.weight.grad.isfinite().all()


def test_gradient_of_the_layer_in_float64():
    torch.manual_seed(0)
    head, rows = LargeMarginLinear(5, 3, 4).double(), torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    head.targets, head.easing = torch.arange(6) % 3, 0.5
    assert torch.autograd.gradcheck(head, (rows,), atol=1e-6)
    called = lambda weight: torch.func.functional_call(head, {"weight": weight}, rows)
    assert torch.autograd.gradcheck(called, head.weight)


def test_easing_falls_and_ends():
    for easing in (Easing(), Easing(0), Easing(3, 500, 1e-3, 4), easing_within(77, 2), Easing(gamma=0)):
        values = [easing(number) for number in range(0, 20_000, 7)]
        assert values[0] == easing.base and (np.diff(values) <= 0).all() and values[-1] >= easing.least
    assert [easing_within(77, 2)(number) for number in (77, 78)] == pytest.approx([2, 2])


@pytest.mark.parametrize("size", [14, 33, 64, 131])
@pytest.mark.parametrize("limit", ["affine", "similarity", "rotation"])
def test_transformer_starts_as_identity_and_learns(size, limit):
    transformer = SpatialTransformer(2, size, limit=limit, scales=(0.5, 2.0))
    pictures = torch.rand(2, 2, size, size)
    after = transformer(pictures)
    assert (after - pictures).abs().max() < 2e-4
    (after * torch.rand_like(after)).sum().backward()
    assert transformer.regress.bias.grad.isfinite().all() and transformer.regress.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("value", [0.0, 1e-20, 1e6])
def test_scales_hold_where_the_matrix_is_gone(value):
    found = limited(torch.full((1, 2, 3), value), "similarity", (0.5, 2.0))
    assert found.isfinite().all()
    assert resample(torch.rand(1, 1, 8, 8), found).isfinite().all()


def test_low_precision_does_not_move_pictures():
    network = build_network("spatial_margin", classes=3, size=64, width=16).eval()
    pictures = torch.rand(2, 1, 64, 64)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert network.transformer(pictures).dtype == torch.float32
        assert network(pictures).dtype == torch.float32
        assert (network.transformer(pictures) - pictures).abs().max() < 1e-4


def test_groups_hold_each_parameter_once():
    for transformer, count in ((True, 3), (False, 2)):
        network = build_network("spatial_margin", classes=3, size=64, width=16, transformer=transformer)
        groups = transformer_body_head(network)
        assert len(groups) == count
        assert sorted(id(part) for group in groups for part in group) == sorted(map(id, network.parameters()))


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small", "shufflenet_v2"])
def test_other_backbones(backbone):
    network = build_network("spatial_margin", classes=5, bands=3, size=64, backbone=backbone).eval()
    with torch.no_grad(): assert network(torch.rand(2, 3, 64, 64)).shape == (2, 5)


def test_found_by_name_in_a_fresh_process():
    code = ("from aurora_nb.learn.backbones import build_network, known_networks\n"
            "assert 'spatial_margin' in known_networks()\n"
            "print(build_network('spatial_margin', classes=4, size=64, width=8).name)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "spatial_margin", done.stderr


def test_saved_and_loaded(tmp_path):
    saved = pytest.importorskip("aurora_nb.learn.saved")
    from aurora_nb.learn.preparation import Preparation

    network = build_network("spatial_margin", classes=4, size=64, width=8, margin=4, scales=[0.5, 1.5])
    with torch.no_grad(): network.transformer.regress.bias.add_(0.1)
    classes = "arc", "drapery", "radial", "hotspot"
    given = saved.Classifier(network.eval(), classes, "yellow_river", Preparation(size=64))
    saved.save_model(given, tmp_path / "ours.safetensors", half=False)
    found = saved.load_model(tmp_path / "ours.safetensors")
    pictures = torch.rand(3, 1, 64, 64)
    torch.testing.assert_close(found.probabilities(pictures), given.probabilities(pictures))
    assert (found.network.head.margin, found.network.transformer.scales) == (4, (0.5, 1.5))


def test_neighbours_in_blocks_and_own_night_left_out():
    rng = np.random.default_rng(0)
    queries, database = rng.normal(size=(50, 8)).astype("f4"), rng.normal(size=(200, 8)).astype("f4")
    nights = [f"night{number}" for number in range(200)]
    own = [nights[number] for number in rng.integers(0, 200, 50)]
    near, far = retrieval_neighbours(queries, database, own, nights, results=7, block=9)
    distance = np.linalg.norm(queries[:, None] - database[None], axis=2)
    distance[np.array(own)[:, None] == np.array(nights)] = np.inf
    np.testing.assert_array_equal(near, np.argsort(distance, axis=1)[:, :7])
    np.testing.assert_allclose(far, np.sort(distance, axis=1)[:, :7], rtol=1e-4)
