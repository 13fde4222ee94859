"""Sky of the simulator: places against astropy and ephem, light against real frames, pieces against the whole."""
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.geometry.lens import angular_distance
from aurora_nb.processing.quality import star_pixels, sun_moon
from aurora_nb.simulate.camera import band_weights, camera_preset, pixel_directions
from aurora_nb.simulate.sky import milky_way, moon_mask, night_sky, star_light
from aurora_nb.simulate.stars import PLANETS, all_stars, equatorial_vectors, planet_table, star_positions
from aurora_nb.stations import find_station

NIGHTS = [("gill", "2014-03-15T04:00"), ("pkr", "2015-10-07T08:23"), ("jbs", "2019-06-20T12:00"),
          ("kho", "2022-12-24T18:00")]


@pytest.fixture(scope="module")
def astro():
    "astropy, which must not download."
    from astropy import units
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
    from astropy.time import Time
    from astropy.utils import iers

    iers.conf.auto_download = False
    iers.conf.iers_degraded_accuracy = "warn"

    def frame(code, time):
        station = find_station(code)
        place = EarthLocation(lat=station.latitude * units.deg, lon=station.longitude * units.deg)
        return AltAz(obstime=Time(time), location=place)

    def body(name, code, time):
        there = frame(code, time)
        seen = get_body(name, there.obstime, there.location, ephemeris="builtin").transform_to(there)
        return seen.az.deg, seen.alt.deg

    def stars(table, code, time):
        places = SkyCoord(table.right_ascension.values * units.deg, table.declination.values * units.deg)
        seen = places.transform_to(frame(code, time))
        return seen.az.deg, seen.alt.deg

    return {"body": body, "stars": stars}


@pytest.mark.parametrize("code, time", NIGHTS)
def test_all_stars_stand_where_astropy_has_them(astro, code, time):
    ours = star_positions(time, code, all_stars())
    assert angular_distance(ours.azimuth, ours.elevation, *astro["stars"](all_stars(), code, time)).max() < 0.02


@pytest.mark.parametrize("code, time", NIGHTS)
def test_planets_stand_where_astropy_has_them(astro, code, time):
    ours = star_positions(time, code, planet_table(time))
    for name in PLANETS:
        there = astro["body"](name.lower(), code, time)
        assert angular_distance(ours.azimuth[name], ours.elevation[name], *there) < 0.03


def test_planets_against_another_ephemeris():
    "Places and magnitudes of libastro (VSOP87), once a month through twelve years."
    ephem = pytest.importorskip("ephem", reason="an independent ephemeris; install ephem to compare")
    for day in pd.date_range("2008-01-01", "2020-01-01", freq="31D"):
        ours = planet_table(day)
        for name in PLANETS:
            body = getattr(ephem, name)(day.to_pydatetime())
            theirs = np.degrees([float(body.a_ra), float(body.a_dec)])
            assert angular_distance(ours.right_ascension[name], ours.declination[name], *theirs) < 0.05, (name, day)
            close = name in ("Mercury", "Venus") and np.degrees(float(body.elong)) ** 2 < 400  # not seen at night
            assert close or abs(ours.magnitude[name] - body.mag) < 0.3, (name, day, ours.magnitude[name], body.mag)


def test_milky_way_lies_in_the_galactic_plane():
    from astropy import units
    from astropy.coordinates import SkyCoord

    longitude = np.arange(0, 360, 5.0)
    height = np.arange(-30, 31, 1.0)
    grid = np.meshgrid(longitude, height)
    place = SkyCoord(l=grid[0] * units.deg, b=grid[1] * units.deg, frame="galactic").icrs
    light = milky_way(equatorial_vectors(place.ra.deg, place.dec.deg))
    middle = (light * height[:, None]).sum(0) / light.sum(0)
    assert np.abs(middle).max() < 4 and abs(longitude[light.sum(0).argmax()]) in (0, 5, 355)


def drawn(code, time, camera):
    "Total light in a grey camera's pixels and its parts."
    azimuth, elevation = pixel_directions(camera)
    bodies = sun_moon(time, code).isel(time=0)
    lights = night_sky(azimuth, elevation, code, time, bodies)
    sky = sum(float(band_weights(camera, tint).mean()) * light for tint, light in lights)
    return sky, star_light(camera, time, code, twinkle=0)


@pytest.mark.parametrize("code, time", NIGHTS)
def test_stars_and_planets_are_drawn_where_astropy_has_them(astro, code, time):
    "Centre of light of bright lone stars, through the lens, within 0.2 degrees."
    camera = camera_preset("themis", size=512)
    light = star_light(camera, time, code, twinkle=0)
    bright = pd.concat([all_stars(2.2), planet_table(time).query("magnitude < 1")])
    azimuth, elevation = astro["stars"](bright, code, time)
    checked = 0
    for number in np.flatnonzero(elevation > 15):
        others = np.delete(np.arange(len(bright)), number)
        if angular_distance(azimuth[number], elevation[number], azimuth[others], elevation[others]).min() < 3: continue
        column, row = (round(float(at)) for at in camera.lens.sky_to_pixel(azimuth[number], elevation[number]))
        box = light[row - 1:row + 2, column - 1:column + 2]
        rows, columns = np.mgrid[row - 1:row + 2, column - 1:column + 2]
        seen = camera.lens.pixel_to_sky((box * columns).sum() / box.sum(), (box * rows).sum() / box.sum())
        assert angular_distance(*seen, azimuth[number], elevation[number]) < 0.2, bright.index[number]
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("code, time", [NIGHTS[0], ("kho", "2022-12-05T21:00"), ("jbs", "2019-06-17T12:00")])
def test_moon_is_drawn_where_astropy_has_it(astro, code, time):
    camera = camera_preset("themis")
    azimuth, elevation = pixel_directions(camera)
    there = astro["body"]("moon", code, time)
    assert there[1] > 3
    sky, _ = drawn(code, time, camera)
    row, column = np.unravel_index(sky.argmax(), sky.shape)
    assert angular_distance(azimuth[row, column], elevation[row, column], *there) < 0.6   # half a pixel's diagonal
    assert moon_mask(azimuth, elevation, sun_moon(time, code).isel(time=0))[row, column]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 365 * 86400), st.sampled_from(["gill", "jbs", "kho"]), st.integers(0, 5))
def test_light_is_finite_and_a_function_of_time_alone(second, code, seed):
    time = np.datetime64("2015-01-01T00:00:00", "ns") + np.timedelta64(second, "s")
    camera = camera_preset("themis", size=48)
    azimuth, elevation = pixel_directions(camera)
    bodies = sun_moon(time, code).isel(time=0)
    first = night_sky(azimuth, elevation, code, time, bodies, seed=seed, ice=0.5)
    stars = star_light(camera, time, code, seed=seed)
    night_sky(azimuth, elevation, code, time + np.timedelta64(5, "m"), bodies, seed=seed + 1)
    again = night_sky(azimuth, elevation, code, time, bodies, seed=seed, ice=0.5)
    for (tint, light), (same_tint, same_light) in zip(first, again, strict=True):
        assert tint == same_tint and (light == same_light).all() and light.shape == azimuth.shape
        assert np.isfinite(light).all() and light.min() >= 0 and not light[np.isnan(elevation)].any()
    assert (stars == star_light(camera, time, code, seed=seed)).all() and np.isfinite(stars).all() and stars.min() >= 0


def test_stars_of_a_small_field_and_of_colours():
    "A narrow lens draws only what it sees; bands keep the totals of a grey camera."
    small = camera_preset("small_fov")
    light = star_light(small, "2015-01-20T06:00", "gill", twinkle=0)
    assert light.shape == small.lens.shape and light.max() > 0
    colour = camera_preset("colour", size=128)
    assert star_light(colour, "2015-01-20T06:00", "gill").shape == (*colour.lens.shape, 3)


# beside real frames


@pytest.fixture(scope="module")
def twilight_frames(shared_data):
    "Real THEMIS frames in twilight, with the directions of their pixels and a camera that looks like theirs."
    from aurora_nb.geometry.lens import fit_lens
    from aurora_nb.geometry.skymap import match_skymap, open_skymap
    from aurora_nb.readers.base import open_allsky

    files = [shared_data / f"themis_cdf/{name}" for name in
             ("thg_l1_asf_gako_2011010617_v01.cdf", "themis_skymap_gako_20110305-+_vXX.sav")]
    if not all(file.exists() for file in files): pytest.skip("no real THEMIS twilight frames in the shared data")
    frames = open_allsky(files[0])
    skymap = match_skymap(frames, open_skymap(files[1]))
    rows, columns = np.nonzero(skymap.elevation.values > 10)
    some = np.random.default_rng(0).choice(len(rows), 600, replace=False)
    sky = np.stack([skymap.azimuth.values[rows, columns], skymap.elevation.values[rows, columns]], -1)
    pixels = np.stack([columns, rows], -1)[some].astype(float)
    lens = fit_lens(pixels, sky[some], skymap.elevation.shape, model="polynomial")
    return frames, replace(camera_preset("themis"), lens=lens)


def star_over_sky(picture, camera, time, code, zenith):
    "Light of a star of magnitude 0 over the brightness at the zenith, where `zenith` is True; median of bright stars."
    found = []
    places = star_positions(time, code, all_stars(2.8)).query("elevation > 25")
    for star in places.itertuples():
        column, row = (round(float(at)) for at in camera.lens.sky_to_pixel(star.azimuth, star.elevation))
        box = picture[row - 2:row + 3, column - 2:column + 3]
        down, right = np.unravel_index(box.argmax(), box.shape)
        row, column = row + down - 2, column + right - 2
        wide, near = picture[row - 5:row + 6, column - 5:column + 6], picture[row - 2:row + 3, column - 2:column + 3]
        found.append((near.sum() - 25 * np.median(wide)) * 10 ** (0.4 * star.magnitude))
    return np.median(found) / np.median(picture[zenith])


def test_stars_and_sky_keep_the_ratio_of_real_frames(twilight_frames):
    "Star over sky, and sky at 30 degrees over sky at the zenith, as in real twilight."
    frames, camera = twilight_frames
    time, real = frames.time.values[11], np.median(frames.image.values, axis=0).astype(float)
    real = real - np.median(real[:12, :12])
    azimuth, elevation = pixel_directions(camera)
    sky, stars = drawn("gako", time, camera)
    zenith, sun = elevation > 85, float(sun_moon(time, "gako").sun_azimuth[0])
    assert star_over_sky(sky + stars, camera, time, "gako", zenith) == pytest.approx(
        star_over_sky(real, camera, time, "gako", zenith), rel=0.3)
    for turn in (0, 90, 180):
        ring = (np.abs(elevation - 30) < 2) & (np.abs((azimuth - sun - turn + 180) % 360 - 180) < 20)
        assert np.median(sky[ring]) / np.median(sky[zenith]) == pytest.approx(
            np.median(real[ring]) / np.median(real[zenith]), rel=0.25), turn


def test_as_many_stars_are_seen_as_in_real_frames(twilight_frames):
    "With the real frame's gain and noise, stars are found by the same detector in like numbers."
    frames, camera = twilight_frames
    time, real = frames.time.values[11], frames.image.values[11].astype(float)
    inside = pixel_directions(camera)[1] > 20
    sky, stars = drawn("gako", time, camera)
    level = np.median((real - np.median(real[:12, :12]))[inside]) / np.median(sky[inside])
    noise = 1.4826 / np.sqrt(2) * np.median(np.abs(np.diff(real, axis=1))[inside[:, 1:]])
    made = (sky + stars) * level + noise * np.random.default_rng(0).standard_normal(sky.shape)
    found, expected = star_pixels(made, inside).sum(), star_pixels(real, inside).sum()
    assert 0.5 < found / expected < 2, (found, expected)
