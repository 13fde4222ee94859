"Explorers as plain Python: traits are set and results looked at; no browser."
import os

import dask.array as da
import numpy as np
import pytest
import traitlets

from aurora_nb.core import AuroraError
from aurora_nb.explorers import NightExplorer
from aurora_nb.explorers.canvas import FrameCanvas, canvas_pixels
from aurora_nb.frames import build_frames
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.geometry.skymap import skymap_from_lens

TIMES = np.datetime64("2014-03-10T06:00", "ns") + np.arange(12) * np.timedelta64(1, "m")


@pytest.fixture(scope="module")
def skymap():
    return skymap_from_lens(lens_for_sky((48, 48)), "gill")


def counts(frames=12, shape=(48, 48), dtype="u2"):
    "Frames whose values tell their number."
    return (np.arange(frames).reshape(-1, *(1,) * len(shape)) + np.linspace(1, 90, shape[1]).reshape(-1, *(1,) * (len(shape) - 2))
            + np.zeros(shape)).astype(dtype)


def lazy(failing=()):
    "Blocks of three frames as a reader makes them; the `failing` ones raise, and every read is written down."
    reads = []

    def read(block_info=None):
        first = block_info[None]["array-location"][0][0]
        reads.append(first)
        if first in failing: raise OSError(f"file of frame {first} is <cut>")
        return counts()[first:first + 3]

    return da.map_blocks(read, chunks=((3,) * 4, (48,), (48,)), dtype="u2", meta=np.empty((0, 0, 0), "u2")), reads


def shown(canvas):
    return np.frombuffer(canvas.frame, canvas.kind).reshape(canvas.shape)


def test_all_panels_follow_the_index(skymap):
    explorer = NightExplorer(build_frames(counts(), TIMES, station="gill"), skymap)
    fisheye, chart = (panel.canvas for panel in explorer.panels)
    before = shown(fisheye).copy(), shown(chart).copy(), explorer.keogram.cursor, explorer.text.value
    explorer.state.index = 7
    after = shown(fisheye), shown(chart), explorer.keogram.cursor, explorer.text.value
    assert all(np.array_equal(new, old + 7) for new, old in zip(after[:2], before[:2]))
    assert after[2] - before[2] == pytest.approx(7 / 12)
    assert "06:00:00 UTC" in before[3] and "06:07:00 UTC" in after[3]
    assert {canvas.kind for canvas in (fisheye, chart)} == {"uint16"}


def test_keys_and_presses_reach_the_state(skymap):
    explorer = NightExplorer(build_frames(counts(), TIMES, station="gill"), skymap)
    explorer.panels[1].canvas.receive({"kind": "step", "steps": 10})
    assert explorer.state.index == 10
    explorer.panels[0].canvas.receive({"kind": "step", "steps": 1e9})
    assert explorer.state.index == 11
    explorer.keogram.receive({"kind": "press", "x": 0.0, "y": 0.3})
    assert explorer.state.index == 0
    explorer.keogram.receive({"kind": "press", "x": 0.55, "y": 0.3})
    assert explorer.state.index == 6


def test_limits_reach_every_canvas(skymap):
    explorer = NightExplorer(build_frames(counts(), TIMES, station="gill"), skymap)
    explorer.state.limits = (3, 55)
    assert [c.limits for c in [*(p.canvas for p in explorer.panels), explorer.keogram]] == [[3.0, 55.0]] * 3
    explorer.state.fit_limits()
    assert explorer.keogram.limits == list(explorer.state.limits) != [3.0, 55.0]
    with pytest.raises(traitlets.TraitError, match="black below white"): explorer.state.limits = (5, 5)
    assert explorer.keogram.limits == list(explorer.state.limits)


def test_lazy_frames_are_read_as_they_are_seen(skymap):
    image, reads = lazy()
    keogram = NightExplorer(build_frames(image, TIMES, station="gill"), skymap).state.keogram
    assert sorted(set(reads)) == [0, 3, 6, 9]
    reads.clear()
    frames = build_frames(image, TIMES, station="gill")
    explorer = NightExplorer(frames.isel(time=slice(0, 6)), skymap, keogram=keogram)
    assert sorted(reads) == [0, 3], "a keogram that is given is not made again, and blocks are kept"
    for index in (1, 5, 2, 4): explorer.state.index = index
    assert sorted(reads) == [0, 3]


def test_a_failing_block_is_told_and_passed(skymap):
    image, _ = lazy(failing=(3,))
    explorer = NightExplorer(build_frames(image, TIMES, station="gill", problem_files={"a.pgm": "empty"}), skymap)
    assert explorer.state.keogram.unread == 3
    assert "1 problem file" in explorer.text.value and explorer.warning.value.count("cut") == 0
    explorer.state.index = 4
    assert "frame 4 cannot be read: OSError: file of frame 3 is &lt;cut&gt;" in explorer.warning.value
    assert np.isnan(shown(explorer.panels[0].canvas)).all() and "06:04:00" in explorer.text.value
    explorer.state.index = 6
    assert "cut" not in explorer.warning.value and shown(explorer.panels[0].canvas).max() > 6
    explorer.figure()


def test_every_block_failing_says_so(skymap):
    image, _ = lazy(failing=(0, 3, 6, 9))
    explorer = NightExplorer(build_frames(image, TIMES, station="gill"), skymap)
    assert "cannot be read" in explorer.warning.value and explorer.state.limits == (0.0, 1.0)


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i4", "f8"])
@pytest.mark.parametrize("colour", [False, True])
def test_any_dtype_and_colour_without_a_skymap(dtype, colour):
    image = counts(shape=(48, 48, 3) if colour else (48, 48), dtype=dtype)
    explorer = NightExplorer(build_frames(image, TIMES))
    assert len(explorer.panels) == 1 and "No map" in explorer.children[2].children[1].value
    assert "MLT unknown" in explorer.text.value and "Sun unknown" in explorer.text.value
    explorer.state.index = 5
    sent = shown(explorer.panels[0].canvas).squeeze()
    assert np.array_equal(sent, image[5].astype(sent.dtype)) and sent.dtype.name in ("uint8", "uint16", "float32")
    explorer.figure()


def test_a_skymap_of_another_camera_is_refused(skymap):
    with pytest.raises(AuroraError, match="pixels"):
        NightExplorer(build_frames(counts(shape=(48, 40)), TIMES, station="gill"), skymap)
    with pytest.raises(AuroraError, match="fsmi"):
        NightExplorer(build_frames(counts(), TIMES, station="fsmi"), skymap)


def test_no_frame_is_refused_and_one_is_enough(skymap):
    frames = build_frames(counts(), TIMES, station="gill")
    with pytest.raises(AuroraError, match="no frame to explore"): NightExplorer(frames.isel(time=slice(0)), skymap)
    explorer = NightExplorer(frames.isel(time=[4]), skymap)
    explorer.state.step(1)
    assert explorer.state.index == 0 and explorer.keogram.cursor == pytest.approx(0.5)
    explorer.figure()


def test_nan_frames(skymap):
    image = counts(dtype="f4")
    image[2] = np.nan
    image[3, :, 20:] = np.nan
    explorer = NightExplorer(build_frames(image, TIMES, station="gill"), skymap)
    explorer.state.index = 2
    assert "frame 2 holds no number" in explorer.warning.value
    explorer.state.fit_limits()
    assert explorer.state.limits == (0.0, 1.0)
    explorer.figure()
    explorer.state.index = 3
    assert "no number" not in explorer.warning.value
    explorer.state.fit_limits()
    assert explorer.state.limits[1] > 1


def test_errors_of_callbacks(skymap, monkeypatch):
    explorer = NightExplorer(build_frames(counts(), TIMES, station="gill"), skymap)
    monkeypatch.setattr(explorer.state, "go_to", lambda time: 1 / 0)
    monkeypatch.setenv("IN_TEST", "1")
    with pytest.raises(ZeroDivisionError): explorer.keogram.on_press(0.5, 0.5)
    explorer.state.error = ""
    monkeypatch.delenv("IN_TEST")
    explorer.keogram.on_press(0.5, 0.5)
    assert "ZeroDivisionError: division by zero" in explorer.warning.value


def test_usable_comes_from_the_conditions(skymap):
    frames = build_frames(counts(), TIMES, station="gill")
    usable = frames[["time"]].assign(usable=("time", np.arange(12) < 6))
    explorer = NightExplorer(frames, skymap, conditions=usable)
    assert "·  usable  ·" in explorer.text.value
    explorer.state.index = 8
    assert "not usable" in explorer.text.value


def test_a_large_photograph_is_thinned_not_resampled():
    image = np.random.default_rng(0).integers(0, 255, (2832, 4256, 3), dtype="u1")
    sent = canvas_pixels(image)
    assert sent["shape"] == [708, 1064, 3]
    assert np.array_equal(np.frombuffer(sent["frame"], "u1").reshape(sent["shape"]), image[::4, ::4])
    assert len(FrameCanvas(**sent).frame) < 3_000_000


def test_the_public_name():
    import aurora_nb.explorers as explorers
    assert explorers.NightExplorer is NightExplorer and "NightExplorer" in dir(explorers)
    with pytest.raises(AttributeError): explorers.NoExplorer
    assert os.path.basename(explorers.__file__) == "__init__.py"


def test_a_real_night(shared_data):
    "THEMIS at Gakona with its own skymap: both panels show counts of the file, in its dtype."
    from aurora_nb.geometry.skymap import open_skymap
    from aurora_nb.readers.base import open_allsky
    folder = shared_data / "themis_cdf"
    frames = open_allsky([folder / "thg_l1_asf_gako_2011010617_v01.cdf"])
    explorer = NightExplorer(frames, open_skymap(next(folder.glob("*.sav"))))
    explorer.state.index = 5
    for panel in explorer.panels: assert np.isin(shown(panel.canvas), frames.image.values[5]).all()
    assert "2011-01-06 17:" in explorer.text.value and "unknown" not in explorer.text.value
