"Real frames with their discs, and for each set the simulated night that should look like it."
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aurora_nb.frames import as_duration
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.movies import Movies
from aurora_nb.readers.pictures import read_picture
from aurora_nb.simulate.camera import camera_preset
from aurora_nb.simulate.night import simulate_night

from measures import LOWEST_DEG
from twins import SERIES_CADENCE, TWINS


@dataclass(frozen=True)
class Set:
    "Pictures of one camera under one kind of sky."
    name: str
    kind: str             # "white", "line" or "colour": sets are compared with others of the same kind
    sky: str              # what is on them, in words
    images: np.ndarray    # (n, y, x) or (n, y, x, band), counts
    disc: tuple           # (x, y, radius across, radius down) of 15 degrees elevation, pixels
    scenes: tuple         # for each picture the scene it belongs to: one camera, one night, one quarter of an hour
    series: np.ndarray | None = None  # pictures in a row at the camera's cadence
    limits: tuple | None = None       # counts that become 0 and 1; None: scaled by others before
    simulated: bool = False


# Real sets

def _open(folder, path, **options): return open_allsky(folder / path, **options).image


def _asilib(folder): return np.load(folder / "asilib_themis/test_load_images_themis.npz")["images"]


def _one(folder, path): return np.load(folder / path)[None]


def _oath(folder): return np.stack([read_picture(path)[0][..., 1] for path in sorted((folder / "oath").glob("0*.png"))])


def _fsmi(folder):
    movie = _open(folder, "asilib_themis/20150326_060700_063000_themis_fsmi_fisheye.mp4",
                  reader=Movies(start="2015-03-26T06:07:00", cadence="3s"))
    return movie[5:450:24].values.mean(-1), movie[200:220].values.mean(-1)


def _kho1(folder):
    movie = _open(folder, "kho_color/kho1.mp4", reader=Movies(start="2013-12-04T18:49:44", cadence="1s"))
    return movie[30:3600:180].values, movie[1800:1820].values


def real_sets(folder: Path) -> list[Set]:
    "All real sets; KHO, OATH and the movies by scene, the others are one scene each."
    def one(name, kind, sky, images, disc, limits, series=None, scene=None):
        return Set(name, kind, sky, images, disc, tuple(scene or [name] * len(images)), series, limits)
    gill = _open(folder, "themis_pgm").values
    gako = _open(folder, "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf").values[:, ::-1, ::-1]  # files are upside down
    fsmi, fsmi_series = _fsmi(folder)
    movie, movie_series = _kho1(folder)
    dasc = np.concatenate([_open(folder, f"dasc_fits/PKR_DASC_{name}.FITS").values for name in (
        "0558_20151007_082351.743", "0558_20151007_082404.243",
        "0428_20151007_082355.961", "0630_20151007_082359.586")])
    nir = np.concatenate([_open(folder, f"trex_pgm/20220307_{name}").values
                          for name in ("0600_gill_nir-216_8446.pgm.gz", "0605_gill_nir-216_8446.pgm")])
    blue = _open(folder, "trex_pgm/20220308_0600_gill_blue-814_full.pgm.gz").values
    rainbow = _open(folder, "rainbow_pgm/20130205_0504_rabb_rainbow-08_full.pgm.gz").values
    rainbow = rainbow.reshape(len(rainbow), 256, 256, 2).mean(-1)  # columns alternate in colour and are half as wide
    kho = _open(folder, "kho_color")[1:]  # the first is black
    colour = np.concatenate([_open(folder, f"trex_pgm/{name}.png").values for name in (
        "20200508_060500_122643_gill_rgb-04_320ms_full", "20211030_060500_149606_gill_rgb-04_320ms_burst")])
    oath_scenes = ["a", "a", "b", "b", "c", "c", "c", "c", "c", "d"]
    themis = (2000, 10000)
    return [
        one("themis_dark", "white", "dark, frost on the dome, light low in the east and west", _asilib(folder)[:12],
            (122, 124, 105.5, 105.5), themis, _asilib(folder)),
        one("themis_moon", "white", "moonlit haze", gill[::10], (126.5, 126.5, 105.5, 105.5), themis, gill[:20]),
        one("themis_twilight", "white", "twilight, stars", gako[:12], (131.5, 126.5, 105.5, 105.5), themis, gako[:20]),
        one("themis_oath", "white", "arcs, diffuse and folded bands, dark", _oath(folder), (127.5, 127.5, 106, 106),
            None, None, [f"oath_{letter}" for letter in oath_scenes]),
        one("themis_storm", "white", "breakup, low Moon; drawn with saturation", fsmi, (332, 238, 153, 153), None,
            fsmi_series),
        one("dasc", "line", "bright arcs, dark; 558 twice, 428, 630 nm", dasc, (243, 248.5, 209.5, 209.5), (340, 800),
            dasc[:2]),
        one("rego", "line", "630 nm, no form, snow or frost", _one(folder, "asilib_themis/test_load_image_rego.npy"),
            (247, 262, 195, 195), (250, 800)),
        one("trex_nir", "line", "844.6 nm, faint", nir[::2], (114, 125, 82, 82), (270, 560), nir[:10]),
        one("trex_blue", "line", "427.8 nm, faint, fixed pattern", blue[:12], (160, 138, 110, 110), (300, 2200), blue),
        one("rainbow", "line", "colour mosaic, stars, faint light", rainbow, (127, 126, 105, 105), (1600, 2800),
            rainbow),
        one("kho_jpeg", "colour", "bands, cloud, twilight, dark", kho.values, (349, 238, 183, 183), (0, 255), None,
            [f"kho_{str(time)[:13]}" for time in kho.time.values]),
        one("kho_movie", "colour", "strong bands and folds; sharpened by its makers", movie, (164, 125, 83, 83),
            (0, 255), movie_series),
        one("trex_rgb", "colour", "haze under the Moon; an arc", colour, (250, 228, 215, 215), (0, 255), None,
            ["a", "b"]),
    ]


# Simulated sets

def lens_disc(lens) -> tuple:
    "Centre and radii in pixels of the lowest elevation that is compared."
    x, y = lens.sky_to_pixel(np.arange(0.0, 360.0), np.full(360, LOWEST_DEG))
    return (x.min() + x.max()) / 2, (y.min() + y.max()) / 2, np.ptp(x) / 2, np.ptp(y) / 2


def _frames(night, seed, count=None, cadence=None):
    step = as_duration(cadence or night.cadence, "cadence")
    duration = f"{(count or night.count) * step.total_seconds():.0f}s"
    forms = [form.at(night.station, night.start, seed + 7 * number) for number, form in enumerate(night.forms)]
    return simulate_night(night.station, night.start, duration, f"{step.total_seconds():.0f}s", forms, night.camera,
                          seed=seed, weather=night.weather, truths=()).image.values


def twin_of(real: Set, seed: int = 0) -> Set:
    "The simulated set that should look like a real one: as many frames of as many scenes."
    nights = TWINS[real.name]
    images = np.concatenate([_frames(night, seed * 100 + number) for number, night in enumerate(nights)])
    series = None
    if real.series is not None: series = _frames(nights[0], seed * 100, len(real.series), SERIES_CADENCE.get(real.name))
    disc = lens_disc(camera_preset(nights[0].camera).lens)
    return Set(real.name, real.kind, real.sky, images, disc, real.scenes, series, real.limits, True)


def describe(one: Set) -> dict: return dict(n_frames=len(one.images), n_scenes=len(set(one.scenes)))
