"""What is put into a simulated sky comes out of file, reader, skymap, keogram and occurrence map where it was put."""
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import uniform_filter

from aurora_nb.geometry.cells import magnetic_cells
from aurora_nb.geometry.geomagnetic import magnetic_coordinates, magnetic_local_time, with_magnetic
from aurora_nb.geometry.skymap import aer_to_geodetic, match_skymap, open_skymap, save_skymap, station_of
from aurora_nb.occurrence.rates import occurrence_map
from aurora_nb.processing.keogram import keogram
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.pictures import Pictures
from aurora_nb.simulate.camera import camera_preset, skymap_for
from aurora_nb.simulate.emission import Patch, StationaryArc
from aurora_nb.simulate.files import write_azimuth_elevation, write_dasc_fits, write_pgm, write_pictures, write_themis_cdf
from aurora_nb.simulate.night import simulate_night, winter_of

FORMATS = ["pgm", "cdf to 2023", "cdf from 2024", "fits", "jpeg", "jpeg south"]
PLACE = {"fits": ("pkr", "dasc", "2015-01-20T09:00"), "jpeg": ("gill", "colour", "2015-01-20T06:00"),
         "jpeg south": ("jbs", "colour", "2015-06-20T08:00")}


def through_files(kind, forms, folder, duration="4min", cadence="1min", start=None, **options):
    "Frames and their skymap, simulated, written as `kind`, and read as a user reads them."
    station, camera, moment = PLACE.get(kind, ("gill", "themis", "2015-01-20T06:00"))
    camera = camera_preset(camera, size=256)
    made = simulate_night(station, start or moment, duration, cadence, forms=forms, camera=camera, seed=7,
                          **{"heights": "shell", "stars": False} | options)  # no planet shall pass for the arc
    truth_map, reader = skymap_for(camera, station), None
    if kind == "pgm": write_pgm(made, folder / "frames")
    elif kind.startswith("cdf"): write_themis_cdf(made, folder / "frames", "epoch" if kind == "cdf to 2023" else "time")
    elif kind == "fits": write_dasc_fits(made, folder / "frames")
    else:
        write_pictures(made, folder / "frames")
        reader = Pictures(station=station)
    skymap_file = (write_azimuth_elevation(truth_map, folder, "2015-01-01") if kind == "fits"
                   else save_skymap(truth_map, folder / "skymap.nc"))
    frames = open_allsky(folder / "frames", reader=reader)
    assert frames.attrs["problem_files"] == {}
    assert frames.sizes["time"] == made.sizes["time"]
    assert np.abs(frames.time.values - made.time.values).max() <= np.timedelta64(1, "ms")
    return frames, match_skymap(frames, open_skymap(skymap_file))


def luminance(frames):
    "Grey image (time, y, x) above its median, float."
    image = frames.image.astype(float)
    if "band" in image.dims: image = image.sel(band="green")
    return image - image.median(("y", "x"))


def middle(position, brightness):
    "Centre of a peak: mean position of what is brighter than half."
    brightness = np.nan_to_num(brightness - np.nanmedian(brightness))
    weight = np.clip(brightness - 0.5 * brightness.max(), 0, None)
    return float((weight * position).sum() / weight.sum())


@pytest.mark.parametrize("kind", FORMATS)
def test_arc_is_at_its_latitude(kind, tmp_path):
    planted = 79.0 if kind == "jpeg south" else 67.0
    sign = -1 if kind == "jpeg south" else 1
    frames, skymap = through_files(kind, [StationaryArc(planted, 0.4)], tmp_path)

    drawn = keogram(frames, skymap, axis="magnetic", height_km=110)
    brightness = drawn.brightness.sel(band="green") if "band" in drawn.dims else drawn.brightness
    in_keogram = middle(drawn.magnetic_latitude.values, brightness.median("time").values)
    assert in_keogram == pytest.approx(sign * planted, abs=0.1)

    light = luminance(frames).median("time").where(skymap.elevation > 30)
    masks = light > 0.5 * light.quantile(0.99)
    masks = masks.expand_dims(time=frames.time).transpose("time", "y", "x").assign_attrs(station=skymap.station)
    cells = magnetic_cells(skymap, 110, latitude_step_deg=0.2, longitude_step_deg=2, min_elevation_deg=30,
                           time=frames.time.values[0])
    rates = occurrence_map(masks, skymap, cells, local_time_bins=24)
    lit = rates.rate.max("local_time").fillna(0).values
    in_map = float((lit * cells.magnetic_latitude.values).sum() / lit.sum())
    assert in_map == pytest.approx(sign * planted, abs=0.1)


@pytest.mark.parametrize("station,moment", [("gill", "2015-01-20T06:00"), ("jbs", "2015-06-20T08:00")])
def test_light_along_field_lines_is_at_its_latitude(station, moment):
    "Read at the height of its brighter half, between the profile's peak (110 km) and median (124 km), an arc is where it was put."
    planted, sign = (79.0, -1) if station == "jbs" else (67.0, 1)
    camera = replace(camera_preset("themis"), lines=((0, 1, 0, 0),))  # 557.7 nm alone
    made = simulate_night(station, moment, "4min", forms=[StationaryArc(planted, 0.4)], camera=camera, stars=False,
                          truths=["aurora"])
    drawn = keogram(made.assign(image=made.aurora), skymap_for(camera, station), axis="magnetic", height_km=117)
    found = middle(drawn.magnetic_latitude.values, drawn.brightness.median("time").values)
    assert found == pytest.approx(sign * planted, abs=0.1)


@pytest.mark.parametrize("station,moment", [("gill", "2015-01-20T06:00"), ("pkr", "2015-10-07T10:00"), ("jbs", "2015-06-20T08:00")])
def test_field_line_overhead_is_a_point(station, moment):
    "A thin column whose field line passes the camera is a spot at the IGRF magnetic zenith, one beside it a ray that points there."
    from aurora_nb.geometry.lens import angular_distance
    from aurora_nb.simulate.fieldlines import magnetic_zenith

    azimuth, elevation = (float(angle) for angle in magnetic_zenith(station, winter_of(moment, station)))
    latitude, longitude = aer_to_geodetic(azimuth, elevation, station, 110)
    magnetic_latitude, magnetic_longitude = magnetic_coordinates(float(latitude), float(longitude), 110, winter_of(moment, station))
    skymap, column = skymap_for("themis", station), Patch(abs(magnetic_latitude), magnetic_longitude, 0.03, 20_000, energy_kev=0.5)
    light = simulate_night(station, moment, "1min", forms=[column], stars=False, truths=["aurora"]).aurora.values[0]
    bright = light > 0.5 * light.max()
    away = angular_distance(skymap.azimuth.values[bright], skymap.elevation.values[bright], azimuth, elevation)
    assert away.max() < 2.5 and np.average(away, weights=light[bright]) < 1.5


def eastern_spot(station, elevation, time, width_deg=0.3):
    "A patch that stands due east of a station."
    latitude, longitude = aer_to_geodetic(90.0, elevation, station, 110)
    magnetic_latitude, magnetic_longitude = magnetic_coordinates(float(latitude), float(longitude), 110,
                                                                 winter_of(time, station))
    return Patch(abs(magnetic_latitude), magnetic_longitude, width_deg, 20_000), float(latitude), float(longitude)


@pytest.mark.parametrize("kind", FORMATS)
def test_east_is_east(kind, tmp_path):
    station, _, moment = PLACE.get(kind, ("gill", "themis", "2015-01-20T06:00"))
    spot, latitude, longitude = eastern_spot(station, 45.0, moment)
    frames, skymap = through_files(kind, [spot], tmp_path)
    light = uniform_filter(luminance(frames).median("time").values, 5)
    light = np.where(skymap.elevation > 10, light, 0)
    bright = light > 0.5 * light.max()
    mean = {name: float(skymap[name].values.reshape(-1, *bright.shape)[0][bright].mean())
            for name in ("azimuth", "elevation", "latitude", "longitude")}
    assert mean["azimuth"] == pytest.approx(90, abs=1)
    assert mean["elevation"] == pytest.approx(45, abs=2)
    assert (mean["longitude"] - station_of(skymap).longitude + 180) % 360 - 180 > 0.5
    assert mean["longitude"] == pytest.approx(longitude, abs=0.1)
    assert mean["latitude"] == pytest.approx(latitude, abs=0.1)


def brightest_place(figure, axes):
    "Data coordinates of what a drawing shows in pure yellow, the top of the colour map `spring`."
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba()).astype(int)
    rows, columns = np.nonzero((picture[..., 0] > 240) & (picture[..., 1] > 200) & (picture[..., 2] < 60))
    assert len(rows), "nothing bright was drawn"
    return axes.transData.inverted().transform((columns.mean(), picture.shape[0] - rows.mean()))


@pytest.mark.parametrize("station", ["gill", "jbs"])
def test_east_is_right_on_the_map(station):
    import matplotlib.pyplot as plt
    from aurora_nb.plots.maps import plot_map

    moment = "2015-06-20T08:00" if station == "jbs" else "2015-01-20T06:00"
    spot, latitude, longitude = eastern_spot(station, 45.0, moment)
    frames = simulate_night(station, moment, "1min", forms=[spot], stars=False, heights="shell")
    axes = plot_map(frames.image[0], skymap_for("themis", station), colors="spring")
    import cartopy.crs as ccrs

    place = station_of(skymap_for("themis", station))
    spot_x, spot_y = brightest_place(axes.figure, axes)
    home_x, _ = axes.projection.transform_point(place.longitude, place.latitude, ccrs.PlateCarree())
    expected = axes.projection.transform_point(longitude, latitude, ccrs.PlateCarree())
    assert spot_x > home_x
    assert np.hypot(spot_x - expected[0], spot_y - expected[1]) < 0.25 * abs(expected[0] - home_x)
    plt.close(axes.figure)


DAWNS = {"gill": ("2015-01-20T09:00", "6h", 67.0), "jbs": ("2015-06-20T00:00", "24h", 79.0)}


@pytest.mark.parametrize("station", ["gill", "jbs"])
def test_dawn_is_dawn(station):
    import matplotlib.pyplot as plt
    from aurora_nb.plots.maps import dial_place, plot_magnetic_polar

    start, duration, latitude = DAWNS[station]
    camera = camera_preset("themis", size=96)
    dawn = StationaryArc(latitude, 1.0, 20_000, local_time=6, local_time_width_hours=0.4)
    frames = simulate_night(station, start, duration, "2min", forms=[dawn], camera=camera, stars=False, heights="shell")
    skymap = skymap_for(camera, station)
    cells = magnetic_cells(skymap, 110, latitude_step_deg=0.5, longitude_step_deg=3, min_elevation_deg=30, time=start)
    rates = occurrence_map(frames.truth.assign_attrs(station=station), skymap, cells, local_time_bins=240)
    lit = rates.auroral_count.sum("cell_index")
    angle = np.exp(1j * np.pi / 12 * lit.local_time)
    found = float(np.angle((lit * angle).sum()) * 12 / np.pi) % 24
    assert found == pytest.approx(6, abs=0.1)
    assert int(lit.sel(local_time=slice(12, 24)).sum()) == 0

    overhead = frames.truth.where(skymap.elevation > 30, False)
    brightest = int(overhead.sum(("y", "x")).argmax("time"))
    time = frames.time.values[brightest]
    hours = magnetic_local_time(with_magnetic(skymap, 110, start).magnetic_longitude[0].values, time)
    seen = overhead.values[brightest]
    assert np.median(hours[seen]) == pytest.approx(6, abs=0.5)
    axes = plot_magnetic_polar(frames.image[brightest], skymap, time, up="noon", colors="spring", coastline=False)
    place = brightest_place(axes.figure, axes)
    expected = dial_place(latitude, 6.0, 12.0)
    assert place[0] > 0                                    # noon up: dawn is right, dusk is left
    assert np.hypot(*(place - np.array(expected))) < 3     # degrees on the dial
    plt.close(axes.figure)


def test_truth_masks_come_back(tmp_path):
    from aurora_nb.simulate.files import open_truth, save_truth

    made = simulate_night("gill", "2015-01-20T06:00", "3min", camera="compact", seed=1)
    truth = open_truth(save_truth(made, tmp_path / "truth.nc"))
    xr.testing.assert_equal(truth.drop_attrs(), made.truth.drop_attrs())
    assert truth.attrs["truth_rayleigh"] == 1000
