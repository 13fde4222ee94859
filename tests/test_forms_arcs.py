"Arcs, bands and coronas: finite, not negative, repeatable, moving, alike in both hemispheres and in torch."

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.simulate import arcs, bands, coronas

FORMS = {**arcs.FORMS, **bands.FORMS, **coronas.FORMS}
START = np.datetime64("2015-01-20T06:10:00")  # of the second half of a breakup, with `begin` ten minutes before
OATH = {None, "arc", "diffuse", "discrete"}
KIRUNA = {None, "arcs", "breakup", "colored", "discrete", "edge", "faint", "patchy"}
YELLOW_RIVER = {None, "arc", "drapery", "radial", "hotspot"}


def places(form, count=61, reach=4.0):
    "Grid of latitudes and longitudes about a form, and local times, float32."
    latitude, longitude = np.meshgrid(np.linspace(-reach, reach, count), np.linspace(-2 * reach, 2 * reach, count))
    grid = form.magnetic_latitude + latitude, form.magnetic_longitude + longitude, 0 * latitude + 23
    return [part.astype("f4") for part in grid]


def after(seconds):
    return START + np.timedelta64(round(1e3 * seconds), "ms")


def lit(name, **parameters):
    "A form that is lit at START."
    return FORMS[name](**{"begin": START - np.timedelta64(600, "s"), **parameters})


@pytest.mark.parametrize("name", FORMS)
def test_form(name):
    form = lit(name, seed=5)
    light = form.brightness(*places(form), START)
    assert light.dtype == np.float32 and light.shape == (61, 61)
    assert np.isfinite(light).all() and light.min() >= 0 and 0.5 < light.max() / form.brightness_rayleigh < 12
    np.testing.assert_array_equal(light, lit(name, seed=5).brightness(*places(form), START))
    assert not np.allclose(light, lit(name, seed=6).brightness(*places(form), START))
    assert not form.brightness(*places(form), START - np.timedelta64(1, "D")).any()  # before `begin`
    assert form.name == name and form.oath in OATH and form.kiruna in KIRUNA and form.yellow_river in YELLOW_RIVER


@pytest.mark.parametrize("name", FORMS)
def test_moves_without_jumps(name):
    form = lit(name, seed=2)
    at = places(form, 121)
    now, soon, later = (form.brightness(*at, after(seconds)).ravel() for seconds in (0, 0.5, 180))
    assert np.corrcoef(now, soon)[0, 1] > 0.9
    assert 0 < np.abs(now - later).mean() / now.mean() and np.corrcoef(now, later)[0, 1] < 0.999
    assert np.abs(now - soon).mean() < 0.5 * np.abs(now - later).mean()


@pytest.mark.parametrize("name", FORMS)
def test_same_in_the_south(name):
    form = lit(name)
    latitude, longitude, hour = places(form)
    np.testing.assert_array_equal(form.brightness(latitude, longitude, hour, START),
                                  form.brightness(-latitude, longitude, hour, START))


@pytest.mark.parametrize("name", FORMS)
def test_longitude_wraps(name):
    form = lit(name, magnetic_longitude=179.0)
    latitude, longitude, hour = places(form)
    wrapped = (longitude + 180) % 360 - 180
    scale = form.brightness_rayleigh
    np.testing.assert_allclose(form.brightness(latitude, wrapped, hour, START) / scale,
                               form.brightness(latitude, longitude, hour, START) / scale, atol=0.1)


@pytest.mark.parametrize("name", FORMS)
def test_without_begin_it_is_always_lit(name):
    "Forms with no beginning are lit at any hour; a breakup comes again and again."
    form = FORMS[name]()
    at = places(form)
    peaks = [form.brightness(*at, after(hour * 3600 + minute * 60)).max()
             for hour in (0, 7) for minute in range(0, 45, 5)]
    assert max(peaks) > 0.5 * form.brightness_rayleigh
    assert name == "breakup" or min(peaks) > 0.1 * form.brightness_rayleigh


@pytest.mark.parametrize("name", FORMS)
def test_torch(name):
    torch = pytest.importorskip("torch")
    form = lit(name)
    at = places(form)
    light = form.brightness(*map(torch.asarray, at), START)
    assert light.dtype == torch.float32
    expected = form.brightness(*at, START)
    assert np.abs(light.numpy() - expected).mean() < 1e-3 * expected.mean()


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(FORMS)), factors=st.lists(st.floats(0.2, 4), min_size=20, max_size=20),
       seed=st.integers(0, 2**31 - 1), longitude=st.floats(-360, 360), seconds=st.floats(0, 3e8))
def test_any_parameters(name, factors, seed, longitude, seconds):
    "Numbers several times larger or smaller than the usual ones still make light that is finite and not negative."
    form, kept = FORMS[name](), ("magnetic_latitude", "magnetic_longitude")
    changed = {field.name: getattr(form, field.name) * factor for field, factor in zip(fields(form)[3:], factors)
               if isinstance(getattr(form, field.name), float) and field.name not in kept}
    form = replace(form, **changed, seed=seed, magnetic_longitude=longitude)
    light = form.brightness(*places(form, 31), after(seconds))
    assert light.dtype == np.float32 and np.isfinite(light).all() and light.min() >= 0


@pytest.mark.parametrize("name", FORMS)
def test_empty_and_single_places(name):
    form = lit(name)
    for shape in ((0,), (1,), (2, 3, 4)):
        at = np.full(shape, form.magnetic_latitude, "f4")
        assert form.brightness(at, 0 * at, 0 * at, START).shape == shape


def test_all_classes_are_stood_for():
    assert {form.kiruna for form in FORMS.values()} == KIRUNA - {None, "patchy"}  # patchy: 35b_simulate.diffuse
    assert {form.yellow_river for form in FORMS.values()} == YELLOW_RIVER
    assert {form.oath for form in FORMS.values()} == OATH - {None}


@pytest.mark.parametrize("station, when", [("yrs", "2015-01-20"), ("gill", "2015-01-20"), ("jbs", "2015-06-20")])
def test_radial_corona_converges_on_the_magnetic_zenith(station, when):
    """The point that the rays of 24 radial coronas aim at, from the gradients of their pictures alone.

    In a gnomonic picture rays are straight. Where the gradient is g, the ray through x is perpendicular to it, so
    the meeting point p has g (p - x) = 0 for all; least squares. Large structures are taken out first: they are
    about the zenith, not the magnetic one.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    from aurora_nb.geometry.geomagnetic import station_magnetic
    from aurora_nb.geometry.lens import angular_distance, lens_for_sky
    from aurora_nb.simulate.fieldlines import magnetic_zenith
    from aurora_nb.simulate.projection import build_projection

    projection = build_projection(lens_for_sky((256, 256), 126), station, when)
    grid = projection.magnetic_latitude, projection.magnetic_longitude, 0 * projection.magnetic_latitude
    latitude, longitude = station_magnetic(station, 110, when)
    axis = np.linspace(-1.2, 1.2, 241)  # tangent of the zenith angle, eastward and northward
    east, north = np.meshgrid(axis, axis)
    away = np.hypot(east, north)
    x, y = projection.lens.sky_to_pixel(np.degrees(np.arctan2(east, north)), 90 - np.degrees(np.arctan(away)))
    used, matrix, right = (away > 0.35) & (away < 1.1), np.zeros((2, 2)), np.zeros(2)
    for seed in range(24):
        form = coronas.RadialCorona(seed=seed, magnetic_latitude=latitude, magnetic_longitude=longitude)
        light = projection.view([(form.energy_kev, form.brightness(*grid, when))], (0, 1, 0, 0))
        picture = np.log(map_coordinates(light, (y, x), order=1) + 100)
        picture = gaussian_filter(picture, 2) - gaussian_filter(picture, 8)
        slope = np.stack(np.gradient(picture, axis, axis)[::-1])[:, used]
        slope /= np.sqrt(np.hypot(*slope) + 1e-6)
        matrix += slope @ slope.T
        right += slope @ (slope * [east[used], north[used]]).sum(0)
    meet = np.linalg.solve(matrix, right)
    found = np.degrees(np.arctan2(*meet)), 90 - np.degrees(np.arctan(np.hypot(*meet)))
    assert angular_distance(*found, *magnetic_zenith(station, when)) < 0.5
