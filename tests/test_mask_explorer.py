"MaskExplorer as plain Python: cameras of any kind, models, late strokes, disks that fail; no browser."
import os

import numpy as np
import pytest
import xarray as xr

from aurora_nb.core import AuroraError
from aurora_nb.explorers import MaskExplorer
from aurora_nb.explorers.outlines import pack_bits, unpack_bits
from aurora_nb.explorers.sources import ModelMasks
from aurora_nb.frames import build_frames

TIMES = np.datetime64("2014-03-10T06:00", "ns") + np.arange(6) * np.timedelta64(1, "m")


def frames_of(shape=(40, 50), dtype="u2", bands=0):
    image = np.random.default_rng(0).integers(0, 200, (6, *shape, *([bands] if bands else [])))
    return build_frames(image.astype(dtype), TIMES, station="gill")


def stroke(explorer, mask, index=0, edit=1):
    "What the browser sends when the mouse is let go."
    explorer.canvas.receive({"kind": "stroke", "frame": index, "edit": edit, "buffers": [memoryview(pack_bits(mask))]})


@pytest.mark.parametrize("dtype, bands", [("u1", 3), ("u2", 0), ("f4", 0), (">u2", 0), ("u2", 3)])
def test_cameras_of_any_kind_and_nothing_but_frames(dtype, bands, tmp_path):
    frames = frames_of(dtype=dtype, bands=bands)
    before, explorer = frames.image.values.copy(), MaskExplorer(frames, store=tmp_path, other="difference")
    mask = np.zeros((40, 50), bool)
    mask[3:9, 4:40] = True
    stroke(explorer, mask)
    assert np.array_equal(explorer.store.read("gill", TIMES[0]), mask)
    assert frames.image.dtype == before.dtype and np.array_equal(frames.image.values, before)
    for index in range(6): explorer.state.index = index
    assert explorer.state.other_mask("difference").shape == (40, 50)
    explorer.figure()


def test_a_large_photograph_is_painted_on_its_thinned_picture(tmp_path):
    frames = frames_of((1300, 1900), "u1").isel(time=slice(2))
    explorer = MaskExplorer(frames, store=tmp_path)
    assert explorer.canvas.shape[:2] == [650, 950]
    fine = np.random.default_rng(1).random((1300, 1900)) < 0.5
    explorer.state.paint(fine)
    thin = unpack_bits(explorer.canvas.drawn, (650, 950)).copy()
    assert np.array_equal(thin, fine[::2, ::2])
    thin[100:110, 200:220] ^= True
    stroke(explorer, thin)
    drawn = explorer.state.drawn
    assert np.array_equal(drawn[:200], fine[:200]) and np.array_equal(drawn[200:220, 400:440][::2, ::2], thin[100:110, 200:220])


def test_strokes_on_a_frame_that_was_left(tmp_path):
    explorer = MaskExplorer(frames_of(), store=tmp_path, annotator="anna")
    first, second = np.eye(40, 50, dtype=bool), np.eye(40, 50, 3, dtype=bool)
    stroke(explorer, first)
    explorer.canvas.receive({"kind": "step", "steps": 2})
    stroke(explorer, second, index=0, edit=2)
    assert explorer.state.drawn is None and explorer.canvas.drawn == b""
    explorer.state.index = 0
    assert np.array_equal(explorer.state.drawn, second) and explorer.canvas.stamp[:2] == [0, 2]
    explorer.canvas.receive({"kind": "command", "name": "undo"})
    assert np.array_equal(explorer.state.drawn, first)


def test_a_disk_that_is_full_is_told_and_the_drawing_stays(tmp_path, monkeypatch):
    explorer = MaskExplorer(frames_of(), store=tmp_path)
    monkeypatch.delenv("IN_TEST", raising=False)
    mask = np.eye(40, 50, dtype=bool)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        stroke(explorer, mask)
        assert "No space left" in explorer.warning.value and np.array_equal(explorer.state.drawn, mask)
    stroke(explorer, mask, edit=2)
    assert np.array_equal(explorer.store.read("gill", TIMES[0]), mask)


def test_without_a_store_masks_live_with_the_kernel():
    explorer = MaskExplorer(frames_of(), annotator="anna")
    stroke(explorer, np.eye(40, 50, dtype=bool))
    assert "in this kernel only" in explorer.saved.value and len(explorer.store.table()) == 1


def test_masks_that_cannot_be_used_say_why(tmp_path):
    frames = frames_of()
    good = xr.Dataset({"mask": (("time", "y", "x"), np.full((6, 40, 50), 0.4, "f4"))}, {"time": TIMES})
    with pytest.raises(AuroraError, match="as the frames"): MaskExplorer(frames, good.isel(x=slice(9)))
    with pytest.raises(AuroraError, match="compare masks.time"):
        MaskExplorer(frames, good.assign_coords(time=TIMES + np.timedelta64(1, "D")))
    explorer = MaskExplorer(frames, good * xr.DataArray([1, 1, 9, 1, np.nan, 1], dims="time"))
    explorer.state.index = 2
    assert "from 3.6 to 3.6" in explorer.warning.value and explorer.canvas.probability == b""
    explorer.state.index = 4
    assert "3.6" not in explorer.warning.value and set(explorer.canvas.probability) == {255}
    explorer.figure()


def test_a_network_is_asked_for_the_frame_in_view(tmp_path):
    "Through predict_masks of the families: probabilities on the frame's own pixels."
    import aurora_nb.learn  # noqa: F401  makes torchvision fit torch
    import torch
    from aurora_nb.families.masking import predict_masks
    from test_families_segmentation import model
    torch.manual_seed(0)
    network, frames = model(1), frames_of()
    explorer = MaskExplorer(frames, model=network, store=tmp_path)
    assert isinstance(explorer.state.source, ModelMasks)
    expected = predict_masks(network, frames.isel(time=[0])).mask.values[0]
    assert np.allclose(explorer.state.probability, expected, atol=0.01, equal_nan=True)
    explorer.canvas.receive({"kind": "command", "name": "take"})
    assert np.array_equal(explorer.state.drawn, explorer.state.probability >= explorer.state.threshold)
    assert explorer.state.next_uncertain() in range(1, 6)
