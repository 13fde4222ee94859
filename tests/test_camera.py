"""Simulated cameras beside real frames: bias, noise, disc, stars, text; ageing; repeatable; fast enough."""
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.core import AuroraError
from aurora_nb.geometry.lens import angular_distance, lens_for_sky
from aurora_nb.simulate.camera import (CAMERAS, Camera, aged, aim_camera, band_weights, camera_preset, expose,
                                       misaligned, pixel_directions, resize_camera, sensitivity, skymap_for)
from aurora_nb.simulate.overlay import draw_overlay
from aurora_nb.simulate.sensor import Sensor, bloomed, fixed_pattern, read_out


def even_light(camera, rayleigh):
    share = sensitivity(camera)
    return rayleigh * (share if camera.grey else share[..., None] * np.ones(len(camera.lines), np.float32))


@pytest.mark.parametrize("name", sorted(CAMERAS))
def test_every_preset_exposes_its_own_pixels_and_repeats(name):
    camera = camera_preset(name, size=96)
    light = even_light(camera, 4000.0)
    first, again, other = (expose(camera, light, np.random.default_rng(seed), "kho", "2014-02-21T19:26:10")
                           for seed in (1, 1, 2))
    assert first.dtype == np.dtype(camera.dtype) and first.shape == light.shape
    assert (first == again).all() and (first != other).any()
    assert first.min() >= 0 and first.max() <= camera.sensor.full_scale
    lit, dark = sensitivity(camera) > 0.5, sensitivity(camera) == 0
    assert not dark.any() or first[lit].mean() > first[dark].mean()


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1e7), st.sampled_from(sorted(CAMERAS)), st.integers(0, 2**31))
def test_no_light_is_too_strong(rayleigh, name, seed):
    camera = camera_preset(name, size=48)
    image = expose(camera, even_light(camera, rayleigh), np.random.default_rng(seed))
    assert image.min() >= 0 and image.max() <= camera.sensor.full_scale


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 10), st.floats(0, 1), st.integers(0, 1000))
def test_blooming_neither_makes_nor_leaves_too_much_charge(rows, columns, share, seed):
    counts = np.random.default_rng(seed).exponential(60, (rows, columns)).astype(np.float32)
    before, over = counts.copy(), np.maximum(counts - 100, 0).sum(0)
    after = bloomed(counts, 100.0, share)
    assert after.max() <= 100.001 and (after >= np.minimum(before, 100) - 1e-3).all()
    assert (after.sum(0) <= np.minimum(before, 100).sum(0) + share * over + 1e-2).all()


@given(st.floats(0.25, 2))
@settings(max_examples=15, deadline=None)
def test_a_smaller_camera_sees_the_same_sky(factor):
    camera, other = camera_preset("dasc"), resize_camera(camera_preset("dasc"), factor)
    x, y = camera.lens.sky_to_pixel(np.array([10.0, 200.0]), np.array([30.0, 70.0]))
    there = other.lens.pixel_to_sky((x + 0.5) * factor - 0.5, (y + 0.5) * factor - 0.5)
    assert angular_distance(*there, [10.0, 200.0], [30.0, 70.0]).max() < 0.3


def test_hot_pixels_stay_and_grow_with_age():
    themis, old = camera_preset("themis"), aged(camera_preset("themis"), 12)
    patterns = [fixed_pattern(camera.sensor, (256, 256))[0] for camera in (themis, old)]
    hot = [pattern > themis.sensor.bias + 200 for pattern in patterns]
    assert 2 < hot[0].sum() < hot[1].sum() and (hot[1] & hot[0]).sum() == hot[0].sum()
    assert sensitivity(old).max() < 0.85 * sensitivity(themis).max()
    with pytest.raises(AuroraError, match="0 or more"): aged(themis, -1)


def test_small_field_looks_at_the_magnetic_zenith():
    from aurora_nb.simulate.fieldlines import magnetic_zenith

    camera = aim_camera(camera_preset("small_fov"), "pkr", "2015-10-07")
    azimuth, elevation = pixel_directions(camera)
    assert angular_distance(azimuth[127, 127], elevation[127, 127], *magnetic_zenith("pkr", "2015-10-07")) < 0.3
    assert angular_distance(azimuth[128, 0], elevation[128, 0], azimuth[128, 255], elevation[128, 255]) == pytest.approx(40, abs=0.3)
    assert np.isfinite(skymap_for(camera, "pkr").latitude.values).all()


def test_misaligned_cameras_differ_by_about_a_degree():
    themis = camera_preset("themis")
    sky = [misaligned(themis, seed).lens.pixel_to_sky(128, 128) for seed in range(30)]
    off = angular_distance(*np.transpose(sky), *themis.lens.pixel_to_sky(128, 128))
    assert 0.3 < np.median(off) < 3 and off.max() < 8


def test_bands_and_tints():
    colour, dasc = camera_preset("jang_bogo"), camera_preset("dasc")
    red, green, blue = band_weights(colour, (0.22, 1, 0.1, 0.8))
    assert 0.25 < red / green < 0.5 and 0.08 < blue / green < 0.2
    assert band_weights(colour, (0, 0, 1, 0)).argmax() == 0
    assert band_weights(dasc, (0, 1, 0, 0)) == pytest.approx([1]) and band_weights(dasc, (1, 1, 1)) < 0.01
    with pytest.raises(AuroraError, match="found 2 numbers"): band_weights(dasc, (1, 2))


def test_text_is_drawn_before_jpeg_and_only_outside_the_disc():
    camera = camera_preset("longyearbyen")
    light = even_light(camera, 0.0)
    image = expose(camera, light, np.random.default_rng(0), "kho", "2014-02-21T19:26:10")
    bare = expose(replace(camera, overlay=()), light, np.random.default_rng(0))
    changed = np.abs(image.astype(int) - bare).max(-1) > 40
    y, x = np.indices(changed.shape)
    inside = np.hypot(x - 359, y - 236) < 200
    assert changed.sum() > 300 and not changed[inside].any()
    with pytest.raises(AuroraError, match="expected uint8"):
        draw_overlay(np.zeros((9, 9), "u2"), lens_for_sky((9, 9)), "kho", "2014-02-21")


@pytest.mark.parametrize("wrong", [dict(dtype="uint8"), dict(full_scale=0), dict(electrons_per_count=0), dict(excess=0.5)])
def test_impossible_chips_are_refused(wrong):
    with pytest.raises(AuroraError): Sensor(**wrong)


# beside real frames


def frames_of(folder, pattern):
    from aurora_nb.readers.base import open_allsky

    return open_allsky(folder / pattern).image.values.astype(float)


def noise_by_level(frames, edges):
    "Standard deviation from frame to frame, and mean level, of pixels between each two edges."
    level, change = frames[:2].mean(0), (frames[1] - frames[0]) / np.sqrt(2)
    parts = [(level >= low) & (level < high) for low, high in zip(edges[:-1], edges[1:])]
    return np.array([(level[part].mean(), 1.4826 * np.median(np.abs(change[part]))) for part in parts])


def test_themis_noise_is_that_of_the_real_camera(shared_data):
    real = frames_of(shared_data, "themis_pgm/20140310_0605_gill_themis19_full.pgm")
    camera, rng = camera_preset("themis"), np.random.default_rng(0)
    signal = np.clip(real.mean(0) - 3450, 0, None).astype(np.float32)
    made = np.stack([read_out(camera.sensor, signal, rng) for _ in range(2)]).astype(float)
    theirs = noise_by_level(real, [3450, 3600, 4500, 5500, 6500, 7500, 8500])[:, 1]
    ours = noise_by_level(made, np.array([3450, 3600, 4500, 5500, 6500, 7500, 8500]) - 950)[:, 1]
    assert np.abs(ours / theirs - 1).max() < 0.15


def test_dasc_noise_is_that_of_the_real_camera(shared_data):
    from scipy.ndimage import gaussian_filter

    real = frames_of(shared_data, "dasc_fits/PKR_DASC_0428*.FITS")[0]
    camera, smooth = camera_preset("dasc_428"), gaussian_filter(real, 3)
    made = read_out(camera.sensor, np.clip(smooth - 371, 0, None), np.random.default_rng(0)).astype(float)
    for low, high in ((365, 373), (385, 392), (395, 405)):
        part = (smooth >= low) & (smooth < high)
        theirs, ours = ((image - gaussian_filter(image, 3))[part].std() for image in (real, made))
        assert ours == pytest.approx(theirs, rel=0.15)


def test_longyearbyen_disc_black_and_compression(shared_data):
    from PIL import Image

    picture = Image.open(shared_data / "kho_color/20140203232942.jpg")
    real, camera = np.asarray(picture).astype(float), camera_preset("longyearbyen")
    from aurora_nb.simulate.optics import van_rhijn

    elevation = np.nan_to_num(pixel_directions(camera)[1])
    night = 2600 * van_rhijn(np.maximum(elevation, 5), 95)[..., None] ** 0.4 * band_weights(camera, (0.8, 1, 1.2))
    made = expose(camera, night * sensitivity(camera)[..., None], np.random.default_rng(0)).astype(float)
    y, x = np.indices(real.shape[:2])
    radius = np.hypot(x - 359, y - 236)
    assert real.shape == made.shape
    for inside in ((0, 100), (100, 200), (235, 238)):
        part = (radius >= inside[0]) & (radius < inside[1])
        assert np.abs(np.median(real[part], 0) - np.median(made[part], 0)).max() < 12, inside


def test_star_light_of_themis_is_between_those_of_two_real_cameras():
    "Counts of a magnitude 0 star: 7200 at Gakona (photometry of 52 stars), about half of it in the OATH pictures of Inuvik."
    from aurora_nb.simulate.sky import STAR_RAYLEIGH_SR

    camera = camera_preset("themis")
    counts = STAR_RAYLEIGH_SR * camera.lens.focal ** 2 * band_weights(camera, (1, 1, 1))[0] * camera.counts_per_rayleigh
    assert 3600 < counts < 7200


def test_camera_without_a_table_entry_works():
    camera = Camera("mine", lens_for_sky((64, 64), tilt_deg=3.0, tilt_azimuth_deg=45.0), stray=0.02, horizon_deg=2, dirt=0.3)
    assert expose(camera, even_light(camera, 1000.0), np.random.default_rng(0)).shape == (64, 64)
