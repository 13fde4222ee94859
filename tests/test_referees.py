"The numbers of tests/referees on pictures whose answer is known; the network is not needed here."
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "referees"))
import measures  # noqa: E402


@pytest.fixture(scope="module")
def rng(): return np.random.default_rng(0)


def test_kernel_distance_of_one_distribution_is_nought_and_grows_with_a_shift(rng):
    first, second = rng.normal(size=(2, 200, 64))
    same = measures.kernel_distance(first, second)
    shifted = [measures.kernel_distance(first, second + shift) for shift in (0.2, 0.5, 1.0)]
    assert abs(same) < 0.01
    assert same < shifted[0] < shifted[1] < shifted[2]


def test_kernel_inception_distance_holds_its_own_interval_and_needs_two_frames(rng):
    first, second = rng.normal(size=(2, 60, 64))
    mean, low, high = measures.kernel_inception_distance(first, second + 0.5)
    assert 0 < low < mean < high
    assert abs(mean - measures.kernel_distance(first, second + 0.5)) < high - low
    assert np.isnan(measures.kernel_inception_distance(first[:1], second)[0])


def picture(side=256, centre=(120, 130), radius=100):
    "Brightness falls from 1000 in the middle to 500 at the rim."
    y, x = np.indices((side, side))
    return 1000 - 500 * np.hypot(x - centre[0], y - centre[1]) / radius


def test_a_disc_is_cropped_about_its_centre_to_its_rim():
    disc = measures.crop_disc(picture()[None], (120, 130, 100, 100))[0]
    assert disc.shape == (224, 224) and disc[0, 0] == 0
    assert disc[111:113, 111:113].mean() == pytest.approx(1000, abs=5)
    assert disc[112, 2] == pytest.approx(509, abs=5)
    np.testing.assert_allclose(disc, disc[::-1, ::-1], atol=0.01)


def test_scaling_forgets_gain_and_offset_and_leaves_the_outside_dark():
    discs = measures.crop_disc(np.stack([picture(), 3 * picture() + 700]), (120, 130, 100, 100))
    scaled = measures.scale_like_oath(discs)
    np.testing.assert_allclose(scaled[0], scaled[1], atol=1e-4)
    assert scaled[:, ~measures.disc_mask()].max() == 0 and scaled.max() == 1
    assert measures.scale_fixed(discs, (500, 1000))[0, 112, 112] == pytest.approx(1, abs=0.01)


def test_histograms_are_apart_by_what_one_is_shifted(rng):
    discs = rng.normal(1000, 50, (3, 224, 224)).astype(np.float32)
    first, second = measures.brightness_quantiles(discs), measures.brightness_quantiles(discs + 30)
    assert measures.quantile_distance(first, second) == pytest.approx(30, abs=0.01)
    assert measures.quantile_distance(*map(measures.own_units, (first, second))) == pytest.approx(0, abs=1e-4)


def test_power_lies_where_the_waves_are(rng):
    waves = np.sin(2 * np.pi * 12 * np.arange(224) / 224)[None, None] * np.ones((2, 224, 1))
    power = measures.radial_power(waves)
    assert measures.band_power(power, "middle").min() > 0.95
    noise = measures.radial_power(rng.normal(size=(2, 224, 224)))
    assert measures.spectrum_distance(noise, noise) == 0
    assert measures.spectrum_distance(power, noise) > 1


def test_stars_are_counted_inside_the_disc_only(rng):
    image = rng.normal(1000, 10, (1, 256, 256))
    image[0, [130, 60, 3], [120, 130, 3]] += 500
    assert measures.star_counts(image, (120, 130, 100, 100)).tolist() == [2]


def test_steadiness_tells_drifting_forms_from_noise(rng):
    still = np.repeat(measures.crop_disc(picture()[None], (120, 130, 100, 100)), 4, axis=0)
    noisy = still + rng.normal(0, 20, still.shape)
    y, x = np.indices((224, 224))
    drifting = np.stack([1000 * np.exp(-((y - 100 - 5 * step) / 20) ** 2) for step in range(4)])
    assert measures.steadiness(noisy)["noise"] == pytest.approx(20 / 490, rel=0.1)
    assert measures.steadiness(noisy)["slow_change"] < 0.01 < 0.02 < measures.steadiness(drifting)["slow_change"]
    assert np.isnan(measures.steadiness(still[:1])["noise"])
