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
    limits: tuple | None = None       # counts that become 0 and 1 where nothing else scales; None: scaled by others before
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
    gill, gako = _open(folder, "themis_pgm").values, _open(folder, "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf").values
    gako = gako[:, ::-1, ::-1]  # CDF files are turned by 180 degrees
    fsmi, fsmi_series = _fsmi(folder)
    movie, movie_series = _kho1(folder)
    dasc = np.concatenate([_open(folder, f"dasc_fits/PKR_DASC_{name}.FITS").values for name in (
        "0558_20151007_082351.743", "0558_20151007_082404.243", "0428_20151007_082355.961", "0630_20151007_082359.586")])
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
        one("themis_oath", "white", "arcs, diffuse and folded bands, dark", _oath(folder), (127.5, 127.5, 106, 106), None,
            None, [f"oath_{letter}" for letter in oath_scenes]),
        one("themis_storm", "white", "breakup, low Moon; drawn with saturation", fsmi, (332, 238, 153, 153), None, fsmi_series),
        one("dasc", "line", "bright arcs, dark; 558 twice, 428, 630 nm", dasc, (243, 248.5, 209.5, 209.5), (340, 800), dasc[:2]),
        one("rego", "line", "630 nm, no form, snow or frost", _one(folder, "asilib_themis/test_load_image_rego.npy"),
            (247, 262, 195, 195), (250, 800)),
        one("trex_nir", "line", "844.6 nm, faint", nir[::2], (114, 125, 82, 82), (270, 560), nir[:10]),
        one("trex_blue", "line", "427.8 nm, faint, fixed pattern", blue[:12], (160, 138, 110, 110), (300, 2200), blue),
        one("rainbow", "line", "colour mosaic, stars, faint light", rainbow, (127, 126, 105, 105), (1600, 2800), rainbow),
        one("kho_jpeg", "colour", "bands, cloud, twilight, dark", kho.values, (349, 238, 183, 183), (0, 255), None,
            [f"kho_{str(time)[:13]}" for time in kho.time.values]),
        one("kho_movie", "colour", "strong bands and folds; sharpened by its makers", movie, (164, 125, 83, 83), (0, 255),
            movie_series),
        one("trex_rgb", "colour", "haze under the Moon; an arc", colour, (250, 228, 215, 215), (0, 255), None, ["a", "b"]),
    ]


# Simulated sets

@dataclass(frozen=True)
class Night:
    "A stretch of a simulated night."
    station: str
    start: str
    count: int             # frames
    cadence: str           # between them
    camera: str
    forms: tuple = ()
    options: tuple = ()    # more arguments of simulate_night, as pairs


TWINS = {  # the same station, hour, cadence and number of frames where they are known, and the forms that are seen
    "themis_dark": (Night("gill", "2016-10-29T04:00", 12, "3s", "themis"),),
    "themis_moon": (Night("gill", "2014-03-10T06:00", 12, "30s", "themis"),),
    "themis_twilight": (Night("gako", "2011-01-06T17:00", 12, "3s", "themis"),),
    "themis_oath": (Night("gill", "2007-01-19T05:00", 2, "4min", "themis", ("stationary_arc", "moving_arc")),
                    Night("fsim", "2007-01-19T07:00", 2, "4min", "themis", ("stationary_arc",)),
                    Night("atha", "2007-01-20T06:00", 5, "4min", "themis", ("diffuse",)),
                    Night("rank", "2007-01-18T04:00", 1, "4min", "themis", ("stationary_arc",))),
    "themis_storm": (Night("fsmi", "2015-03-26T06:07:15", 19, "72s", "themis", ("moving_arc", "stationary_arc", "patches")),),
    "dasc": (Night("pkr", "2015-10-07T08:23:51", 4, "12s", "dasc", ("stationary_arc", "moving_arc")),),
    "rego": (Night("gill", "2016-10-29T04:00", 1, "3s", "dasc"),),
    "trex_nir": (Night("gill", "2022-03-07T06:00", 10, "12s", "dasc"),),
    "trex_blue": (Night("gill", "2022-03-08T06:00", 12, "3s", "dasc"),),
    "rainbow": (Night("rabb", "2013-02-05T05:04", 10, "6s", "dasc"),),
    "kho_jpeg": tuple(Night("kho", f"2014-02-{start}", 1, "1min", "colour", forms) for start, forms in (
        ("03T23:29:42", ()), ("18T17:13:40", ()), ("18T22:41:10", ()), ("18T23:54:40", ()), ("21T19:20:40", ("moving_arc",)),
        ("21T19:26:10", ("moving_arc",)), ("21T19:30:40", ("moving_arc",)), ("21T23:19:40", ("moving_arc",)),
        ("23T03:00:10", ("moving_arc",)), ("23T03:06:40", ("moving_arc",)), ("24T02:00:10", ("stationary_arc",)),
        ("25T22:10:10", ()), ("25T22:14:40", ()), ("25T22:18:40", ()), ("25T23:34:10", ()))),
    "kho_movie": (Night("kho", "2013-12-04T18:50:14", 20, "180s", "colour", ("stationary_arc", "moving_arc", "patches")),),
    "trex_rgb": (Night("gill", "2020-05-08T06:05", 1, "1min", "colour"),
                 Night("gill", "2021-10-30T06:05", 1, "1min", "colour", ("stationary_arc",))),
}
SERIES_CADENCE = {"themis_moon": "3s", "trex_nir": "6s", "themis_storm": "3s", "dasc": "12s", "kho_movie": "1s", "trex_blue": "3s"}


def lens_disc(lens) -> tuple:
    "Centre and radii in pixels of the lowest elevation that is compared."
    x, y = lens.sky_to_pixel(np.arange(0.0, 360.0), np.full(360, LOWEST_DEG))
    return (x.min() + x.max()) / 2, (y.min() + y.max()) / 2, np.ptp(x) / 2, np.ptp(y) / 2


def _frames(night, seed, count=None, cadence=None):
    step = as_duration(cadence or night.cadence, "cadence")
    duration = f"{(count or night.count) * step.total_seconds():.0f}s"
    return simulate_night(night.station, night.start, duration, f"{step.total_seconds():.0f}s", night.forms, night.camera,
                          seed=seed, **dict(night.options)).image.values


def twin_of(real: Set, seed: int = 0) -> Set:
    "The simulated set that should look like a real one: as many frames of as many scenes."
    nights = TWINS[real.name]
    images = np.concatenate([_frames(night, seed * 100 + number) for number, night in enumerate(nights)])
    series = None
    if real.series is not None: series = _frames(nights[0], seed * 100, len(real.series), SERIES_CADENCE.get(real.name))
    return Set(real.name, real.kind, real.sky, images, lens_disc(camera_preset(nights[0].camera).lens), real.scenes, series,
               real.limits, True)


def describe(one: Set) -> dict: return dict(n_frames=len(one.images), n_scenes=len(set(one.scenes)))
