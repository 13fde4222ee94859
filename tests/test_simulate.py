"""The simulator: repeatable, whole in pieces; and the sample nights it made."""
import hashlib
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.core import AuroraError
from aurora_nb.frames import concatenate_frames
from aurora_nb.geometry.lens import angular_distance, fit_lens
from aurora_nb.simulate.camera import camera_preset, skymap_for
from aurora_nb.simulate.emission import NAMED_FORMS, StationaryArc, flicker, sky_brightness
from aurora_nb.simulate.layouts import read_groups
from aurora_nb.simulate.night import simulate_frames, simulate_night
from aurora_nb.simulate.scene import build_scene, lit_forms, look, red_footprints
from aurora_nb.simulate.stars import star_positions
from aurora_nb.simulate.truth import class_table, instance_table

PROJECT = Path(__file__).resolve().parent.parent
SAMPLES = PROJECT / "data_samples"


def digest(frames):
    return hashlib.sha256(frames.image.values.tobytes() + frames.truth.values.tobytes()).hexdigest()


def test_same_seed_same_night_in_another_process():
    code = ("from aurora_nb.simulate.night import simulate_night; import hashlib;"
            "f = simulate_night('gill', '2015-01-20T04:00', '5min', camera='compact', seed=5);"
            "print(hashlib.sha256(f.image.values.tobytes() + f.truth.values.tobytes()).hexdigest())")
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == digest(simulate_night("gill", "2015-01-20T04:00", "5min", camera="compact", seed=5))


@settings(max_examples=10, deadline=None)
@given(cut=st.integers(1, 7), seed=st.integers(0, 2**31), camera=st.sampled_from(["compact", "colour"]))
def test_pieces_equal_the_whole(cut, seed, camera):
    camera = camera_preset(camera, size=48)
    whole = simulate_night("pkr", "2015-10-07T10:00", "8min", camera=camera, seed=seed)
    start = f"2015-10-07T10:0{cut}"
    piece = simulate_night("pkr", start, f"{8 - cut}min", camera=camera, seed=seed)
    assert (piece.image.values == whole.image.values[cut:]).all()
    assert (piece.truth.values == whole.truth.values[cut:]).all()


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(NAMED_FORMS)), st.floats(50, 85), st.integers(0, 1000), st.integers(0, 10**9))
def test_forms_are_finite_and_never_negative(name, station_latitude, seed, second):
    latitude, longitude = np.meshgrid(np.linspace(-90, 90, 61), np.linspace(-180, 180, 25))
    light = sky_brightness(NAMED_FORMS[name](station_latitude, seed), latitude.astype("f4"), longitude.astype("f4"),
                           (longitude / 15 % 24).astype("f4"), np.datetime64(second, "s"))
    assert np.isfinite(light).all() and light.min() >= 0 and light.max() < 50_000


def test_flicker_is_smooth_over_a_year_change():
    times = np.datetime64("2014-12-31T23:00", "ns") + np.arange(120) * np.timedelta64(60, "s")
    course = np.array([flicker(time, 3) for time in times])
    assert np.abs(np.diff(course)).max() < 0.2 and 0 <= course.min() and course.max() <= 1


def test_stars_fit_the_lens_that_drew_them():
    "Bright stars found in a simulated frame give back the camera's lens within 0.1 degrees."
    camera = camera_preset("themis")
    made = simulate_night("gill", "2015-01-20T06:00", "10min", "5min", forms=[], camera=camera)
    pixels, sky = [], []
    for time, image in zip(made.time.values, made.image.values.astype(float)):
        stars = star_positions(time, "gill").query("elevation > 15 and magnitude < 2")
        for name, star in stars.iterrows():
            x, y = (int(round(float(at))) for at in camera.lens.sky_to_pixel(star.azimuth, star.elevation))
            box = image[y - 3:y + 4, x - 3:x + 4]
            light = np.clip(box - np.median(box) - 40, 0, None)
            rows, columns = np.mgrid[y - 3:y + 4, x - 3:x + 4]
            pixels.append(((columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()))
            sky.append((star.azimuth, star.elevation))
    lens = fit_lens(np.array(pixels), np.array(sky), camera.lens.shape)
    x, y = np.meshgrid(np.arange(40, 220, 20.0), np.arange(40, 220, 20.0))
    assert len(pixels) >= 10
    assert np.nanmax(angular_distance(*lens.pixel_to_sky(x, y), *camera.lens.pixel_to_sky(x, y))) < 0.25
    assert not lens.mirrored


def test_threads_change_nothing(monkeypatch):
    nights = []
    for workers in "1", "3":
        monkeypatch.setenv("AURORA_NB_WORKERS", workers)
        nights.append(simulate_night("gill", "2015-01-20T04:00", "12min", "30s", camera="compact", seed=2, weather="broken+town",
                                     forms=["moving_arc", "folded_band", "curls"]))
    xr.testing.assert_identical(*nights)


def test_blocks_equal_the_whole():
    options = dict(camera="compact", seed=9, weather="changing", forms=["pulsating_patches", "spirals"])
    whole = simulate_night("pkr", "2015-10-07T10:00", "7min", **options)
    parts = list(simulate_frames("pkr", whole.time.values, block=3, **options))
    assert [part.sizes["time"] for part in parts] == [3, 3, 1]
    xr.testing.assert_equal(concatenate_frames(parts), whole)


SOFT = ["radial_corona", "red_rays", "folded_band"]


@settings(max_examples=4, deadline=None)
@given(cut=st.integers(1, 3), seed=st.integers(0, 2**31), camera=st.sampled_from(["dasc_630", "colour"]))
def test_pieces_with_afterglow_equal_the_whole(cut, seed, camera):
    options = dict(camera=camera_preset(camera, size=48), seed=seed, forms=SOFT, cadence="20s")
    whole = simulate_night("pkr", "2015-10-07T10:00:00", "80s", **options)
    piece = simulate_night("pkr", f"2015-10-07T10:{cut // 3:02d}:{20 * cut % 60:02d}", f"{80 - 20 * cut}s", **options)
    assert (piece.image.values == whole.image.values[cut:]).all() and (piece.truth.values == whole.truth.values[cut:]).all()


def afterglow(camera, seconds, device="cpu", **options):
    "Light of an arc that was on until 06:00, so many seconds later, over what it was before."
    arc = StationaryArc(66.5, energy_kev=0.5, end="2015-01-20T06:00", fade_s=0)
    scene = build_scene(camera_preset(camera, size=48), "gill", "2015-01-20", device=device, **options)
    light = []
    for time in np.datetime64("2015-01-20T06:00", "ns") + np.array([-1, seconds]) * np.timedelta64(1, "s"):
        lit = lit_forms(scene, [arc], time, 0.0)
        light.append(look(scene, lit, scene.camera.lines[0], red_footprints(scene, [arc], lit, time, 0.0))[0].sum())
    return light[1] / light[0]


@pytest.mark.parametrize("camera", ["dasc_630", "dasc", "dasc_428"])
def test_only_red_light_stays_when_its_cause_is_gone(camera):
    red = camera == "dasc_630"
    assert [afterglow(camera, seconds) for seconds in (1, 30, 60, 100)] == pytest.approx(np.array([0.75, 0.5, 0.25, 0]) * red, abs=0.01)
    assert afterglow(camera, 1, red_life_s=0) == 0


def test_afterglow_in_torch():
    torch = pytest.importorskip("torch")
    assert afterglow("dasc_630", 30, torch.device("cpu")) == pytest.approx(0.5, abs=0.01)


def test_a_night_keeps_red_light_after_a_forms_end():
    arc = StationaryArc(66.5, brightness_rayleigh=50_000, energy_kev=0.5, end="2015-10-07T10:00", fade_s=0)
    for camera, stays in ("dasc_630", True), ("dasc", False):
        options = dict(camera=camera_preset(camera, size=48), truths=["aurora"])
        made = simulate_night("pkr", "2015-10-07T10:00:10", "150s", "30s", forms=[arc], **options)
        shines = (made.aurora.max(("y", "x")) > 0).values.tolist()
        assert shines == ([True] * 3 + [False] * 2 if stays else [False] * 5)


def test_memory_of_a_stream_stays_small():
    "A night of 300 frames with all its truth, in blocks of 20, needs no more than a few blocks."
    code = ("from aurora_nb.simulate.night import *;"
            "times = night_times('2015-01-20T02:00', '10h', '2min'); options = dict(camera='compact', truths=list(KEPT));"
            "next(simulate_frames('gill', times[:20], 20, **options));"
            "peak = lambda: int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]);"
            "begin = peak();  # ru_maxrss would begin with what the parent used\n"
            "count = sum(part.sizes['time'] for part in simulate_frames('gill', times, 20, **options));"
            "print(count, (peak() - begin) / 1e3)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(done[0]) == 300 and float(done[1]) < 20  # MB; all frames are 40 MB


class Mistaken:
    def __init__(self, value): self.value = value
    def brightness(self, magnetic_latitude, magnetic_longitude, magnetic_local_time, time):
        return magnetic_latitude * 0 + np.float32(self.value)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf])
def test_impossible_light_names_the_form_and_the_moment(value):
    with pytest.raises(AuroraError, match="form Mistaken at 2015-01-20T04:00"):
        simulate_night("gill", "2015-01-20T04:00", "3min", camera="compact", forms=[Mistaken(value)])


@pytest.mark.parametrize("change,words", [
    (dict(station="nowhere"), "no station 'nowhere'"), (dict(forms="spiral"), "no form 'spiral'"), (dict(forms=[3]), "no form 3"),
    (dict(camera="theims"), "no camera"), (dict(weather="sunny"), "no weather 'sunny'"), (dict(heights="cone"), "heights: found"),
    (dict(truths=["clouds"]), "no truth 'clouds'"), (dict(duration="-1h"), "duration"), (dict(duration="0s"), "duration"),
    (dict(cadence="2h"), "cadence <= duration"), (dict(start="yesterday evening"), "expected a time"),
    (dict(duration="100000D", cadence="1s"), "at most 100 million"), (dict(duration="3000D", cadence="10s"), "simulate_frames")])
def test_bad_input_is_refused_with_words(change, words):
    asked = dict(station="gill", start="2015-01-20T04:00", duration="1h", camera="compact") | change
    with pytest.raises(AuroraError, match=words): simulate_night(**asked)


def test_torch_makes_the_same_night():
    torch = pytest.importorskip("torch")
    options = dict(camera="compact", forms=["moving_arc", "folded_band", "curls", "pulsating_patches", "hot_spot"], weather="broken")
    ours = simulate_night("gill", "2015-01-20T05:57", "3min", **options)
    other = simulate_night("gill", "2015-01-20T05:57", "3min", device=torch.device("cpu"), **options)
    assert (ours.image.values == other.image.values).mean() > 0.99 and (ours.oath.values == other.oath.values).all()
    assert (ours.truth.values == other.truth.values).mean() > 0.999 and (ours.instance.values == other.instance.values).all()


def test_labels_agree_with_the_sky():
    "Clouds over most of the sky are cloudy, a full Moon is moon, nothing is noaurora; boxes hold their instances."
    labels = [class_table(simulate_night("gill", start, "1min", camera="compact", **options)).iloc[0].tolist()
              for start, options in (("2015-01-20T06:00", dict(forms=[])), ("2015-01-05T06:00", dict(forms=[])),
                                     ("2015-01-20T06:00", dict(forms="quiet_arc", weather="overcast")))]
    assert labels == [["noaurora", "faint", None], ["moon", None, None], ["cloudy", None, None]]
    made = simulate_night("gill", "2015-01-20T06:00", "5min", forms=["spirals", "streamer"], seed=4)
    for box in instance_table(made).itertuples():
        inside = made.instance.sel(time=box.time).values == box.id
        assert inside[box.y0:box.y1, box.x0:box.x1].sum() == inside.sum() == box.area


def test_skymap_is_that_of_the_camera():
    skymap, camera = skymap_for("dasc", "pkr"), camera_preset("dasc")
    x, y = camera.lens.sky_to_pixel(90.0, 60.0)
    assert float(skymap.azimuth.values[round(float(y)), round(float(x))]) == pytest.approx(90, abs=1)


# the samples


def test_samples_are_small_and_licensed():
    files = [file for file in SAMPLES.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 20e6
    text = (SAMPLES / "README.md").read_text()
    assert "simulated" in text and "CC0" in text


def test_samples_open_without_a_problem():
    from aurora_nb.geometry.skymap import match_skymap, open_skymap
    from aurora_nb.readers.base import open_allsky

    cases = {"gill/*.pgm.gz": (3000, "gill/skymap_gill.nc"), "gill_cdf/to_2023/*.cdf": (60, "gill/skymap_gill.nc"),
             "gill_cdf/from_2024/*.cdf": (60, "gill/skymap_gill.nc"), "jbs/*/*.jpg": (720, "jbs/skymap_jbs.nc"),
             "pkr/*.FITS": (6, sorted(map(str, (SAMPLES / "pkr/calibration").glob("*.FIT"))))}
    for pattern, (count, skymap) in cases.items():
        frames = open_allsky(SAMPLES / pattern)
        assert frames.attrs["problem_files"] == {} and frames.sizes["time"] == count
        match_skymap(frames, open_skymap(skymap if isinstance(skymap, list) else SAMPLES / skymap))


def test_samples_can_be_made_again():
    "One frame of each kind is what today's simulator makes."
    from aurora_nb.readers.base import open_allsky
    from aurora_nb.simulate.files import open_truth

    make = run_path(str(SAMPLES / "make_data_samples.py"))
    frames = open_allsky(SAMPLES / "gill/20150120_06_gill_themis99_full.pgm.gz")
    again = make["gill_night"](20, "06:00", "2min")
    assert (frames.image.values[:2] == again.image.values).mean() > 0.999  # float arithmetic differs between machines
    truth = open_truth(SAMPLES / "truth/gill_20150120.nc").sel(time=again.time)
    assert (truth.values == again.truth.values).mean() > 0.999
    classes = pd.read_csv(SAMPLES / "truth/gill_classes.csv", parse_dates=["time"]).set_index("time").oath
    assert len(classes) == 3000 and (classes[again.time.values] == again.oath.values).all()
    day = make["yellow_river_day"](20, "2h")
    groups = read_groups(SAMPLES / "yrs").set_index("time")
    known = groups.yellow_river.reindex(day.time.values, fill_value="")
    assert len(groups) == 777 and (known.values == day.yellow_river.values).all() and (known != "").any()
