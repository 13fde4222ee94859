"""Diffuse and rare forms: finite, repeatable, moving, alike in both hemispheres, instances within their light."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from aurora_nb.simulate import diffuse, rare
from aurora_nb.simulate.noise import DEGREE_KM

ALL = {**diffuse.FORMS, **rare.FORMS}
OATH = {"arc", "diffuse", "discrete"}
KIRUNA = {"arcs", "breakup", "colored", "discrete", "edge", "faint", "patchy"}
YELLOW_RIVER = {"arc", "drapery", "radial", "hotspot", None}
START = np.datetime64("2015-01-20T06:00", "ns")


def region(half_width_km=250, latitude=67.0, size=120, longitude=0.0):
    "Magnetic latitude, longitude, local time of a square map around a place."
    km = np.linspace(-half_width_km, half_width_km, size, dtype="f4")
    east, poleward = np.meshgrid(km, km)
    along = np.float32(DEGREE_KM * np.cos(np.deg2rad(abs(latitude))))
    return np.float32(latitude) + np.sign(latitude, dtype="f4") * poleward / np.float32(DEGREE_KM), \
        np.float32(longitude) + east / along, 0 * east + 3


def moment(form, part):
    "A moment when this part of a form's life has passed."
    return np.datetime64("2000-01-01", "ns") + np.timedelta64(round(part * getattr(form, "life_s", 300) * 1e9), "ns")


def grown(form):
    "A moment when the form is well developed."
    return moment(form, 0.97 if form.rare == "beads" else 0.5)


@pytest.mark.parametrize("name", ALL)
def test_declares_itself(name):
    form = ALL[name]()
    assert form.name == name and form.oath in OATH and form.kiruna in KIRUNA and form.yellow_river in YELLOW_RIVER
    assert 0.2 <= form.energy_kev <= 30 and (form.rare is None) == (name in diffuse.FORMS)


@pytest.mark.parametrize("name", ALL)
def test_light_is_sane_repeatable_and_moves(name):
    form, places = ALL[name](), region()
    now, again = form.brightness(*places, grown(form)), ALL[name]().brightness(*places, grown(form))
    later = form.brightness(*places, grown(form) + np.timedelta64(2, "s"))
    assert now.dtype == np.float32 and now.shape == places[0].shape and np.isfinite(now).all() and now.min() >= 0
    assert 0.3 * form.brightness_rayleigh < now.max() < 2.5 * form.brightness_rayleigh
    assert np.array_equal(now, again) and not np.allclose(now, later, atol=1)


@pytest.mark.parametrize("name", ALL)
def test_hemispheres_and_pieces_agree(name):
    form = ALL[name]()
    north, south = region(), region(latitude=-67.0)
    light = form.brightness(*north, grown(form))
    assert np.allclose(light, form.brightness(*south, grown(form)), atol=1e-2 * form.brightness_rayleigh)
    part = form.brightness(*(place.ravel()[5000:6000] for place in north), grown(form))
    assert np.allclose(part, light.ravel()[5000:6000], rtol=1e-4, atol=0.5)


@pytest.mark.parametrize("name", diffuse.FORMS)
def test_no_seam_around_the_oval(name):
    "360 degrees further it is the same light, and the light does not jump anywhere."
    form = ALL[name]()
    longitude = np.linspace(-180, 180, 40001, dtype="f4")
    latitude = np.full_like(longitude, 66.2)
    light = form.brightness(latitude, longitude, 0 * latitude, START)
    assert abs(light[0] - light[-1]) < 0.03 * light.max()
    assert np.abs(np.diff(light)).max() < 0.3 * light.max()


@pytest.mark.parametrize("name", rare.FORMS)
def test_instance_lies_in_visible_light(name):
    form, (latitude, longitude, hour) = ALL[name](), region(size=300)
    light, place = (getattr(form, what)(latitude, longitude, hour, grown(form)) for what in ("brightness", "instance"))
    inside = place > 0.5
    assert place.min() >= 0 and place.max() <= 1 and 5 < inside.sum() < 0.25 * inside.size
    if form.rare == "black": assert np.median(light[inside]) < 0.6 * np.median(light[light > 0.5 * light.max()])
    else: assert np.quantile(light[inside], 0.5) > 0.1 * light.max() and light[inside].max() > 0.4 * light.max()


@pytest.mark.parametrize("name", rare.FORMS)
def test_no_instance_without_its_event(name):
    form = ALL[name](begin=START, end=START + np.timedelta64(10, "m"))
    places = region()
    for time in (START - np.timedelta64(60, "s"), START + np.timedelta64(11, "m")):
        assert form.brightness(*places, time).max() == 0 and form.instance(*places, time).max() == 0
    assert max(form.instance(*places, START + np.timedelta64(minute, "m")).max() for minute in range(1, 10)) > 0.5


@pytest.mark.parametrize("name", rare.FORMS)
def test_it_is_where_it_was_put(name):
    form = ALL[name](magnetic_latitude=70.0, magnetic_longitude=179.0, drift_m_per_s=0.0)
    places = region(latitude=70.0, longitude=179.0, size=200)
    around = np.array(np.nonzero(form.instance(*places, grown(form)) > 0.5)).mean(1) / 200 - 0.5
    assert np.abs(around).max() < 0.25  # of 500 km
    far = region(latitude=70.0, longitude=90.0)
    assert form.brightness(*far, grown(form)).max() == 0


def test_vortices_count_and_size():
    for form, half_width, count, smallest, largest in (
            (rare.Spirals(drift_m_per_s=0, count=3), 280, 3, 30, 110), (rare.Curls(drift_m_per_s=0), 70, 6, 4, 16)):
        places = region(half_width, size=400)
        parts, found = label(form.instance(*places, grown(form)) > 0.5)
        extents = [np.ptp(np.nonzero(parts == k)[1]) * 2 * half_width / 400 for k in range(1, found + 1)]
        assert found == count and smallest < min(extents) and max(extents) < largest


@pytest.mark.parametrize(("form", "sense"), [(rare.Spirals, 1), (rare.Curls, -1)])
def test_sense_of_winding(form, sense):
    "Turned further, the light in the middle goes round with the stated sense (east right, pole up: along the field)."
    one = form(drift_m_per_s=0, count=1, ray_m_per_s=0)
    size = one.diameter_km
    ring = np.deg2rad(np.arange(0, 360, 2.0))
    east, poleward = (0.2 * size * part(ring) for part in (np.cos, np.sin))
    light = [rare.wind_up(east, poleward, one.centres(), turns)[2] for turns in (one.turns, 1.03 * one.turns)]
    profile = [np.exp(-(distance / one.arc_km) ** 2) for distance in light]
    shifts = [np.sum(profile[0] * np.roll(profile[1], -k)) for k in range(-10, 11)]
    assert np.sign(np.argmax(shifts) - 10) == sense


def test_beads_are_regular():
    form = rare.Beads()
    places = region(size=400)
    light = form.brightness(*places, grown(form)).max(0)
    spectrum = np.abs(np.fft.rfft((light - light.mean()) * np.hanning(400)))
    wavelength = 500 / (3 + np.argmax(spectrum[3:]))
    assert 55 < wavelength < 90


def test_patches_pulse_each_in_its_own_time():
    form, places = diffuse.PulsatingPatches(), region()
    film = np.stack([form.brightness(*places, START + step * np.timedelta64(1, "s")) for step in range(40)])
    swing = (film.max(0) - film.min(0)) / film.max(0)
    assert np.quantile(swing, 0.5) < 0.2 and np.quantile(swing, 0.95) > 0.4  # the background stays, patches pulse
    bright = np.argsort(swing.ravel())[-400:]
    series = film.reshape(40, -1)[:, bright]
    assert np.mean(np.abs(np.corrcoef(series.T))) < 0.8


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(ALL)), st.integers(0, 2**31), st.floats(55, 80), st.floats(-180, 360),
       st.integers(0, 10**9), st.floats(0.3, 3))
def test_any_parameters(name, seed, latitude, longitude, seconds, scale):
    given_place = {} if name in diffuse.FORMS else dict(magnetic_longitude=longitude)
    default = ALL[name]()
    lengths = {field: scale * getattr(default, field) for field in ("size_km", "width_deg", "diameter_km", "wavelength_km",
               "width_km", "arc_km", "rim_km", "stripe_km", "life_s", "growth_s", "spacing_km") if hasattr(default, field)}
    form = ALL[name](magnetic_latitude=latitude, seed=seed, **given_place, **lengths)
    time = np.datetime64("2000-01-01", "ns") + np.timedelta64(seconds, "s")
    places = region(latitude=latitude, longitude=longitude, size=40)
    light, place = form.brightness(*places, time), form.instance(*places, time)
    assert np.isfinite(light).all() and light.min() >= 0 and light.max() < 5 * form.brightness_rayleigh
    if form.rare: assert np.isfinite(place).all() and place.min() >= 0 and place.max() <= 1


@pytest.mark.parametrize("name", ALL)
def test_torch_gives_the_same(name):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    form, places = ALL[name](), region(size=60)
    there = [torch.from_numpy(place) for place in places]
    for what in ("brightness", "instance"):
        here = getattr(form, what)(*places, grown(form))
        result = getattr(form, what)(*there, grown(form))
        assert result.dtype == torch.float32
        assert np.mean(np.abs(result.numpy() - here) > 0.01 * np.abs(here).max() + 1e-6) < 0.005
