"Processing on real pictures, on hostile numbers, and without a network."
import subprocess
import sys

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aurora_nb.frames import build_frames
from aurora_nb.geometry.cells import equal_area_cells
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.geometry.skymap import open_skymap, skymap_from_lens
from aurora_nb.processing.difference import difference_mask, lagged_pairs
from aurora_nb.processing.keogram import keogram, pixel_weights
from aurora_nb.processing.quality import observing_conditions, sun_moon
from aurora_nb.processing.stretch import sky_disc, stretch
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.movies import Movies
from aurora_nb.stations import Station

LONGYEARBYEN = Station("lyr", 78.15, 16.04)


@settings(max_examples=150, deadline=None)
@given(image=hnp.arrays(st.sampled_from(["u1", "u2", "i2", "f4", "f8"]), hnp.array_shapes(min_dims=3, max_dims=4, max_side=6)),
       over=st.sampled_from(["frame", "night"]), dtype=st.sampled_from(["float32", "uint8"]), with_disc=st.booleans())
def test_stretch_is_never_out_of_bounds(image, over, dtype, with_disc):
    "Any numbers, infinities and NaN among them: the result is finite and between its ends."
    image = xr.DataArray(image, dims=("time", "y", "x", "band")[:image.ndim])
    disc = sky_disc(shape=image.shape[1:3]) if with_disc else None
    out = stretch(image, over=over, dtype=dtype, disc=disc)
    assert out.shape == image.shape and np.isfinite(out.values).all()
    assert out.values.min() >= 0 and out.values.max() <= (255 if dtype == "uint8" else 1)


@settings(max_examples=80, deadline=None)
@given(pair=hnp.arrays(st.sampled_from(["u1", "u2", "i2"]), (2, 8, 8)), limit=st.integers(1, 300))
def test_differences_do_not_wrap(pair, limit):
    frames = build_frames(pair, np.array(["2014-01-01T00:00", "2014-01-01T00:01"], "datetime64[ns]"))
    expected = np.abs(pair[1].astype(np.int64) - pair[0]) > limit
    assert np.array_equal(difference_mask(frames, threshold=limit, unit="counts")[1], expected)


@settings(max_examples=80, deadline=None)
@given(gaps=st.lists(st.integers(1, 400), min_size=1, max_size=40), lag=st.integers(1, 300))
def test_pairs_are_found_by_time(gaps, lag):
    seconds = np.cumsum(gaps)
    time = np.datetime64("2014-01-01", "ns") + seconds * np.timedelta64(1, "s")
    earlier, evaluated = lagged_pairs(time, f"{lag}s", "5s")
    for row, second in enumerate(seconds):
        off = np.abs(seconds[:row] - (second - lag))
        assert evaluated[row] == (row > 0 and off.min() <= 5)
        if evaluated[row]: assert off[earlier[row]] == off.min()


OFFLINE = """
import socket
def refuse(*given, **named): raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from aurora_nb.processing.quality import sun_moon
import numpy as np
assert np.ptp(sun_moon(["1990-06-21T12", "2014-06-21T12", "2045-06-21T12"], "gill").sun_elevation.values) < 0.5
import sys; print("astropy" in sys.modules)
"""


def test_sun_and_moon_need_no_network():
    done = subprocess.run([sys.executable, "-W", "error", "-c", OFFLINE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "False", "astropy, which may download, was imported"


def test_known_phases_of_the_moon():
    "Full and new moons of 2014 and 2015 (US Naval Observatory), to the minute."
    full = np.array(["2014-01-16T04:52", "2014-03-16T17:08", "2014-10-08T10:51", "2015-09-28T02:50"], "datetime64[ns]")
    new = np.array(["2014-01-01T11:14", "2014-03-01T08:00", "2015-03-20T09:36"], "datetime64[ns]")
    assert (sun_moon(full, "gill").moon_phase > 0.995).all() and (sun_moon(new, "gill").moon_phase < 0.005).all()


def test_eclipse_of_2015_over_svalbard():
    "Totality over Longyearbyen, 2015-03-20 about 10:11 UT: Sun and Moon within some minutes of arc."
    both = sun_moon(["2015-03-20T10:11:40"], LONGYEARBYEN)
    apart = np.hypot(both.sun_elevation - both.moon_elevation,
                     (both.sun_azimuth - both.moon_azimuth) * np.cos(np.radians(both.sun_elevation)))
    assert float(apart[0]) < 0.05


def test_polar_day_and_polar_night():
    june = np.arange("2014-06-10", "2014-06-12", np.timedelta64(1, "h"), "datetime64[ns]")
    skymap = skymap_from_lens(lens_for_sky((64, 64)), LONGYEARBYEN)
    frames = build_frames(np.zeros((len(june), 64, 64), "u2"), june)
    assert not observing_conditions(frames, skymap).usable.any()
    december = june + np.timedelta64(183, "D")
    dark = observing_conditions(frames.assign_coords(time=december), skymap, max_starless_fraction=None)
    assert float(dark.sun.mean()) < 0.3 and float(dark.sun_elevation.max()) < -11  # 11.5 degrees down at noon


def test_path_beyond_the_picture_and_nan_frames():
    skymap = skymap_from_lens(lens_for_sky((64, 64)), LONGYEARBYEN)
    assert np.isnan(pixel_weights(skymap, np.array([0.0, np.nan]), np.array([-1.0, np.nan]))[1]).all()
    time = np.array(["2014-01-01"], "datetime64[ns]")
    found = keogram(build_frames(np.full((1, 64, 64), np.nan, "f4"), time), skymap, ([78.0, 0.0], [16.0, 0.0]))
    assert found.brightness.isnull().all()


# --- real pictures -------------------------------------------------------------------------------------------------------


def longyearbyen_pictures(shared_data):
    frames = open_allsky(sorted((shared_data / "kho_color").glob("2014*.jpg")))
    return frames, skymap_from_lens(lens_for_sky((480, 720), radius=225, centre=(383, 240)), LONGYEARBYEN)


def test_conditions_of_longyearbyen_are_what_the_eye_sees(shared_data):
    "Sixteen pictures looked at by a person: clear ones have stars nearly everywhere, covered ones nearly nowhere."
    found = observing_conditions(*longyearbyen_pictures(shared_data))
    starless = found.starless_fraction.to_series()
    starless.index = starless.index.strftime("%m%d%H%M")
    clear = ["02032329", "02211920", "02211926", "02211930", "02230300", "02230306", "02240200"]
    overcast = ["02182241", "02212319"]
    assert starless[clear].max() < 0.25 and starless[overcast].min() > 0.7
    assert bool(found.sun.sel(time="2014-02-18T17:13").all()), "the blue twilight picture"
    assert found.usable.to_series().set_axis(starless.index)[clear].all()


def test_moonlit_haze_over_gillam_is_not_usable(shared_data):
    frames = open_allsky(shared_data / "themis_pgm")
    found = observing_conditions(frames, skymap_from_lens(lens_for_sky((256, 256), radius=125), "gill"))
    assert found.moon.all() and found.cloud.all() and not found.usable.any()
    assert 27 < float(found.moon_elevation.min()) < 29


def test_narrow_filters_show_no_stars_and_the_flag_can_be_left_out(shared_data):
    "The known failure: clear sky with arcs through 558 nm reads as cloud."
    folder = shared_data / "dasc_fits"
    frames = open_allsky(sorted(folder.glob("PKR_DASC_0558_20151007*.FITS")))
    skymap = open_skymap((folder / "PKR_DASC_0558_20150213_Az.FIT", folder / "PKR_DASC_0558_20150213_El.FIT"))
    assert observing_conditions(frames, skymap).cloud.all()
    assert observing_conditions(frames, skymap, max_starless_fraction=None).usable.all()


def test_twilight_over_gakona(shared_data):
    "GAKO 2011-01-06 17 UT: the Sun is between 11 and 12 degrees down; the keogram's zenith is the station's."
    frames = open_allsky(shared_data / "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf")
    skymap = open_skymap(next((shared_data / "themis_cdf").glob("*.sav")))
    found = observing_conditions(frames, skymap)
    assert found.sun.all() and found.sun_elevation.to_series().between(-12, -11).all()
    line = keogram(frames, skymap, "geographic")
    zenith = int(np.argmax(line.elevation.values))
    assert abs(float(line.latitude[zenith]) - 62.407) < 0.05 and line.brightness.notnull().all()


def test_arcs_over_poker_flat_in_the_keogram(shared_data):
    "Bright arcs in 558 nm: the magnetic keogram is finite, and far brighter at its brightest than in the middle."
    folder = shared_data / "dasc_fits"
    frames = open_allsky(sorted(folder.glob("PKR_DASC_0558_20151007*.FITS")))
    skymap = open_skymap((folder / "PKR_DASC_0558_20150213_Az.FIT", folder / "PKR_DASC_0558_20150213_El.FIT"))
    line = keogram(frames, skymap)
    assert line.brightness.notnull().all() and line.brightness.max() > 1.3 * line.brightness.median()
    assert 59 < float(line.magnetic_latitude.min()) < 63 and 67 < float(line.magnetic_latitude.max()) < 72


def test_detector_on_a_moving_aurora_and_on_none(shared_data):
    "A minute of strong aurora over Svalbard lights much of the sky; moonlit haze over Gillam, next to nothing."
    movie = open_allsky(shared_data / "kho_color/kho1.mp4", reader=Movies(start="2013-12-04T18:49", cadence="1s"))
    frames = movie.isel(time=slice(0, 3600, 60)).load()
    shape = frames.image.shape[1:3]
    cells = equal_area_cells(skymap_from_lens(lens_for_sky(shape, radius=0.42 * shape[0]), LONGYEARBYEN), 100)
    active = difference_mask(frames, cells)
    quiet_frames = open_allsky(shared_data / "themis_pgm")
    quiet_cells = equal_area_cells(skymap_from_lens(lens_for_sky((256, 256), radius=125), "gill"))
    quiet = difference_mask(quiet_frames, quiet_cells)
    assert float(active[active.evaluated].mean()) > 0.3
    assert float(quiet[quiet.evaluated].mean()) < 0.01


def test_thumbnails_show_no_stars(shared_data):
    frames = open_allsky(shared_data / "themis_cdf/thg_l1_ast_gako_20110505_v01.cdf").isel(time=slice(0, 20))
    winter = frames.assign_coords(time=frames.time + np.timedelta64(215, "D"))  # the same pixels, taken as if in the dark
    skymap = skymap_from_lens(lens_for_sky((32, 32)), Station("gako", 62.407, -145.158))
    found = observing_conditions(winter, skymap)
    assert pd.isna(found.starless_fraction).all() or float(found.starless_fraction.median()) > 0.5
