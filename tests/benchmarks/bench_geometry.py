"""Geometry: a skymap at another height, magnetic coordinates, local time, means over cells; peers, and the error against a root finder.

The skymap is GAKO's where it is at hand, else a lens of the same size. Peers get the same azimuths and elevations.
"""
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from harness import PEERS_PYTHON, SHARED_DATA, Row, best_of, in_python, peers_ready

HEIGHT = 115.0
ASILIB = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np
from asilib.skymap import geodetic_skymap
d = np.load(sys.argv[1]); start = time.perf_counter()
latitude, longitude = geodetic_skymap(tuple(d["place"]), d["azimuth"].copy(), d["elevation"].copy(), float(d["height"]))
seconds = time.perf_counter() - start
np.savez(sys.argv[2], latitude=latitude, longitude=longitude)
print(json.dumps(dict(seconds=seconds)))
"""
AURORAX = """
import json, os, sys, time, warnings
warnings.filterwarnings("ignore")
import pyaurorax
aurorax = pyaurorax.PyAuroraX()
sky = aurorax.data.ucalgary.readers.read_skymap(sys.argv[1]).data[0]
start = time.perf_counter()
aurorax.tools.mosaic.prep_skymaps([sky], int(float(sys.argv[2])))
print(json.dumps(dict(seconds=time.perf_counter() - start)))
"""
AACGM = """
import json, sys, time
import aacgmv2, numpy as np, pandas as pd
times = pd.date_range("2010-11-01", periods=int(sys.argv[1]), freq="min").to_pydatetime()
start = time.perf_counter()
for moment in times: aacgmv2.convert_mlt([-90.0], moment)
print(json.dumps(dict(seconds=time.perf_counter() - start)))
"""


def sample_skymap():
    "GAKO's skymap and its file, or that of a lens and None."
    from aurora_nb.geometry.lens import lens_for_sky
    from aurora_nb.geometry.skymap import open_skymap, skymap_from_lens
    files = sorted((SHARED_DATA / "themis_cdf").glob("*.sav"))
    return (open_skymap(files[0]), files[0]) if files else (skymap_from_lens(lens_for_sky((256, 256)), "gako"), None)


def dense_errors(skymap, latitude, longitude, lowest=5.0, every=97):
    "Largest error in degrees of arc against a root finder on every 97th pixel above 5 degrees."
    from scipy.optimize import brentq
    a, e2 = 6378137.0, 0.0066943799901413165
    lat0, lon0 = np.radians([skymap.station_latitude, skymap.station_longitude])
    normal, h0 = a / np.sqrt(1 - e2 * np.sin(lat0) ** 2), skymap.station_height_m
    start = np.array([(normal + h0) * np.cos(lat0) * np.cos(lon0), (normal + h0) * np.cos(lat0) * np.sin(lon0),
                      (normal * (1 - e2) + h0) * np.sin(lat0)])
    rows = np.array([[-np.sin(lon0), np.cos(lon0), 0], [-np.sin(lat0) * np.cos(lon0), -np.sin(lat0) * np.sin(lon0), np.cos(lat0)],
                     [np.cos(lat0) * np.cos(lon0), np.cos(lat0) * np.sin(lon0), np.sin(lat0)]])

    def geodetic(point):
        rho = np.hypot(*point[:2])
        found = np.arctan2(point[2], rho)
        for _ in range(30): found = np.arctan2(point[2] + e2 * a / np.sqrt(1 - e2 * np.sin(found) ** 2) * np.sin(found), rho)
        return found, rho * np.cos(found) + point[2] * np.sin(found) - a * np.sqrt(1 - e2 * np.sin(found) ** 2)

    worst = 0.0
    for y, x in np.argwhere(skymap.elevation.values > lowest)[::every]:
        az, el = np.radians([skymap.azimuth.values[y, x], skymap.elevation.values[y, x]])
        ray = np.array([np.cos(el) * np.sin(az), np.cos(el) * np.cos(az), np.sin(el)]) @ rows
        point = start + ray * brentq(lambda s: geodetic(start + s * ray)[1] - HEIGHT * 1e3, 0, 4e6, xtol=1e-6)
        dlat = latitude[y, x] - np.degrees(geodetic(point)[0])
        dlon = (longitude[y, x] - np.degrees(np.arctan2(point[1], point[0])) + 180) % 360 - 180
        worst = max(worst, np.hypot(dlat, dlon * np.cos(np.radians(latitude[y, x]))))
    return float(worst)


def height_rows(skymap, file, folder):
    "Latitude and longitude at 115 km."
    from aurora_nb.geometry.skymap import aer_to_geodetic, station_of
    azimuth, elevation, place = skymap.azimuth.values, skymap.elevation.values, station_of(skymap)
    seconds, (latitude, longitude) = best_of(lambda: aer_to_geodetic(azimuth, elevation, place, HEIGHT), 10)
    error = dense_errors(skymap, latitude, longitude)
    what = "skymap at 115 km, 256 x 256"
    yield Row(what, seconds, 0.020, "allowed", ">= 1", note=f"error {error:.1e} degrees against a root finder")
    yield Row("its error, degrees of arc above 5 degrees elevation", max(error, 1e-15), 1e-6, "allowed", ">= 1", unit="deg")
    if not peers_ready(): return
    np.savez(folder / "in.npz", azimuth=azimuth, elevation=elevation, height=HEIGHT,
             place=[place.latitude, place.longitude, place.height_m / 1e3])
    found = in_python(ASILIB, folder / "in.npz", folder / "out.npz", python=PEERS_PYTHON, HOME=str(folder))
    theirs = np.load(folder / "out.npz")
    note = f"its error {dense_errors(skymap, theirs['latitude'], theirs['longitude']):.1e} degrees"
    yield Row(what, seconds, found["seconds"], "asilib geodetic_skymap", note=note)
    if file is None: return
    found = in_python(AURORAX, file, HEIGHT, python=PEERS_PYTHON, HOME=str(folder))
    yield Row(what, seconds, found["seconds"], "pyaurorax prep_skymaps", note="interpolates and prepares a mosaic")


def magnetic_rows(skymap):
    "AACGM of a whole skymap, new and kept, and local time of a season."
    from aurora_nb.geometry.geomagnetic import _magnetic_grid, _zero_longitude_hours, magnetic_local_time, with_magnetic
    level = skymap.sel(height_km=[110])
    _magnetic_grid.cache_clear()
    first, _ = best_of(lambda: with_magnetic(level, time="2011-01-06"), 1)
    kept, _ = best_of(lambda: with_magnetic(level, time="2011-01-06"), 5)
    yield Row("magnetic coordinates of a skymap, asked again", kept, first, "the first time", ">= 10")
    times = pd.date_range("2010-11-01", periods=250_000, freq="min")
    _zero_longitude_hours.cache_clear()
    first, _ = best_of(lambda: magnetic_local_time(-90.0, times), 1)
    again, _ = best_of(lambda: magnetic_local_time(-90.0, times), 3)
    few = 5000
    python = PEERS_PYTHON if peers_ready() else Path(sys.executable)
    loop = in_python(AACGM, few, python=python)["seconds"] * len(times) / few
    yield Row("magnetic local time of 250,000 frames, first call", first, loop, "aacgmv2, frame by frame", ">= 5",
              note=f"the loop is scaled from {few}; later calls {again:.3f} s")


def cell_rows(skymap):
    "Means of 400 frames over 400 cells."
    from aurora_nb.geometry.cells import cell_mean, equal_area_cells
    cells = equal_area_cells(skymap)
    image = xr.DataArray(np.random.default_rng(0).integers(2000, 9000, (400, 256, 256), dtype="u2"), dims=("time", "y", "x"))
    seconds, _ = best_of(lambda: cell_mean(image, cells))
    flat, picks = cells.cell.values.ravel(), [np.flatnonzero(cells.cell.values.ravel() == i) for i in range(400)]
    loop, _ = best_of(lambda: [[f.ravel()[p].mean() for p in picks] for f in image.values[:20]], 1)
    yield Row("400 frames over 400 cells", seconds, loop * 20, "numpy, cell by cell", note=f"{flat.size} pixels a frame")


def rows():
    "All of them."
    skymap, file = sample_skymap()
    with tempfile.TemporaryDirectory() as folder:
        yield from height_rows(skymap, file, Path(folder))
    yield from magnetic_rows(skymap)
    yield from cell_rows(skymap)
