"Keogram, detector, Sun and Moon, stretch: an hour of 3-second frames of 256 x 256."
from collections.abc import Iterator

import numpy as np
from harness import Row, best_of

from aurora_nb.frames import build_frames
from aurora_nb.geometry.cells import equal_area_cells
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.geometry.skymap import skymap_from_lens
from aurora_nb.processing.difference import difference_mask
from aurora_nb.processing.keogram import keogram
from aurora_nb.processing.quality import sun_moon
from aurora_nb.processing.stretch import sky_disc, stretch


def rows() -> Iterator[Row]:
    "Each beside the bare numpy work that cannot be avoided."
    rng = np.random.default_rng(0)
    image = rng.integers(2000, 6000, (1200, 256, 256), np.uint16)
    time = np.datetime64("2014-03-10T06", "ns") + np.arange(1200) * np.timedelta64(3, "s")
    frames = build_frames(image, time, station="gill")
    skymap = skymap_from_lens(lens_for_sky((256, 256)), "gill")
    cells, disc = equal_area_cells(skymap), sky_disc(skymap)
    y, x = np.arange(256), rng.integers(100, 150, 256)

    keogram(frames, skymap)  # the field's coefficients are read once per process
    ours, _ = best_of(lambda: keogram(frames, skymap))
    bare, _ = best_of(lambda: image[:, y, x])
    yield Row("keogram, 1200 frames, magnetic, 4 pixels per position", ours, bare, "indexing 256 pixels (floor)",
              note="path and weights are made anew each time")
    four, _ = best_of(lambda: image[:, np.tile(y, 4), np.tile(x, 4)].reshape(1200, 4, 256).astype("f4").mean(1))
    yield Row("keogram, the same", ours, four, "mean of 4 x 256 pixels (floor)")
    ours, _ = best_of(lambda: difference_mask(frames, cells), 1)
    bare, _ = best_of(lambda: np.abs(image[20:].astype("f4") - image[:-20]), 1)
    yield Row("difference_mask on 400 cells, 1200 frames", ours, bare, "the bare difference (floor)",
              note=f"{1e3 * ours / 1200:.1f} ms a frame")
    ours, _ = best_of(lambda: stretch(frames, disc=disc), 1)
    bare, _ = best_of(lambda: np.clip((image.astype("f4") - 2000) / 4000, 0, 1), 1)
    yield Row("stretch by percentiles of each frame", ours, bare, "fixed limits in numpy (floor)")
    season = np.datetime64("2014-01-01", "ns") + np.arange(250_000) * np.timedelta64(1, "m")
    ours, _ = best_of(lambda: sun_moon(season, "gill"))
    yield Row("Sun and Moon at 250 000 moments", ours, _astropy(season[::25]) * 25, "astropy, 10 000 moments x 25", ">= 4")


def _astropy(time) -> float:
    "Seconds astropy needs for azimuth and elevation of Sun and Moon."
    from astropy.coordinates import AltAz, EarthLocation, get_body
    from astropy.time import Time
    from astropy.utils import iers

    place = EarthLocation.from_geodetic(-94.64, 56.376)
    with iers.conf.set_temp("auto_download", False):
        def both():
            when = Time(time)
            return [get_body(name, when, place, ephemeris="builtin").transform_to(AltAz(obstime=when, location=place)).alt
                    for name in ("sun", "moon")]
        both()
        return best_of(both)[0]
