"Facts of the pictures: where the brightest pixel of a rendered figure lies, what is written where, and no network."
import io
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import xarray as xr

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import ListedColormap  # noqa: E402

from aurora_nb.core import AuroraError  # noqa: E402
from aurora_nb.geometry.cells import equal_area_cells, magnetic_cells  # noqa: E402
from aurora_nb.geometry.geomagnetic import magnetic_local_time, magnetic_north_azimuth, station_magnetic  # noqa: E402
from aurora_nb.geometry.lens import Lens, to_vector  # noqa: E402
from aurora_nb.geometry.skymap import aer_to_geodetic, open_skymap, skymap_from_lens  # noqa: E402
from aurora_nb.plots import maps  # noqa: E402
from aurora_nb.plots.allsky import plot_fisheye  # noqa: E402
from aurora_nb.plots.keogram import plot_keogram  # noqa: E402
from aurora_nb.plots.maps import dial_axes, dial_place, map_axes, plot_magnetic_polar, plot_map  # noqa: E402
from aurora_nb.plots.occurrence import plot_local_time, plot_occurrence_panels, plot_occurrence_polar  # noqa: E402
from aurora_nb.processing.keogram import keogram  # noqa: E402
from aurora_nb.frames import build_frames  # noqa: E402
from aurora_nb.stations import Station, find_station  # noqa: E402

GREEN = ListedColormap([(0, 0, 0), (0, 1, 0)])  # one spot of pure green, which no text or coast has
CAMERAS = {"turned": dict(rotation_deg=35.0), "mirrored": dict(mirrored=True), "leaning": dict(tilt_deg=4.0, tilt_azimuth_deg=70.0)}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    import socket

    def refuse(*arguments, **options): raise AssertionError("a figure asked for the network")
    for name in ("connect", "connect_ex"): monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def camera(station="gill", size=160, **options):
    lens = Lens((size, size), ((size - 1) / 2, (size - 1) / 2), size / np.pi, **options)
    return skymap_from_lens(lens, station, 110.0, valid_from="2014-01-01")


def star(skymap, azimuth, elevation, width_deg=1.5):
    "A picture that is 1 around a direction and 0 elsewhere."
    away = to_vector(skymap.azimuth.values, skymap.elevation.values) @ to_vector(azimuth, elevation)
    return np.where(away > np.cos(np.radians(width_deg)), 1.0, 0.0)


def spot(ax):
    "Where the pure green of the rendered figure lies, in data coordinates."
    ax.figure.canvas.draw()
    red, green, blue, _ = np.moveaxis(np.asarray(ax.figure.canvas.buffer_rgba()).astype(int), -1, 0)
    y, x = np.nonzero((green > 250) & (red < 5) & (blue < 5))
    assert len(x), "the spot was not drawn"
    return ax.transData.inverted().transform((x.mean() + 0.5, len(green) - y.mean() - 0.5))


def drawn(plot, *arguments, **options):
    ax = plot(*arguments, colors=GREEN, limits=(0, 1), **options)
    return spot(ax)


@pytest.mark.parametrize("kind", CAMERAS)
@pytest.mark.parametrize("azimuth", [0, 90, 200, 300])
def test_the_sky_has_east_on_the_left(kind, azimuth):
    skymap = camera(**CAMERAS[kind])
    x, y = drawn(plot_fisheye, star(skymap, azimuth, 50), skymap, orient="sky")
    assert (x, y) == pytest.approx((-40 * np.sin(np.radians(azimuth)), 40 * np.cos(np.radians(azimuth))), abs=0.8)


@pytest.mark.parametrize("kind", CAMERAS)
def test_a_stored_picture_stays_as_it_is_and_its_marks_follow_the_skymap(kind):
    skymap = camera(**CAMERAS[kind])
    picture = star(skymap, 90, 50)
    ax = plot_fisheye(picture, skymap, colors=GREEN, limits=(0, 1))
    row, column = (each.mean() for each in np.nonzero(picture))
    assert spot(ax) == pytest.approx((column, row), abs=0.6)
    for text in ax.texts:
        if text.get_text() not in "NESW": continue
        x, y = (int(round(each)) for each in text.get_position())
        off = (float(skymap.azimuth[y, x]) - 90 * "NESW".index(text.get_text()) + 180) % 360 - 180
        assert abs(off) < 3 and float(skymap.elevation[y, x]) < 15


def test_magnetic_north_is_up():
    skymap = camera("gako")
    north = magnetic_north_azimuth("gako", 110, "2014-03-10")
    picture = xr.DataArray(star(skymap, north, 40), dims=("y", "x"), coords={"time": np.datetime64("2014-03-10T10", "ns")})
    x, y = drawn(plot_fisheye, picture, skymap, orient="sky", north="magnetic")
    assert (x, y) == pytest.approx((0, 50), abs=0.8)


PLACES = {"gill": ("gill", 1), "date line": (Station("east", 66.0, 179.9), 1), "north pole": (Station("pole", 89.9, 10.0), 1),
          "south pole": (Station("sout", -89.99, 0.0), -1), "jang bogo": ("jbs", -1)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("azimuth", [10, 90, 230])
def test_the_map_puts_a_star_where_it_is(place, azimuth):
    import cartopy.crs as ccrs

    station = find_station(PLACES[place][0])
    skymap = camera(station, 256)
    ax = map_axes(station.latitude, station.longitude, 500)
    x, y = drawn(plot_map, star(skymap, azimuth, 40, 1.0), skymap, ax)
    latitude, longitude = aer_to_geodetic(azimuth, 40.0, station, 110.0)
    expected = ax.projection.transform_point(longitude, latitude, ccrs.PlateCarree())
    assert np.hypot(*np.subtract((x, y), expected)) < 4000  # metres


def test_east_is_right_on_the_map_and_left_in_the_sky():
    skymap = camera()
    picture = star(skymap, 90, 40)
    assert drawn(plot_fisheye, picture, skymap, orient="sky")[0] < -40
    assert drawn(plot_map, picture, skymap)[0] > 100_000


def test_pixels_across_the_date_line_are_not_smeared_over_the_world():
    import cartopy.crs as ccrs

    skymap = camera(Station("east", 66.0, 179.9))
    ax = map_axes(0, 0, 20_000, projection=ccrs.PlateCarree(), grid_labels=False, coastline=False)
    ax.set(ylim=(-90, 90))
    plot_map(np.ones(skymap.azimuth.shape), skymap, ax, colors=GREEN, limits=(0, 1))
    ax.figure.canvas.draw()
    red, green, blue, _ = np.moveaxis(np.asarray(ax.figure.canvas.buffer_rgba()).astype(int), -1, 0)
    y, x = np.nonzero((green > 250) & (red < 5) & (blue < 5))
    longitude = ax.transData.inverted().transform(np.column_stack([x, y]))[:, 0]
    assert len(longitude) and np.abs(longitude).min() > 160 and longitude.min() < 0 < longitude.max()


@pytest.mark.parametrize("station", ["gill", "jbs"])
def test_dawn_is_dawn_on_the_dial(station):
    skymap = camera(station, 128)
    magnetic_latitude, magnetic_longitude = station_magnetic(station, 110, "2014-07-01")
    day = np.datetime64("2014-06-21T00", "ns") + np.arange(1440) * np.timedelta64(1, "m")
    hours = magnetic_local_time(magnetic_longitude, day)
    for hour, side in ((6, (1, 0)), (12, (0, 1)), (18, (-1, 0)), (0.02, (0, -1))):
        time = day[np.argmin(abs(hours - hour))]
        x, y = drawn(plot_magnetic_polar, star(skymap, 0, 89.5, 25), skymap, time, coastline=False)
        assert (x, y) == pytest.approx(np.multiply(90 - abs(magnetic_latitude), side), abs=0.7)
    turned = drawn(plot_magnetic_polar, star(skymap, 0, 89.5, 25), skymap, time, up="station", coastline=False)
    assert turned == pytest.approx((0, 90 - abs(magnetic_latitude)), abs=0.7)


def test_the_coast_turns_under_the_dial():
    axs = [dial_axes(50) for _ in range(2)]
    for ax, hour in zip(axs, ("06", "12")): maps.add_magnetic_coastline(ax, f"2014-03-10T{hour}:00")
    first, second = (ax.patches[-1].get_path().vertices for ax in axs)
    moved = np.hypot(*first.T) > 5
    turn = np.degrees(np.arctan2(second[:, 1], second[:, 0]) - np.arctan2(first[:, 1], first[:, 0]))[moved] % 360
    assert np.median(turn) == pytest.approx(90, abs=3)  # six hours, anticlockwise


@pytest.mark.parametrize("station", ["gill", "jbs"])
def test_a_keogram_has_north_up_and_says_where_the_pole_is(station):
    skymap = camera(station, 96)
    times = np.datetime64("2014-06-21T06", "ns") + np.arange(6) * np.timedelta64(60, "s")
    picture = star(skymap, magnetic_north_azimuth(station, 110, "2014-06-21"), 50, 6)
    made = keogram(build_frames(np.stack([picture * 1000] * 6).astype("u2"), times, station=station), skymap)
    ax = plot_keogram(made, colors=GREEN, limits=(0, 1000), colorbar=False, up="elevation")
    assert spot(ax)[1] == pytest.approx(40, abs=3)  # degrees from the zenith, north positive
    assert any("poleward" in text.get_text() for text in ax.texts) == (station == "jbs")


def rates_on(cells, values):
    shape = (24, cells.sizes["cell_index"])
    hours = np.arange(24) + 0.5
    values = np.broadcast_to(values, shape)
    seen = np.full(shape, 100)
    seen[3] = 0
    rate = np.where(seen > 0, values, np.nan)
    data = dict(rate=rate, lower=rate, upper=rate, auroral_count=(values * seen).astype(int), usable_count=seen, nights=seen // 10)
    return xr.Dataset({name: (("local_time", "cell_index"), each) for name, each in data.items()},
                      {"local_time": hours, "cell_index": cells.cell_index.values}, {"bin_minutes": 60.0})


@pytest.mark.parametrize("station,up", [("gill", "poleward"), ("jbs", "equatorward")])
def test_panels_have_magnetic_north_up_and_mark_the_pole(station, up):
    cells = equal_area_cells(camera(station, 96), 400, north="magnetic")
    north = np.cos(np.radians(cells.azimuth.values - cells.north_azimuth_deg))
    east = np.sin(np.radians(cells.azimuth.values - cells.north_azimuth_deg))
    for values, side in (((north > 0.98) & (cells.elevation.values < 30), (0, 1)),
                         ((east > 0.98) & (cells.elevation.values < 30), (-1, 0))):
        axs = plot_occurrence_panels(rates_on(cells, values.astype(float)), cells, colors=GREEN, limits=(0, 1))
        place = spot_in(axs[1, 1])
        assert place / np.hypot(*place) == pytest.approx(side, abs=0.1)
    heights = {text.get_text(): text.get_position()[1] for text in axs[0, 0].texts}
    assert max(heights, key=heights.get) == up and axs.shape == (4, 6)
    assert "not observed" in axs[0, 3].get_title() and "100 frames, 10 nights" in axs[0, 2].get_title()


def spot_in(ax):
    "Like `spot`, within one panel of many."
    ax.figure.canvas.draw()
    image = np.asarray(ax.figure.canvas.buffer_rgba()).astype(int)
    left, bottom, width, height = (int(each) for each in ax.get_window_extent().bounds)
    panel = image[len(image) - bottom - height:len(image) - bottom, left:left + width]
    y, x = np.nonzero((panel[..., 1] > 250) & (panel[..., 0] < 5) & (panel[..., 2] < 5))
    return ax.transData.inverted().transform((left + x.mean(), bottom + height - y.mean()))


def test_an_unobserved_hour_is_no_zero():
    cells = equal_area_cells(camera(size=96), 400, north="magnetic")
    rates = rates_on(cells, 0.5)
    ax = plot_occurrence_panels(rates, cells)[0, 3]
    assert ax.collections[0].get_hatch() and ax.collections[0].get_array() is None
    curve, _ = plot_local_time(rates.isel(cell_index=0, drop=True))
    assert np.isnan(curve.patches[0].get_data().values[3])


@pytest.mark.parametrize("station", ["gill", "jbs"])
def test_dawn_is_dawn_on_the_occurrence_dial(station):
    cells = magnetic_cells(camera(station, 96), 110)
    values = (np.abs(np.arange(24) - 5.5) < 1)[:, None] * np.ones(cells.sizes["cell_index"])
    ax = plot_occurrence_polar(rates_on(cells, values), cells, colors=GREEN, limits=(0, 1))
    x, y = spot_in(ax)
    assert x > 5 and abs(y) < 1
    assert any(text.get_text().startswith("-") for text in ax.texts) == (station == "jbs")


def test_figures_of_a_season_and_of_colour_do_not_fail_on_nan():
    skymap = camera(size=64)
    colour = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype("u1")
    broken = np.where(np.random.default_rng(0).random((64, 64)) < 0.3, np.nan, 1.0)
    for picture in (colour, broken, np.full((64, 64), np.nan)):
        for orient in ("pixels", "sky"): plot_fisheye(picture, skymap, orient=orient).figure.savefig(io.BytesIO())
        plot_map(picture, skymap).figure.savefig(io.BytesIO())
        plot_magnetic_polar(picture, skymap, "2014-03-10T06:00").figure.savefig(io.BytesIO())


def test_a_fine_picture_has_no_holes_on_a_small_dial():
    ax = plot_magnetic_polar(np.ones((512, 512)), camera(size=512), "2014-03-10T06:00", colors=GREEN, limits=(0, 1), coastline=False)
    ax.figure.canvas.draw()
    red, green, blue, _ = np.moveaxis(np.asarray(ax.figure.canvas.buffer_rgba()).astype(int), -1, 0)
    seen = (green > 250) & (red < 5) & (blue < 5)
    y, x = (int(np.median(each)) for each in np.nonzero(seen))
    assert seen[y - 8:y + 9, x - 8:x + 9].mean() > 0.8  # but for the graticule


def test_plain_axes_become_a_map():
    skymap = camera(size=64)
    assert hasattr(plot_map(np.ones((64, 64)), skymap, plt.figure().gca()), "projection")
    with pytest.raises(AuroraError, match="expected one frame"): plot_map(np.ones((3, 64, 64)), skymap)


def test_a_real_skymap_has_north_where_its_marks_say(shared_data):
    skymap = open_skymap(shared_data / "themis_cdf/themis_skymap_gako_20110305-+_vXX.sav", height_km=110)
    x, y = drawn(plot_fisheye, star(skymap, 45, 40, 2.0), skymap, orient="sky")
    assert (x, y) == pytest.approx((-50 * np.sqrt(0.5), 50 * np.sqrt(0.5)), abs=1)
    import cartopy.crs as ccrs
    ax = map_axes(skymap.station_latitude, skymap.station_longitude, 500)
    place = ccrs.PlateCarree().transform_point(*drawn(plot_map, star(skymap, 45, 40, 2.0), skymap, ax), ax.projection)
    latitude, longitude = aer_to_geodetic(45.0, 40.0, Station("gako", 62.407, -145.158), 110.0)
    assert place == pytest.approx((longitude, latitude), abs=0.06)


def test_importing_plots_stays_light():
    code = "import sys, aurora_nb.plots.occurrence; print([m for m in ('matplotlib', 'cartopy', 'shapely') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_dial_is_the_same_through_the_earth():
    assert dial_place(-75.0, 6.0) == pytest.approx(dial_place(75.0, 6.0))
