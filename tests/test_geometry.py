"Truth checks of the geometry floor on real files: stars, Sun and Moon, other people's grids, and damaged input."
import warnings

import aacgmv2
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurora_nb.core import AuroraError, FileProblem
from aurora_nb.geometry.cells import cell_mean, equal_area_cells, magnetic_cells
from aurora_nb.geometry.geomagnetic import magnetic_coordinates, magnetic_local_time, magnetic_to_geographic, with_magnetic
from aurora_nb.geometry.lens import Lens, angular_distance, fit_lens, lens_for_sky, to_vector
from aurora_nb.geometry.skymap import (aer_to_geodetic, direction_vectors, match_skymap, nearest_pixels, open_skymap,
                                       save_skymap, skymap_from_lens, station_of)
from aurora_nb.readers.base import open_allsky
from aurora_nb.stations import Station, find_station

# Right ascension and declination, J2000, degrees
STARS = dict(arcturus=(213.915, 19.182), vega=(279.235, 38.784), capella=(79.172, 45.998), altair=(297.696, 8.868),
             aldebaran=(68.980, 16.509), spica=(201.298, -11.161), pollux=(116.329, 28.026), deneb=(310.358, 45.280),
             regulus=(152.093, 11.967), castor=(113.650, 31.888), alioth=(193.507, 55.960), dubhe=(165.932, 61.751),
             mirfak=(51.081, 49.861), alkaid=(206.885, 49.313), menkalinan=(89.882, 44.947), polaris=(37.955, 89.264),
             elnath=(81.573, 28.608), mizar=(200.981, 54.925), schedar=(10.127, 56.537), caph=(2.295, 59.150),
             kochab=(222.676, 74.155), alpheratz=(2.097, 29.091), mirach=(17.433, 35.621), algol=(47.042, 40.956),
             hamal=(31.793, 23.462), eltanin=(269.152, 51.489), alderamin=(319.645, 62.586))
FLIPS = {"as read": (slice(None), slice(None)), "rows": (slice(None, None, -1), slice(None)),
         "columns": (slice(None), slice(None, None, -1)), "both": (slice(None, None, -1), slice(None, None, -1))}


def sky_of(time, place):
    "Azimuth and elevation of the stars (n, 2), and of Sun and Moon."
    import astropy.units as u
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
    from astropy.time import Time
    from astropy.utils import iers

    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moment = Time(np.datetime64(time, "us").astype(str))
        ground = EarthLocation(lat=place.latitude * u.deg, lon=place.longitude * u.deg, height=place.height_m * u.m)
        frame = AltAz(obstime=moment, location=ground)
        stars = SkyCoord(*np.transpose(list(STARS.values())), unit="deg").transform_to(frame)
        bodies = [get_body(name, moment, ground).transform_to(frame) for name in ("sun", "moon")]
    return np.stack([stars.az.deg, stars.alt.deg], 1), *((b.az.deg, b.alt.deg) for b in bodies)


def contrast(pictures):
    "Mean of pictures with everything wider than a star taken out, in units of the local scatter."
    from scipy.ndimage import gaussian_filter, median_filter

    out = 0
    for picture in pictures:
        smooth = gaussian_filter(np.asarray(picture, float), 1)
        fine = smooth - median_filter(smooth, 13)
        out = out + np.clip(fine / np.sqrt(gaussian_filter(fine**2, 15)), -3, 8)
    return out / len(pictures)


def star_brightness(picture, skymap, directions, within_deg=1.2):
    "Brightest contrast within `within_deg` of each direction; NaN where no pixel looks."
    from scipy.spatial import cKDTree

    vectors = direction_vectors(skymap)
    sky = np.isfinite(vectors[..., 0])
    near = cKDTree(vectors[sky]).query_ball_point(to_vector(*np.transpose(directions)), np.radians(within_deg))
    return np.array([picture[sky][n].max() if n else np.nan for n in near])


@pytest.fixture(scope="module")
def gako(shared_data):
    return open_skymap(next((shared_data / "themis_cdf").glob("*.sav")))


@pytest.fixture(scope="module")
def dasc(shared_data):
    return open_skymap([shared_data / f"dasc_fits/PKR_DASC_0558_20150213_{w}.FIT" for w in ("Az", "El")])


# ---- orientation: what the sky says


def test_dasc_stars_fall_where_the_skymap_says_and_nowhere_else(shared_data, dasc):
    frames = open_allsky(sorted((shared_data / "dasc_fits").glob("*_2015100*.FITS")))
    stars, *_ = sky_of("2015-10-07T08:23:57", station_of(dasc))
    stars, picture = stars[stars[:, 1] > 15], contrast(frames.image.values)
    fitting = match_skymap(frames, dasc)
    score = {name: np.nanmean(star_brightness(picture[flip], fitting, stars)) for name, flip in FLIPS.items()}
    turned = [np.nanmean(star_brightness(picture, fitting, stars + [angle, 0])) for angle in range(5, 356, 5)]
    assert max(score, key=score.get) == "as read"
    assert score["as read"] > np.mean(turned) + 4 * np.std(turned), (score, np.mean(turned), np.std(turned))
    for name in ("rows", "columns", "both"): assert score[name] < np.mean(turned) + 2 * np.std(turned)


def test_themis_cdf_stars_fall_where_the_matched_skymap_says(shared_data, gako):
    frames = open_allsky(shared_data / "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf")
    stars, sun, _ = sky_of("2011-01-06T17:00:33", station_of(gako))
    stars, picture = stars[stars[:, 1] > 15], contrast([frames.image.values.mean(0)])
    fitting = match_skymap(frames, gako)
    score = {name: np.nanmedian(star_brightness(picture[flip], fitting, stars)) for name, flip in FLIPS.items()}
    assert score["as read"] > 4 and max(score[n] for n in ("rows", "columns", "both")) < 2, score
    assert np.mean(star_brightness(picture, fitting, stars) > 3) > 0.8
    twilight = frames.image.values.mean(0)
    low = (fitting.elevation.values > 10) & (fitting.elevation.values < 25)
    by_azimuth = pd.Series(twilight[low]).groupby(fitting.azimuth.values[low] // 15).median()
    assert abs((by_azimuth.idxmax() * 15 + 7.5) - sun[0]) < 15


def test_calgary_pgm_has_north_in_the_first_row_and_east_left(shared_data):
    frames = open_allsky(sorted((shared_data / "themis_pgm").glob("*.pgm*")))
    from scipy.ndimage import gaussian_filter

    brightest = np.unravel_index(gaussian_filter(frames.image.values.mean(0), 3).argmax(), (256, 256))
    _, _, moon = sky_of("2014-03-10T06:02:30", find_station("gill"))
    lens = Lens((256, 256), (127.5, 127.5), 82)  # as at other stations: compass north up, which is north at Gillam
    away = {name: angular_distance(*lens.pixel_to_sky(*np.array(place, float)), *moon) for name, place in {
        "as read": (brightest[1], brightest[0]), "rows": (brightest[1], 255 - brightest[0]),
        "columns": (255 - brightest[1], brightest[0]), "both": (255 - brightest[1], 255 - brightest[0])}.items()}
    assert away["as read"] < 8 and min(away[n] for n in ("rows", "columns", "both")) > 15, away


# ---- other people's grids


@pytest.mark.parametrize("height", [90, 110, 150])
def test_gako_grids_are_reproduced(shared_data, gako, height):
    from scipy.io import readsav

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = readsav(next((shared_data / "themis_cdf").glob("*.sav")))["skymap"][0]
    level = list(record["FULL_MAP_ALTITUDE"] / 1e3).index(height)
    corners = [record[f"FULL_MAP_{w}"][level].astype(float) for w in ("LATITUDE", "LONGITUDE")]
    theirs = [(c[1:, 1:] + c[1:, :-1] + c[:-1, 1:] + c[:-1, :-1]) / 4 for c in corners]
    high = gako.elevation.values > 10
    ours = gako.sel(height_km=height)
    assert np.abs(ours.latitude.values - theirs[0])[high].max() < 0.02
    assert np.abs((ours.longitude.values - theirs[1] + 180) % 360 - 180)[high].max() < 0.02
    assert np.array_equal(np.isfinite(gako.elevation), np.asarray(record["FULL_ELEVATION"]) >= 0)


def test_gako_zenith_lies_over_the_station(gako):
    y, x = np.unravel_index(np.nanargmax(gako.elevation), gako.elevation.shape)
    zenith = gako.sel(height_km=110).isel(y=y, x=x)
    assert abs(zenith.latitude - 62.41) < 0.02 and abs(zenith.longitude + 145.16) < 0.02
    assert gako.station == "gako" and gako.valid_from.startswith("2011-03-05")


@pytest.mark.parametrize("name, model, free, worst_deg", [("gako", "polynomial", ("aspect",), 0.01), ("dasc", "equidistant", (), 0.02)])
def test_a_lens_fitted_to_400_pixels_gives_the_whole_skymap(request, name, model, free, worst_deg):
    skymap = request.getfixturevalue(name)
    places = np.argwhere(skymap.elevation.values > 5)
    places = places[np.random.default_rng(0).choice(len(places), 400, replace=False)]
    sky = np.stack([skymap[w].values[tuple(places.T)] for w in ("azimuth", "elevation")], 1)
    lens = fit_lens(places[:, ::-1], sky, skymap.elevation.shape, model, free)
    again = skymap_from_lens(lens, station_of(skymap))
    away = angular_distance(again.azimuth, again.elevation, skymap.azimuth, skymap.elevation)
    assert np.nanmax(np.where(skymap.elevation > 5, away, np.nan)) < worst_deg
    assert lens.mirrored == (name == "dasc")


def test_nearest_pixels_are_at_most_a_pixel_away(dasc):
    y, x, away = nearest_pixels(dasc, np.arange(0, 360, 7.0), np.full(52, 40.0))
    assert (away < 0.3).all()
    assert angular_distance(dasc.azimuth.values[y, x], dasc.elevation.values[y, x], np.arange(0, 360, 7.0), 40.0).max() < 0.3


# ---- the line of sight


def root_finder(azimuth, elevation, place, height_km):
    "Latitude and longitude by bisection along the line of sight, with a geodetic height found by fixed-point iteration."
    from scipy.optimize import brentq

    a, e2 = 6378137.0, 0.0066943799901413165
    lat, lon, az, el = np.radians([place.latitude, place.longitude, azimuth, elevation])
    normal = a / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    start = np.array([(normal + place.height_m) * np.cos(lat) * np.cos(lon), (normal + place.height_m) * np.cos(lat) * np.sin(lon),
                      (normal * (1 - e2) + place.height_m) * np.sin(lat)])
    east, north, up = np.cos(el) * np.sin(az), np.cos(el) * np.cos(az), np.sin(el)
    towards = np.array([-np.sin(lon) * east - np.sin(lat) * np.cos(lon) * north + np.cos(lat) * np.cos(lon) * up,
                        np.cos(lon) * east - np.sin(lat) * np.sin(lon) * north + np.cos(lat) * np.sin(lon) * up,
                        np.cos(lat) * north + np.sin(lat) * up])

    def geodetic(p):
        rho = np.hypot(p[0], p[1])
        latitude = np.arctan2(p[2], rho)
        for _ in range(40): latitude = np.arctan2(p[2] + e2 * a / np.sqrt(1 - e2 * np.sin(latitude) ** 2) * np.sin(latitude), rho)
        return latitude, rho * np.cos(latitude) + p[2] * np.sin(latitude) - a * np.sqrt(1 - e2 * np.sin(latitude) ** 2)

    point = start + towards * brentq(lambda s: geodetic(start + s * towards)[1] - height_km * 1e3, 0, 6e6, xtol=1e-7)
    return np.degrees(geodetic(point)[0]), np.degrees(np.arctan2(point[1], point[0]))


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 4000), st.floats(0, 360), st.floats(0, 90), st.floats(60, 600))
@settings(max_examples=300, deadline=None)
def test_line_of_sight_agrees_with_a_root_finder(latitude, longitude, height_m, azimuth, elevation, height_km):
    place = Station("any", latitude, longitude, height_m)
    ours, dense = aer_to_geodetic(azimuth, elevation, place, height_km), root_finder(azimuth, elevation, place, height_km)
    assert abs(ours[0] - dense[0]) < 1e-6
    assert abs((ours[1] - dense[1] + 180) % 360 - 180) * np.cos(np.radians(dense[0])) < 1e-6


def test_date_line_and_poles_make_whole_skymaps():
    for place in (Station("date", 66.0, 179.9), Station("north", 90.0, 0.0), Station("south", -90.0, 0.0)):
        skymap = skymap_from_lens(lens_for_sky((64, 64)), place, [110, 230])
        assert np.array_equal(np.isfinite(skymap.latitude[0]), np.isfinite(skymap.elevation))
        assert skymap.longitude.min() >= -180 and skymap.longitude.max() <= 180 and abs(skymap.latitude).max() <= 90
    assert skymap_from_lens(lens_for_sky((64, 64)), Station("date", 66.0, 179.9)).longitude.min() < -170


# ---- lens


@given(st.sampled_from(["equidistant", "equisolid", "stereographic"]), st.floats(0, 360), st.booleans(), st.floats(0.4, 1.3),
       st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_fit_finds_any_lens_with_wrong_stars(model, rotation, mirrored, scale, seed):
    random = np.random.default_rng(seed)
    truth = Lens((480, 640), (random.uniform(250, 390), random.uniform(180, 300)), 150 * scale, model, rotation, mirrored)
    sky = np.stack([random.uniform(0, 360, 24), np.degrees(np.arcsin(random.uniform(0.15, 1, 24)))], 1)
    pixels = np.stack(truth.sky_to_pixel(*sky.T), 1) + random.normal(0, 0.2, (24, 2))
    pixels[:4] += random.uniform(30, 90, (4, 2)) * random.choice([-1, 1], (4, 2))
    lens = fit_lens(pixels, sky, truth.shape, model)
    assert lens.mirrored == mirrored and not lens.report.used[:4].any() and lens.report.used[4:].sum() >= 18
    assert angular_distance(*lens.pixel_to_sky(*pixels[4:].T), *sky[4:].T).max() < 1


# ---- files


def synthetic_level2(path, azimuth, elevation):
    from cdflib.cdfwrite import CDF

    file = CDF(path, cdf_spec={"Majority": "row_major"}, delete=True)

    def write(name, data, kind, sizes=()):
        data = np.asarray(data)
        file.write_var({"Variable": name, "Data_Type": kind, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(sizes),
                        "Compress": 5}, var_data=data)

    write("thg_asf_gill_azim", np.stack([azimuth + 5, azimuth]).astype("f4"), CDF.CDF_REAL4, azimuth.shape)
    write("thg_asf_gill_elev", np.stack([elevation] * 2).astype("f4"), CDF.CDF_REAL4, azimuth.shape)
    write("thg_asf_gill_time", np.array(["2007-01-01", "2010-06-01"], "M8[s]").astype("f8"), CDF.CDF_REAL8)
    for name, value in dict(glat=56.354, glon=265.344, alti=60.0).items(): write(f"thg_asc_gill_{name}", [value], CDF.CDF_REAL4)
    file.close()
    return path


def test_themis_level2_skymap(tmp_path):
    truth = skymap_from_lens(lens_for_sky((64, 64), rotation_deg=180), "gill")
    path = synthetic_level2(tmp_path / "thg_l2_asc_gill_19700101_v01.cdf", truth.azimuth.values, truth.elevation.values)
    skymap = open_skymap(path)
    assert skymap.station == "gill" and skymap.pixel_order == "themis_cdf" and skymap.valid_from.startswith("2010-06-01")
    assert abs(skymap.station_longitude + 94.656) < 1e-4 and skymap.station_height_m == 60
    assert list(skymap.height_km.values) == [90, 110, 150]
    assert np.nanmax(angular_distance(skymap.azimuth, skymap.elevation, truth.azimuth, truth.elevation)) < 1e-4
    older = open_skymap(path, time="2008-01-01", height_km=120)
    assert older.valid_from.startswith("2007") and abs(older.azimuth[10, 32] - (truth.azimuth[10, 32] + 5) % 360) < 1e-3
    for size in (0, 8, 500, 3000, path.stat().st_size // 2):
        (tmp_path / "cut.cdf").write_bytes(path.read_bytes()[:size])
        with pytest.raises(FileProblem): open_skymap(tmp_path / "cut.cdf")


def test_frames_are_not_a_skymap(shared_data):
    with pytest.raises(FileProblem, match="open_allsky"): open_skymap(shared_data / "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf")


@pytest.fixture(scope="module")
def sav_bytes(shared_data):
    return next((shared_data / "themis_cdf").glob("*.sav")).read_bytes()


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_sav_never_hangs(sav_bytes, tmp_path, data):
    damaged = bytearray(sav_bytes[:data.draw(st.sampled_from([len(sav_bytes), len(sav_bytes), 40, 5000, 400_000]))])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(damaged), data.draw(st.sampled_from([200, 8000, 3_000_000]))) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.sav").write_bytes(damaged)
    try:
        skymap = open_skymap(tmp_path / "damaged.sav", height_km=110)
    except FileProblem as problem:
        assert "damaged.sav" in str(problem)
    else:
        assert skymap.azimuth.ndim == 2


def test_dasc_pair_is_told_apart_by_content(shared_data, dasc, tmp_path):
    paths = [shared_data / f"dasc_fits/PKR_DASC_0558_20150213_{w}.FIT" for w in ("El", "Az")]
    xr.testing.assert_equal(open_skymap(paths), dasc)
    assert dasc.station == "pkr" and dasc.valid_from.startswith("2015-02-13") and dasc.elevation.max() > 89.5
    assert np.isnan(dasc.azimuth.values[0, 0]) and np.isnan(dasc.latitude.values[0, 0, 0])
    with pytest.raises(FileProblem, match="a pair"): open_skymap(paths[0])
    with pytest.raises(FileProblem, match="one azimuth and one elevation"): open_skymap([paths[0], paths[0]])
    (tmp_path / "cut_Az.FIT").write_bytes(paths[1].read_bytes()[:9000])
    with pytest.raises(FileProblem, match="cut_Az"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_skymap([paths[0], tmp_path / "cut_Az.FIT"])


def test_netcdf_keeps_everything(gako, tmp_path):
    xr.testing.assert_identical(open_skymap(save_skymap(gako, tmp_path / "gako.nc")), gako)
    (tmp_path / "cut.nc").write_bytes((tmp_path / "gako.nc").read_bytes()[:5000])
    with pytest.raises(FileProblem, match="cut.nc"): open_skymap(tmp_path / "cut.nc")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(FileProblem, match="save_skymap"): open_skymap(tmp_path / "other.nc")


# ---- magnetic


@pytest.mark.parametrize("height", [0, 110, 230])
def test_magnetic_coordinates_are_those_of_the_height(gako, height):
    there = magnetic_coordinates(gako.latitude[1], gako.longitude[1], height, "2011-03-05")
    sky = np.isfinite(gako.latitude.values[1])
    theirs = aacgmv2.convert_latlon_arr(gako.latitude.values[1][sky], gako.longitude.values[1][sky], height,
                                        pd.Timestamp("2011-03-05").to_pydatetime())
    assert there[0].dims == ("y", "x") and np.array_equal(np.isfinite(there[0]), sky)
    np.testing.assert_array_equal(there[0].values[sky], theirs[0])
    np.testing.assert_array_equal(there[1].values[sky], theirs[1])


def test_local_time_of_a_season_agrees_with_aacgmv2():
    times = np.datetime64("2010-11-01T00:00:30", "ns") + np.arange(250_000) * np.timedelta64(60, "s")
    longitude = np.linspace(-180, 180, 250_000)
    ours, some = magnetic_local_time(longitude, times), np.arange(0, 250_000, 499)
    theirs = aacgmv2.convert_mlt(longitude[some], list(pd.DatetimeIndex(times[some]).to_pydatetime()))
    assert np.abs((ours[some] - theirs + 12) % 24 - 12).max() < 1e-3
    assert ours.min() >= 0 and ours.max() < 24


@given(st.floats(55, 85), st.floats(-180, 180), st.booleans())
@settings(max_examples=100, deadline=None)
def test_there_and_back(latitude, longitude, south):
    latitude = -latitude if south else latitude
    there = magnetic_coordinates(latitude, longitude, 110, "2015-06-01")
    if np.isnan(there[0]) or abs(there[0]) > 89.5 or abs(there[0]) < 40: return
    back = magnetic_to_geographic(*there, 110, "2015-06-01")
    assert angular_distance(back[1], back[0], longitude, latitude) < 0.05


def test_the_magnetic_equator_is_nan_and_jang_bogo_is_not():
    equator = with_magnetic(skymap_from_lens(lens_for_sky((32, 32)), Station("equator", 5.0, 0.0)), time="2015-01-01")
    assert np.isnan(equator.magnetic_latitude.values[0][equator.elevation.values > 30]).all()
    with pytest.raises(AuroraError, match="no pixel with magnetic coordinates"): magnetic_cells(equator, min_elevation_deg=30)
    south = with_magnetic(skymap_from_lens(lens_for_sky((32, 32)), "jbs"), 110, "2019-06-01")
    assert np.array_equal(np.isfinite(south.magnetic_latitude[0]), np.isfinite(south.elevation))
    assert -83 < south.magnetic_latitude.values[0, 16, 16] < -78


# ---- cells


@given(st.integers(1, 900), st.floats(0, 60), st.floats(0, 360), st.booleans())
@settings(max_examples=60, deadline=None)
def test_cells_cover_the_sky_once(count, lowest, rotation, mirrored):
    skymap = skymap_from_lens(lens_for_sky((96, 96), rotation_deg=rotation, mirrored=mirrored), "gill")
    cells = equal_area_cells(skymap, count, lowest)
    total, elevation = cells.sizes["cell_index"], skymap.elevation.values
    assert abs(total - count) <= max(2, count**0.5 / 2 + 1)
    assert np.array_equal(cells.cell.values >= 0, np.nan_to_num(np.sin(np.radians(elevation)), nan=-1) >= np.sin(np.radians(lowest)))
    assert int(cells.pixel_count.sum()) == (cells.cell.values >= 0).sum()
    assert abs(float(cells.solid_angle_sr.sum()) - 2 * np.pi * (1 - np.sin(np.radians(lowest)))) < 1e-9
    inside = cells.cell.values >= 0
    west, east = cells.azimuth_edges.values[cells.cell.values[inside]].T
    assert (((skymap.azimuth.values[inside] - west + 1e-9) % 360) <= east - west + 2e-9).all()


def test_cell_mean_is_the_mean_of_each_cell(gako):
    random = np.random.default_rng(3)
    image = xr.DataArray(random.normal(100, 10, (4, 256, 256)).astype("f4"), dims=("time", "y", "x"))
    image.values[random.random(image.shape) < 0.2] = np.nan
    for cells in (equal_area_cells(gako), magnetic_cells(gako)):
        means = cell_mean(image, cells).values
        for index in range(0, cells.sizes["cell_index"], 37):
            picked = image.values[:, cells.cell.values == index]
            if picked.size: np.testing.assert_allclose(means[:, index], np.nanmean(picked, axis=1), rtol=1e-5)
    lazy = cell_mean(image.chunk(time=1, y=100), equal_area_cells(gako))
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.compute(), cell_mean(image, equal_area_cells(gako)))
