"Weather: always finite, a function of time and seed alone, and of a texture like that of real clouds."
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.core import AuroraError
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.simulate.clouds import CloudLayer, through_cloud
from aurora_nb.simulate.weather import (PRESETS, Weather, aeroplane_light, cloud_depth, cloud_light, dome_transmission,
                                        find_weather, flights, station_lights, through_dome)

TIME = np.datetime64("2015-01-20T05:00", "ns")


def sky(size=256):
    lens = lens_for_sky((size, size), radius=0.49 * size)
    y, x = np.indices(lens.shape)
    azimuth, elevation = lens.pixel_to_sky(x, y)
    return lens, azimuth, np.where(elevation >= 0, elevation, np.nan)


LENS, AZIMUTH, ELEVATION = sky()
SMALL_LENS, SMALL_AZIMUTH, SMALL_ELEVATION = sky(48)


def bodies(moon_elevation=30.0, sun_elevation=-40.0, moon_azimuth=120.0):
    return pd.Series(dict(moon_azimuth=moon_azimuth, moon_elevation=moon_elevation, moon_phase=0.9, sun_azimuth=250.0,
                          sun_elevation=sun_elevation))


def all_light(weather, time, directions=(SMALL_AZIMUTH, SMALL_ELEVATION), lens=SMALL_LENS, sun=-40.0):
    depth = cloud_depth(weather, *directions, time)
    light = cloud_light(weather, depth, *directions, bodies(sun_elevation=sun), 500.0) + station_lights(weather, *directions)
    return depth, [part for _, part in light] + [dome_transmission(weather, lens), aeroplane_light(weather, lens, time, 3.0)]


share = st.floats(0, 1)
layers = st.builds(CloudLayer, cover=share, depth=st.floats(0, 50), height_km=st.floats(0.2, 12), scale_km=st.floats(0.5, 40),
                   edge=st.floats(0.05, 3), stretch=st.floats(0.5, 6), wind_m_per_s=st.floats(0, 60), swing=share,
                   lifetime_minutes=st.floats(1, 300))


@settings(max_examples=40, deadline=None)
@given(clouds=st.lists(layers, max_size=3), haze=st.floats(0, 5), names=st.sampled_from(sorted(PRESETS)),
       seed=st.integers(0, 2 ** 31), minutes=st.integers(-10 ** 7, 10 ** 7), sun=st.floats(-60, 10))
def test_whatever_the_weather_light_is_finite_and_repeats(clouds, haze, names, seed, minutes, sun):
    time = TIME + np.timedelta64(minutes, "m")
    for weather in (Weather(tuple(clouds), haze, seed=seed), find_weather(names + "+town+lamps+aeroplane+snow", seed)):
        depth, parts = all_light(weather, time, sun=sun)
        for part in (depth, *parts):
            assert part.dtype == np.float32 and part.shape == SMALL_LENS.shape
            assert np.isfinite(part).all() and part.min() >= 0
        again, others = all_light(weather, time, (SMALL_AZIMUTH.copy(), SMALL_ELEVATION.copy()), sun=sun)
        assert np.array_equal(depth, again) and all(map(np.array_equal, parts, others))


def test_clouds_move_without_jumps_across_the_life_of_their_noise():
    weather = find_weather("changing", 3)
    times = TIME + np.arange(0, 3600, 2) * np.timedelta64(1, "s")
    clear = np.array([np.exp(-cloud_depth(weather, SMALL_AZIMUTH, SMALL_ELEVATION, time))[12:36, 12:36] for time in times])
    step = np.abs(np.diff(clear, axis=0)).mean((1, 2))
    assert step.max() < 6 * np.median(step) + 0.01 and clear[0].std() > 0


def test_cover_comes_out():
    inside = ELEVATION > 25
    for cover in (0.2, 0.5, 0.8):
        layer = CloudLayer(cover, scale_km=2.0, swing=0.0)
        seen = [(cloud_depth(Weather((layer,), seed=seed), AZIMUTH, ELEVATION, TIME) > 0.2)[inside].mean() for seed in range(25)]
        assert abs(np.mean(seen) - cover) < 0.12, (cover, np.mean(seen))


def test_no_light_is_made():
    down, back = through_cloud(np.linspace(0, 200, 500, dtype="f4"))
    assert ((down >= -1e-6) & (back >= 0) & (down + back <= 1 + 1e-6)).all()
    assert all((dome_transmission(find_weather("snow", seed), LENS) <= 1).all() for seed in range(5))


def test_a_thick_cloud_is_dark_against_aurora_and_bright_over_a_town():
    overcast, town = (replace(find_weather(name, 1), ground=0.15) for name in ("overcast", "overcast+town"))
    depth = cloud_depth(overcast, AZIMUTH, ELEVATION, TIME)
    dark = sum(part for _, part in cloud_light(overcast, depth, AZIMUTH, ELEVATION, bodies(-20), 5000.0))
    lit = sum(part for _, part in cloud_light(town, depth, AZIMUTH, ELEVATION, bodies(-20), 5000.0))
    inside = ELEVATION > 10
    assert dark[inside].mean() < 0.7 * 7600 and (lit > dark)[inside].all()


def test_aeroplanes_are_as_many_as_asked():
    weather = Weather(aeroplane=3.0, seed=4)
    times = TIME + np.arange(0, 200 * 3600, 60) * np.timedelta64(1, "s")
    begun = {flight[0] for time in times for flight in flights(weather, time)}
    assert abs(len(begun) / 200 - 3.0) < 4 * np.sqrt(3 / 200)


def test_snow_glows_and_hides():
    weather, light = find_weather("snow", 2), np.full(LENS.shape, 1000, np.float32)
    passed = dome_transmission(weather, LENS)
    behind = through_dome(weather, light, passed)
    assert behind.max() <= 1000 and behind.min() > 1000 * weather.snow.transmission and behind.std() > 50


def test_errors_name_the_presets():
    with pytest.raises(AuroraError, match="no weather 'hail'; known: clear, .*overcast"): find_weather("broken+hail")


def slope(picture, centre, radius):
    "Slope of the power spectrum against wave number, from 3 to 16 waves across a square in the middle of the disc."
    half = int(radius / np.sqrt(2))
    square = picture[centre[1] - half:centre[1] + half, centre[0] - half:centre[0] + half].astype(float)
    window = np.hanning(2 * half)
    power = np.abs(np.fft.fft2((square / square.mean() - 1) * window * window[:, None])) ** 2
    waves = np.hypot(*np.meshgrid(*[np.fft.fftfreq(2 * half) * 2 * half] * 2))
    rings = [power[(waves >= low) & (waves < low * 1.4)].mean() for low in (3, 4.2, 5.9, 8.2, 11.5)]
    return np.polyfit(np.log([3, 4.2, 5.9, 8.2, 11.5]), np.log(rings), 1)[0]


def test_texture_is_like_that_of_real_clouds(shared_data):
    from PIL import Image

    real = []
    for name in ("20140218171340", "20140218235440", "20140225221010", "20140225221440", "20140225221840"):
        picture = np.asarray(Image.open(shared_data / f"kho_color/{name}.jpg"), float)[..., :2].mean(-1) / 255
        real.append(slope(picture ** 2.2, (365, 245), 190))
    made = []
    for seed in range(6):
        weather = find_weather("broken+town" if seed % 2 else "overcast", seed)
        depth = cloud_depth(weather, AZIMUTH, ELEVATION, TIME)
        light = sum(part for _, part in cloud_light(weather, depth, AZIMUTH, ELEVATION, bodies(20.0)))
        made.append(slope(light, (128, 128), 104))
    print("real", np.round(real, 2), "simulated", np.round(made, 2))
    assert min(real) - 0.7 < np.median(made) < max(real) + 0.7


def test_dusty_air_brightens_the_sky_around_the_moon_of_a_night():
    from aurora_nb.simulate.night import simulate_night

    clear, dusty = (simulate_night("gill", "2014-03-15T04:00", "1min", "1min", forms=[], camera="compact",
                                   weather=Weather(aureole=level)).image.values.astype(int) for level in (1.0, 4.0))
    assert (dusty >= clear).all() and (dusty - clear).max() > 1000 and (dusty == clear).mean() > 0.5
