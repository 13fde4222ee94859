"Masks learned and predicted: every network and file comes back, nothing bad stops a set, what is seen is where it was drawn."
import subprocess
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import aurora_nb.learn  # noqa: F401  (makes torchvision fit torch)
import torch
from torchvision.models import segmentation

from aurora_nb.core import AuroraError, FileProblem
from aurora_nb.families.masking import iterate_masks, predict_masks
from aurora_nb.families.segmentation import MaskLoss, choose_threshold, segmentation_learner, threshold_curve
from aurora_nb.frames import build_frames
from aurora_nb.learn.backbones import build_network
from aurora_nb.learn.datasets import open_labelled
from aurora_nb.learn.mask_augment import MaskAugment, turned_together
from aurora_nb.learn.mask_loaders import check_masks, segmentation_dls
from aurora_nb.learn.mask_networks import build_mask_network, known_mask_networks
from aurora_nb.learn.masks import bring_back, kept_at_size, mask_coverage, read_class_mask
from aurora_nb.learn.predict import predict_frames
from aurora_nb.learn.preparation import Preparation
from aurora_nb.learn.saved import Classifier, Segmenter, classifier_from, load_model, save_model

TINY = dict(channels=(8, 12, 16), wide=(12, 8, 8))
SMALL = Preparation(size=32, bands=3, crop=1.0)


def model(bands=3, size=32, classes=("aurora",)):
    torch.manual_seed(0)
    preparation = Preparation(size=size, bands=bands, crop=1.0)
    return Segmenter(build_mask_network("unet_small", len(classes), bands, size=size, **TINY), classes, "jbs_masks", preparation)


def frames(count=6, shape=(40, 50), dtype="u2", bands=()):
    rng = np.random.default_rng(0)
    image = rng.integers(50, 4000 if np.dtype(dtype).itemsize > 1 else 250, (count, *shape, *bands)).astype(dtype)
    return build_frames(image, np.datetime64("2018-06-14", "ns") + np.arange(count) * np.timedelta64(60, "s"), station="jbs")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    "Forty pictures of 40 x 48 pixels with bars and their masks, of five nights."
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(3)
    y, x = np.indices((40, 48))
    for kind in ("images", "masks"): (folder / kind).mkdir()
    for number in range(40):
        bar = (np.abs(y - rng.uniform(8, 32)) < 4) & (np.hypot(y - 19.5, x - 23.5) < 20) & bool(number % 5)
        name = f"jbs_201806{10 + number // 8}_1200{number % 8:02d}.png"
        Image.fromarray((rng.poisson(30, (40, 48)) + 90 * bar).clip(0, 255).astype("u1")).save(folder / "images" / name)
        Image.fromarray(np.uint8(255) * bar).save(folder / "masks" / name)
    return open_labelled(folder, "jbs_masks")


SPLIT = SimpleNamespace(train=np.arange(32), valid=np.arange(32, 40))


@pytest.mark.parametrize("name, bands", [("unet_small", 1), *((name, 3) for name in known_mask_networks())])
def test_networks_come_back_from_files(name, bands, tmp_path):
    network = build_mask_network(name, 2, bands, mean=0.2).eval()
    made = Segmenter(network, ("aurora", "cloud"), "jbs_masks", Preparation(size=64, bands=bands, crop=1.0), threshold=0.3)
    again = load_model(save_model(made, tmp_path / "model.safetensors", half=False))
    pictures = torch.rand(1, bands, 50, 67)
    assert again.probabilities(pictures).shape == (1, 2, 50, 67)
    torch.testing.assert_close(again.probabilities(pictures), made.probabilities(pictures))
    assert (again.threshold, again.classes, again.version) == (0.3, ("aurora", "cloud"), made.version)


def test_file_of_masks_opens_alone_and_small(tmp_path):
    made = Segmenter(build_mask_network("unet_small", bands=3), ("aurora",), "jbs_masks", SMALL)
    path = save_model(made, tmp_path / "model.safetensors")
    assert path.stat().st_size < 6e6
    code = f"from aurora_nb.learn.saved import load_model; print(load_model({str(path)!r}).task)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "masks", done.stderr


def test_published_weights_from_a_file(tmp_path):
    for name, maker in (("fcn_resnet50", segmentation.fcn_resnet50), ("fcn_mobilenet", segmentation.lraspp_mobilenet_v3_large)):
        theirs = maker(weights=None, weights_backbone=None, num_classes=21)
        torch.save(theirs.state_dict(), path := tmp_path / f"{name}.pth")
        ours = build_mask_network(name, 1, 3, pretrained=str(path))
        assert ours.options["mean"] == [0.485, 0.456, 0.406]
        deep = next(key for key in theirs.state_dict() if key.startswith("backbone") and key.endswith("conv2.weight") or "5.block.0.0.weight" in key)
        assert torch.equal(ours.body.state_dict()[deep], theirs.state_dict()[deep])
        grey = build_mask_network(name, 1, 1, pretrained=str(path))
        first = next(key for key in grey.body.state_dict())
        torch.testing.assert_close(grey.body.state_dict()[first], theirs.state_dict()[first].sum(1, keepdim=True))
        other = "fcn_mobilenet" if name == "fcn_resnet50" else "fcn_resnet50"
        with pytest.raises(AuroraError, match="do not fit"): build_mask_network(other, 1, 3, pretrained=str(path))


def test_fcn_is_torchvisions():
    theirs = segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=1).eval()
    ours = build_mask_network("fcn_resnet50", 1, 3).eval()
    ours.body.load_state_dict({key: each for key, each in theirs.state_dict().items() if key in ours.body.state_dict()})
    ours.head.load_state_dict({"weight": theirs.classifier[4].weight, "bias": theirs.classifier[4].bias})
    pictures = torch.rand(1, 3, 64, 72)
    with torch.inference_mode(): torch.testing.assert_close(ours(pictures), theirs(pictures)["out"])


@pytest.mark.parametrize("name", ["fcn_resnet50", "fcn_mobilenet"])
def test_weights_that_cannot_be_had(name, monkeypatch, tmp_path):
    def broken(*_, **__): raise OSError("no route to host")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(AuroraError, match="no route to host.*pass its path as pretrained="):
        build_mask_network(name, 1, 3, pretrained=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(24, 90), st.integers(24, 90), st.integers(16, 120), st.floats(0.5, 1.2), st.integers(0, 10**6), st.booleans())
def test_there_and_back(height, width, size, crop, seed, own_disc):
    rng = np.random.default_rng(seed)
    disc = (height / 2 + rng.uniform(-5, 5), width / 2 + rng.uniform(-5, 5), rng.uniform(8, 40)) if own_disc else None
    p = Preparation(size=size, crop=crop, disc=disc)
    for value in (0.0, 1.0):
        coverage = mask_coverage(np.full((height, width), value), p)
        assert set(np.unique(coverage)) <= {-1.0, value}
        back = bring_back(np.full((size, size), value, "f4"), (height, width), p)
        assert back.shape == (height, width) and np.allclose(back[np.isfinite(back)], value, atol=1e-5)
        y, x = np.indices((height, width))
        used = p.used_disc((height, width))
        assert np.isnan(back[np.hypot(y - used.row, x - used.column) > used.radius + 1e-6]).all()
    mask = rng.random((height, width)) < 0.3
    coverage = mask_coverage(np.where(rng.random((height, width)) < 0.1, np.nan, mask), p)
    assert coverage.shape == (size, size) and ((coverage == -1) | ((0 <= coverage) & (coverage <= 1))).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(-180, 180), st.floats(-0.1, 0.1), st.booleans())
def test_mask_moves_with_its_picture(seed, angle, shift, mirrored):
    "Where the picture is the mask itself, it still is after any turn."
    size = 48
    steps = torch.arange(size) - (size - 1) / 2
    disc = torch.hypot(steps[:, None], steps) <= size / 2
    mask = torch.where(disc, torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(seed)), -1.0)
    turned, moved = turned_together(mask.clamp(min=0), mask, angle_deg=torch.tensor([angle]), right=torch.tensor([shift]),
                                    down=torch.tensor([-shift]), mirrored=torch.tensor([mirrored]))
    inner = (moved >= 0) & (torch.hypot(steps[:, None], steps) < 0.6 * size / 2)  # all of it from inside
    torch.testing.assert_close(moved[inner], turned[inner], atol=1e-4, rtol=0)


def test_no_mask_of_anything_is_no_loss():
    scores = torch.randn(2, 1, 8, 8, requires_grad=True)
    loss = MaskLoss()(scores, torch.full((2, 1, 8, 8), -1.0))
    loss.backward()
    assert torch.isfinite(loss) and float(scores.grad.abs().max()) == 0


def test_learns_saves_and_masks(pairs, tmp_path):
    dls = segmentation_dls(pairs, SPLIT, replace(SMALL, bands=1), augment=True, device="cpu")
    torch.manual_seed(0)
    learner = segmentation_learner(dls, "unet_small", low_precision=False, **TINY)
    with learner.no_bar(), learner.no_logging(): learner.fit_one_cycle(8, 1e-2)
    curve = threshold_curve(learner, dls.valid)
    threshold = choose_threshold(curve)
    assert curve.iou[threshold] > 0.5
    made = load_model(save_model(replace(classifier_from(learner), threshold=threshold), tmp_path / "bars.safetensors"))
    images = np.stack([np.asarray(Image.open(path)) for path in pairs.file[32:]])
    truth = np.stack([read_class_mask(path) for path in pairs["mask"][32:]]) > 0
    masks = predict_masks(made, build_frames(images, pairs.time[32:].to_numpy(), station="jbs"))
    seen, found = np.isfinite(masks.mask.values), masks.mask.values >= masks.threshold
    assert (found & truth).sum() / ((found | truth) & seen).sum() > 0.5


def test_bad_files_never_stop_a_set(pairs, tmp_path):
    rng, table = np.random.default_rng(0), pairs.copy()
    kinds = {}
    for row in range(0, 24, 2):
        content = bytearray(open(table["mask"][row], "rb").read())
        kind = row // 2 % 6
        if kind == 0: content = content[:rng.integers(0, len(content))]
        elif kind == 1: content = bytes(rng.integers(0, 256, 200, dtype="u1"))
        elif kind == 2: Image.fromarray(np.zeros((40, 40), "u1")).save(tmp_path / f"{row}.png")
        elif kind == 3: Image.fromarray(rng.integers(0, 256, (40, 48), dtype="u1")).save(tmp_path / f"{row}.png")
        elif kind == 4: content[len(content) // 2] ^= 0xFF
        path = tmp_path / (f"{row}.png" if kind != 5 else "gone.png")
        if kind in (0, 1, 4): path.write_bytes(content)
        table.loc[row, "mask"], kinds[str(path)] = str(path), kind
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        dls = segmentation_dls(table, SPLIT, SMALL, device="cpu")
    assert any("cannot be read and are left out" in str(each.message) for each in said)
    assert set(dls.problem_files) == set(kinds)  # each by name, no other
    assert len(dls.train_ds) == 32 - 12 and len(dls.valid_ds) == 8
    report = check_masks(table, preparation=SMALL)
    assert [path.split(": found")[0] in kinds for path in report.flaw[:24:2]] == [True] * 12
    assert (report.flaw[25:40:5] == "empty").all() and len(report) == 40


def test_coloured_drawings_and_unknown_pixels(tmp_path):
    red = np.zeros((20, 20, 3), "u1")
    red[5:9, :, 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    assert read_class_mask(tmp_path / "red.png").sum() == 80
    Image.fromarray(red[..., 0]).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(red[..., 0] > 0).save(tmp_path / "bit.png")
    deep = Image.fromarray(red[..., 0].astype("u2") * 257)
    deep.save(tmp_path / "deep.png")
    for name in ("palette", "bit", "deep"): assert read_class_mask(tmp_path / f"{name}.png").sum() == 80, name


def test_each_task_to_its_function():
    labels = Classifier(build_network("small_resnet", 2, channels=(4, 4, 4, 4), size=32), ("a", "b"), "", Preparation(size=32))
    with pytest.raises(AuroraError, match="predict_masks"): predict_frames(model(1), frames())
    with pytest.raises(AuroraError, match="predict_frames"): predict_masks(labels, frames())
    with pytest.raises(AuroraError, match="predict_frames"): next(iterate_masks(labels, frames()))


@pytest.mark.parametrize("dtype, bands", [("u1", (3,)), ("u2", ()), ("f4", ()), ("f8", (3,)), ("u2", (1,))])
def test_frames_of_any_kind(dtype, bands):
    some = frames(3, (33, 60), dtype, bands)
    assert predict_masks(model(3), some, batch=2).mask.shape == (3, 33, 60)
    assert predict_masks(model(1), some, batch=2).mask.dtype == np.float16


def test_a_lost_block_costs_its_frames_only():
    some = frames(12)

    def block(values, block_info=None):
        start = block_info[0]["array-location"][0][0] if block_info else 0
        if start == 4: raise FileProblem("night.pgm", "half a file")
        if start == 8: raise ValueError("odd")
        return values

    image = da.from_array(some.image.values, chunks=(2, 40, 50)).map_blocks(block, dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    masks = predict_masks(model(1), some.assign(image=(("time", "y", "x"), image)), batch=5)
    assert np.flatnonzero(~masks.evaluated.values).tolist() == [4, 5, 8, 9]
    assert np.isnan(masks.mask.values[[4, 5, 8, 9]]).all() and "night.pgm" in masks.problem_files
    whole = predict_masks(model(1), some, batch=3).mask.values
    np.testing.assert_allclose(np.nan_to_num(masks.mask.values[:4]), np.nan_to_num(whole[:4]), atol=2e-3)


def test_a_store_is_whole_or_not_there(tmp_path):
    some = frames(10)

    def ending():
        yield from iterate_masks(model(1), some.isel(time=slice(5)), batch=2)
        raise RuntimeError("the power went")

    from aurora_nb.families.masking import write_masks
    with pytest.raises(RuntimeError): write_masks(ending(), tmp_path / "masks.zarr", block=2)
    assert list(tmp_path.iterdir()) == []
    kept = predict_masks(model(1, classes=("aurora", "moon")), some, batch=3, out=tmp_path / "masks.zarr")
    assert kept.mask.shape == kept.moon.shape == (10, 40, 50) and kept.station == "jbs"


def test_a_simulated_campaign_trains(tmp_path):
    from aurora_nb.simulate.camera import camera_preset
    from aurora_nb.simulate.campaign import plan_campaign, simulate_campaign
    plan = plan_campaign(["jbs"], 2014, nights=2, hours=1, seed=1)
    simulate_campaign(plan, tmp_path, "jang_bogo", cadence="6min", camera=camera_preset("jang_bogo", 64))
    table = open_labelled(tmp_path, "jbs_masks")
    halves = SimpleNamespace(train=np.flatnonzero(table.night == table.night[0]), valid=np.flatnonzero(table.night != table.night[0]))
    try: dls = segmentation_dls(table, halves, SMALL, augment=True, device="cpu")
    except AuroraError as error: assert "all of them empty" in str(error)
    else:
        learner = segmentation_learner(dls, "unet_small", **TINY)
        with learner.no_bar(), learner.no_logging(): learner.fit(1)
        assert np.isfinite(learner.recorder.values[-1][0])


def test_what_size_keeps():
    y, x = np.indices((256, 256))
    masks = [(np.abs(y - 200 - at) < width / 2) & (np.hypot(y - 127, x - 128) < 120) for width in (8,) for at in (0, 0.3, 0.7)]
    kept = [kept_at_size(masks, Preparation(size=size, crop=1.0))["iou"] for size in (32, 64, 128, 256)]
    assert kept == sorted(kept) and kept[-1] > 0.95 and kept[0] < 0.9


def test_augmentation_on_several_classes():
    pictures, masks = torch.rand(4, 3, 32, 32), torch.rand(4, 2, 32, 32)
    after = MaskAugment(classes=("aurora", "moon"))(pictures, masks)
    assert after[0].shape == pictures.shape and after[1].shape == masks.shape and bool(after[0].isfinite().all())
