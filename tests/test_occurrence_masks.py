"Masks to maps: the same counts whatever the masks are kept in, boundaries and areas of known arcs, ratios, both figures."
import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from aurora_nb.core import AuroraError  # noqa: E402
from aurora_nb.geometry.cells import cell_mean, equal_area_cells, magnetic_cells  # noqa: E402
from aurora_nb.geometry.lens import lens_for_sky  # noqa: E402
from aurora_nb.geometry.skymap import open_skymap, skymap_from_lens  # noqa: E402
from aurora_nb.occurrence.masks import (count_masks, geographic_cells, mask_areas, mask_boundaries, mask_cells,  # noqa: E402
                                        occurrence_ratio, pixel_areas)
from aurora_nb.occurrence.parts import CellBits, cell_bits, count_pixels  # noqa: E402
from aurora_nb.occurrence.rates import occurrence_rate, station_local_time  # noqa: E402
from aurora_nb.plots.masks import plot_detections, plot_occurrence_comparison  # noqa: E402
from aurora_nb.processing.difference import difference_mask  # noqa: E402
from aurora_nb.readers.base import open_allsky  # noqa: E402
from aurora_nb.simulate.camera import camera_preset, skymap_for  # noqa: E402
from aurora_nb.simulate.emission import MovingArc, StationaryArc  # noqa: E402
from aurora_nb.simulate.files import open_truth  # noqa: E402
from aurora_nb.simulate.night import simulate_night  # noqa: E402

START = np.datetime64("2018-06-14T13:00", "ns")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def camera(station="jbs", size=96, **options):
    return skymap_from_lens(lens_for_sky((size, size), **options), station, 110.0, valid_from="2018-06-01")


def series(values, station="jbs", minutes=1, **attrs):
    "Masks of a series of moments."
    times = START + np.arange(len(values)) * np.timedelta64(minutes, "m")
    return xr.DataArray(values, dims=("time", "y", "x"), coords={"time": times}, attrs={"station": station} | attrs)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 45), columns=st.integers(1, 45), cells=st.integers(1, 40), frames=st.integers(0, 5), seed=st.integers(0, 9999))
def test_bits_count_what_loops_count(rows, columns, cells, frames, seed):
    rng = np.random.default_rng(seed)
    layout = xr.Dataset({"cell": (("y", "x"), rng.integers(-1, cells, (rows, columns)))}, {"cell_index": np.arange(cells)})
    bits, lit = cell_bits(layout), rng.random((frames, rows, columns)) < 0.5
    assert isinstance(bits, CellBits)
    for frame, found in zip(lit, count_pixels(lit, bits), strict=True):
        assert [int((frame & (layout.cell.values == number)).sum()) for number in range(cells)] == found.tolist()


@pytest.mark.parametrize("cells", [1, 2])
def test_cells_of_many_thousand_pixels_do_not_overflow(cells):
    layout = xr.Dataset({"cell": (("y", "x"), np.arange(300 * 300).reshape(300, 300) % cells)}, {"cell_index": np.arange(cells)})
    assert (count_pixels(np.ones((2, 300, 300), bool), cell_bits(layout)) == 90_000 // cells).all()


def stored(values, kind, folder):
    "The same masks, kept in one way or another."
    if kind == "uint8": return series(values.astype("u1"))
    if kind in ("f2", "f4", "f8"): return series(np.where(values, 0.9, 0.1).astype(kind))
    if kind == "dask": return series(values).chunk(time=37)
    if kind == "dataset": return series(values).to_dataset(name="mask")
    if kind == "memmap":
        np.save(folder / "masks.npy", values)
        return series(np.load(folder / "masks.npy", mmap_mode="r"))
    if kind == "store":  # as predict_masks(out=...) writes them: steps of 1/250, chunks of 64
        packed = {"mask": {"dtype": "uint8", "scale_factor": 1 / 250, "_FillValue": 255, "chunks": (64, *values.shape[1:])}}
        series(np.where(values, 0.5, 0.49).astype("f4")).to_dataset(name="mask").to_zarr(folder / "masks.zarr", encoding=packed,
                                                                                        consolidated=False, mode="w")
        return xr.open_zarr(folder / "masks.zarr", consolidated=False)
    series(values.astype("f4")).to_dataset(name="mask").to_netcdf(folder / "masks.nc", engine="netcdf4")
    return xr.open_dataset(folder / "masks.nc", engine="netcdf4")


@pytest.mark.parametrize("kind", ["uint8", "f2", "f4", "f8", "dask", "dataset", "memmap", "store", "lazy file"])
def test_the_same_cells_from_wherever_masks_come(kind, tmp_path):
    skymap = camera()
    cells, values = equal_area_cells(skymap), np.random.default_rng(1).random((150, 96, 96)) < 0.5
    wanted = cell_mean(xr.DataArray(values, dims=("time", "y", "x")), cells).values >= 0.5
    for workers in (1, 3):
        found = mask_cells(stored(values, kind, tmp_path), cells, workers=workers)
        np.testing.assert_array_equal(found.values, wanted)
        assert found.evaluated.values.all() and "judged" not in found.coords


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), min_part=st.floats(0.05, 1), threshold=st.floats(0.05, 0.95), kind=st.sampled_from(["f2", "f4"]))
def test_unknown_pixels_are_neither_dark_nor_lit(seed, min_part, threshold, kind):
    rng = np.random.default_rng(seed)
    cells = equal_area_cells(camera(size=40), 30)
    values = rng.random((6, 40, 40)).astype(kind)
    values[rng.random(values.shape) < rng.choice([0.1, 0.5, 0.9], (6, 1, 1))] = np.nan
    found = mask_cells(series(values), cells, min_part, threshold)
    judged = found.judged.values if "judged" in found.coords else np.broadcast_to(found.evaluated.values[:, None], found.shape)
    for number in range(30):
        mine = values[:, cells.cell.values == number]
        known = (~np.isnan(mine)).sum(1)
        lit = (mine >= values.dtype.type(threshold)).sum(1)
        enough = known >= max(0.5 * mine.shape[1], 1)
        assert (judged[:, number] == enough).all()
        assert (found.values[:, number] == (enough & (lit >= np.maximum(np.ceil(min_part * known - 1e-6), 1)))).all()


@pytest.mark.parametrize("binary", [True, False])
def test_masks_as_predict_masks_returns_them(binary):
    "A Dataset that names its threshold and the frames that could not be judged, all False where it is of booleans."
    skymap = camera()
    values = np.where(skymap.elevation.values > 30, 0.8, 0.3)[None].repeat(4, 0).astype("f2")
    values[2] = np.nan
    values = values >= 0.7 if binary else values
    masks = series(values).to_dataset(name="mask").assign_attrs(station="jbs", threshold=0.7, classes=["aurora"]).assign_coords(
        evaluated=("time", [True, True, False, True]), reason=("time", np.array(["", "", "cut", ""], object)))
    found = mask_cells(masks, equal_area_cells(skymap, 100))
    assert found.evaluated.values.tolist() == [True, True, False, True] and found.threshold == 0.7
    counts = count_masks(masks, equal_area_cells(skymap, 100, north="magnetic"), skymap)
    assert int(counts.usable_count.max()) == 3 and int(counts.auroral_count.max()) == 3
    table = mask_areas(masks, skymap)
    assert table.area_km2.isna().tolist() == [False, False, True, False] and table.area_km2.iloc[0] > 1e5
    assert not mask_areas(masks, skymap, threshold=0.9).area_km2.iloc[0] > 0 or binary
    assert not mask_boundaries(masks, skymap).judged.values[2].any()


@pytest.mark.parametrize("values, reason", [
    (np.full((2, 96, 96), 255, "u1"), "0 to 255|255 to 255"), (np.full((2, 96, 96), -3.0, "f4"), "sigmoid"),
    (np.full((2, 96, 96), 7.0, "f2"), "expected 0 to 1"), (np.full((2, 96, 96), np.inf, "f2"), "expected 0 to 1"),
    (np.full((2, 96, 96), 2, "u1"), "class number"), (np.zeros((2, 96, 96), "i4"), "found int32"),
    (np.zeros((2, 64, 64), bool), r"found masks of \(64, 64\) pixels")])
def test_masks_that_are_none_are_refused(values, reason):
    skymap = camera()
    for ask in (lambda: mask_cells(series(values), equal_area_cells(skymap)), lambda: mask_areas(series(values), skymap),
                lambda: count_masks(series(values), "sky", skymap), lambda: mask_boundaries(series(values), skymap)):
        with pytest.raises(AuroraError, match=reason): ask()


def test_the_frame_with_wrong_values_is_named():
    values = np.zeros((700, 96, 96), "f4")
    values[613, 3, 4] = 1.5
    with pytest.raises(AuroraError, match="frame 613"): mask_cells(series(values), equal_area_cells(camera()))


def test_a_picture_that_files_hold_turned_is_turned_back():
    skymap = camera("gill").assign_attrs(pixel_order="ucalgary")
    cells = equal_area_cells(skymap)
    values = np.random.default_rng(3).random((4, 96, 96)) < 0.4
    values[:, :48] = False
    straight, turned = series(values, "gill", pixel_order="ucalgary"), series(values[:, ::-1, ::-1], "gill", pixel_order="themis_cdf")
    np.testing.assert_array_equal(mask_cells(straight, cells), mask_cells(turned, cells))
    one, other = (mask_areas(each, skymap) for each in (straight, turned))
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)
    assert one.area_km2.gt(0).all()


@pytest.mark.parametrize("station", ["gill", "jbs", "pkr"])
@pytest.mark.parametrize("model", ["equidistant", "equisolid"])
def test_pixels_cover_the_cap_of_the_sphere(station, model):
    skymap = camera(station, 300, model=model)
    latitude = np.radians(skymap.station_latitude)
    radius = 6378.137 * np.sqrt(1 - 0.00669438) / (1 - 0.00669438 * np.sin(latitude) ** 2)
    for height, lowest in ((110, 10), (230, 30)):
        incidence = np.arcsin((radius + skymap.station_height_m / 1e3) / (radius + height) * np.cos(np.radians(lowest)))
        cap = 2 * np.pi * (radius + height) ** 2 * (1 - np.cos(np.radians(90 - lowest) - incidence))
        assert np.nansum(pixel_areas(skymap, height, lowest)) == pytest.approx(cap, rel=0.01)


@pytest.mark.parametrize("station,latitudes", [("gill", (64.5, 66.5, 68.0)), ("jbs", (78.0, 80.0, 81.5))])
def test_boundaries_of_known_arcs_on_a_shell(station, latitudes):
    "To a few hundredths of a degree, in both hemispheres; the brightest half of an arc of known width."
    lens = camera_preset("jang_bogo", 160)
    skymap = skymap_for(lens, station).assign_attrs(valid_from="2018-01-01")
    start = "2018-06-14T12:00" if station == "jbs" else "2018-01-14T06:00"
    for latitude in latitudes:
        arc = StationaryArc(latitude, 1.0, 2000)  # 1000 R is half of it: as wide as its full width
        truth = simulate_night(station, start, "1min", "1min", [arc], lens, heights="shell", stars=False, truths=()).truth
        row = mask_areas(truth.assign_attrs(station=station), skymap).iloc[0]
        sign = -1 if station == "jbs" else 1
        assert not row.equatorward_open and not row.poleward_open
        assert row.equatorward_latitude == pytest.approx(sign * (latitude - 0.5), abs=0.04)
        assert row.poleward_latitude == pytest.approx(sign * (latitude + 0.5), abs=0.04)


def test_a_boundary_moves_as_the_arc_does():
    lens = camera_preset("jang_bogo", 128)
    skymap = skymap_for(lens, "jbs").assign_attrs(valid_from="2018-06-01")
    arc = MovingArc(80.0, 1.0, 4000, speed_m_per_s=300, period_minutes=60, phase=0.5)
    frames = simulate_night("jbs", START, "8min", "1min", [arc], lens, heights="shell", stars=False, truths=())
    table = mask_areas(frames.truth.assign_attrs(station="jbs"), skymap, frames=frames)
    speed = np.polyfit(np.arange(8) * 60, -table.poleward_latitude, 1)[0] * 111.2e3
    assert speed == pytest.approx(300, rel=0.05)
    assert (table.mean_brightness_green > table.outside_brightness_green + 20).all()


def test_a_mask_behind_the_moon_has_an_open_boundary():
    skymap = camera(size=200)
    magnetic = mask_boundaries(series(np.ones((1, 200, 200), bool)), skymap)
    assert magnetic.equatorward_open.values[0, magnetic.middle] and magnetic.poleward_open.values[0, magnetic.middle]
    nothing = mask_boundaries(series(np.full((1, 200, 200), np.nan, "f4")), skymap)
    assert not nothing.judged.any() and np.isnan(nothing.equatorward).all()


@pytest.fixture(scope="module")
def winter_day():
    "The simulated day at Jang Bogo of data_samples: frames, truth, skymap."
    folder = PROJECT / "data_samples"
    frames = open_allsky(folder / "jbs/20180614", reader=None).compute()
    return frames, open_truth(folder / "truth/jbs_20180614.nc"), open_skymap(folder / "jbs/skymap_jbs.nc")


def test_occurrence_per_local_time_is_that_of_the_truth(winter_day):
    frames, truth, skymap = winter_day
    cells = equal_area_cells(skymap, north="magnetic")
    counts = count_masks(truth, cells, skymap)
    hours = station_local_time(truth.time.values, "jbs")
    inside = cells.cell.values >= 0
    size = np.bincount(cells.cell.values[inside], minlength=400)
    lit = np.stack([np.bincount(cells.cell.values[inside], frame[inside], 400) for frame in truth.values])
    lit = (lit >= size / 2) & (size > 0)
    rates = occurrence_rate(counts).rate.fillna(0)
    for hour in range(24):
        rows = np.floor(hours) == hour
        assert int(counts.usable_count.sum("night").values[hour].max()) == rows.sum()
        np.testing.assert_allclose(rates.values[hour][size > 0], lit[rows].mean(0)[size > 0])


def test_the_difference_method_loses_the_standing_arc(winter_day):
    "Evening: an arc that stands; about 8 MLT: arcs that drift. Threshold: one dark cell in a hundred is lit."
    frames, truth, skymap = winter_day
    cells = equal_area_cells(skymap, north="magnetic")
    known = mask_cells(truth, cells).values
    near = known[1:] | known[:-1]
    change = cell_mean(abs(frames.image.astype("f4").diff("time")), cells)
    limit = {band: float(np.nanquantile(np.where(near, np.nan, change.sel(band=band)), 0.99)) for band in ("red", "green")}
    lit = difference_mask(frames, cells, lag="2min", threshold=limit, unit="counts")
    hours = station_local_time(truth.time.values, "jbs")[1:]
    recall = {name: (lit.values[1:] & known[1:])[rows].sum() / known[1:][rows].sum()
              for name, rows in (("evening", (hours > 18) | (hours < 1)), ("morning", (hours > 6) & (hours < 10)))}
    assert recall["morning"] > 0.4 and recall["evening"] < 0.1, recall
    assert recall["morning"] > 5 * recall["evening"]


def counts_of(rng, nights, bins=3, cells=4):
    dims, usable = ("night", "local_time", "cell_index"), rng.integers(0, 30, (len(nights), bins, cells))
    return xr.Dataset({"auroral_count": (dims, rng.binomial(usable, 0.3)), "usable_count": (dims, usable)},
                      {"night": nights, "local_time": np.arange(bins) + 0.5, "cell_index": np.arange(cells)})


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), over=st.sampled_from([(), "cell_index", ("local_time", "cell_index")]))
def test_ratio_is_the_quotient_of_the_rates_whatever_nights_each_method_has(seed, over):
    rng = np.random.default_rng(seed)
    days = START.astype("datetime64[D]").astype("datetime64[ns]") + np.arange(9) * np.timedelta64(1, "D")
    first, second = counts_of(rng, days[:7]), counts_of(rng, days[2:])
    found = occurrence_ratio(first, second, over, resamples=50)
    dims = ["night", *([over] if isinstance(over, str) else over)]
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = [each.auroral_count.sum(dims).values / each.usable_count.sum(dims).values for each in (first, second)]
        np.testing.assert_allclose(found.ratio.values, rates[0] / rates[1])
    inside = found.lower.notnull()
    assert bool((found.lower <= found.upper).where(inside, True).all())
    assert int(found.nights.max()) <= 5  # those that both have


def test_an_infinite_ratio_has_a_finite_lower_bound():
    rng = np.random.default_rng(0)
    days = START.astype("datetime64[D]").astype("datetime64[ns]") + np.arange(12) * np.timedelta64(1, "D")
    first = counts_of(rng, days)
    few = first.auroral_count * 0
    few[0] = 1  # the second method finds something on one night only
    found = occurrence_ratio(first, first.assign(auroral_count=few), ("local_time", "cell_index"))
    assert np.isfinite(float(found.ratio)) and np.isfinite(float(found.lower)) and np.isinf(float(found.upper))


@pytest.mark.parametrize("kind", ["sky", "magnetic"])
def test_maps_of_two_methods_in_blocks_of_hours(kind):
    skymap = camera(size=64)
    cells = equal_area_cells(skymap, 100, north="magnetic") if kind == "sky" else magnetic_cells(skymap)
    rng = np.random.default_rng(2)
    values = rng.random((300, 64, 64)) < rng.random((300, 1, 1))
    counts = [count_masks(series(each, minutes=4), cells, skymap) for each in (values, values & (rng.random(values.shape) < 0.7))]
    rates = [occurrence_rate(each) for each in counts]
    axs = plot_occurrence_comparison(*rates, occurrence_ratio(*counts), cells, columns=6)
    seen = int((rates[0].usable_count.max("cell_index") > 0).sum())
    assert axs.shape == (3 * -(-seen // 6), 6)
    axs[0, 0].figure.canvas.draw()
    words = {text.get_text(): text.get_position() for text in axs[0, 0].texts}
    assert words["equatorward"][1] > words["poleward"][1]  # Jang Bogo
    assert (words["E"][0] < words["W"][0]) == (kind == "sky")  # seen from below; on a map from above


def test_both_methods_on_frames_of_a_turned_camera(winter_day):
    frames, truth, skymap = winter_day
    few = frames.isel(time=slice(300, 304))
    cells = equal_area_cells(skymap, north="magnetic")
    lit = difference_mask(few, cells, lag="2min", threshold=8, unit="counts")
    axs = plot_detections(few, skymap, lit, cells, truth, few.time.values[2:3], truth=truth)
    axs[0, 0].figure.canvas.draw()
    assert axs.shape == (1, 3) and axs[0, 0].get_ylabel().startswith("2018-06-14 10:04:00")
    with pytest.raises(AuroraError, match="Masks belong to their frames"):
        plot_detections(few, skymap, lit, cells, truth[:, :50], few.time.values[2:3])


def test_a_real_skymap_gives_areas_boundaries_and_maps(shared_data):
    pair = [shared_data / f"dasc_fits/PKR_DASC_0558_20150213_{word}.FIT" for word in ("Az", "El")]
    skymap = open_skymap(pair, station="pkr", height_km=110).assign_attrs(valid_from="2015-10-01")
    shape = skymap.azimuth.shape
    total = np.nansum(pixel_areas(skymap))
    assert 0.6e6 < total < 0.95e6
    masks = series(np.stack([skymap.elevation.values > 60, np.zeros(shape, bool)]), "pkr").assign_coords(
        time=np.array(["2015-10-07T08:23", "2015-10-07T08:24"], "M8[ns]"))
    table = mask_areas(masks, skymap)
    assert table.area_km2.iloc[0] == pytest.approx(np.pi * (110 / np.tan(np.radians(60))) ** 2, rel=0.06)
    assert table.equatorward_latitude.iloc[0] == pytest.approx(65.5 - 0.57, abs=0.4)
    wide = masks.copy(data=np.stack([skymap.elevation.values > 25] * 2))  # wider than a degree
    for kind in ("sky", "magnetic", "geographic"):
        assert int(count_masks(wide, kind, skymap).auroral_count.sum()) > 0
    assert geographic_cells(skymap).latitude.values.min() > 58
