"The occurrence table comes back out of drawn programmes, and simulated Kp behaves like the real one."
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.core import AuroraError
from aurora_nb.geometry.geomagnetic import magnetic_local_time, station_magnetic
from aurora_nb.simulate.activity import (FORMS, LEVELS, activity_course, activity_level, expected_occurrence,
                                         occurrence_table, programme, simulated_kp)

DAY = np.datetime64("2014-11-15T00:00", "ns")
MINUTES = np.arange(0, 720, 10)


def lit_by_hour(station, night, activity, seed, by, names):
    "For each class or form the looks at which it was lit, and all looks, by hour of magnetic local time: (name, 24), (24,)."
    times = night + MINUTES * np.timedelta64(60, "s")
    hour = magnetic_local_time(station_magnetic(station, 110, "2014-07-01")[1], times).astype(int) % 24
    lit = np.zeros((len(names), len(times)), bool)
    for form in programme(station, night, "12h", activity, seed):
        name = getattr(form, by)
        if name is not None: lit[names.index(name)] |= (form.begin <= times) & (times < form.end)
    counts = np.zeros((len(names), 24))
    np.add.at(counts.T, hour, lit.T)
    return counts, np.bincount(hour, minlength=24)


def coverage(lit, looks, truth, level=0.95, rng=np.random.default_rng(5)):
    "Which cells have the truth inside the bootstrap interval over nights; lit (night, name, 24), looks (night, 24)."
    draws = rng.integers(0, len(lit), (600, len(lit)))
    shares = np.stack([lit[draw].sum(0) / np.maximum(looks[draw].sum(0), 1) for draw in draws])
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return (low <= truth) & (truth <= high)


def truth_by_hour(activity, station, by):
    found = expected_occurrence(activity, station, by=by, time="2014-07-01").probability
    return list(found.form.values), found.values.reshape(len(found.form), 24, 4).mean(-1)


@pytest.mark.parametrize("station, activity, by", [("gill", "moderate", "name"), ("gill", "active", "oath"),
                                                   ("kho", "quiet", "yellow_river"), ("jbs", "quiet", "yellow_river")])
def test_the_table_comes_back(station, activity, by):
    names, truth = truth_by_hour(activity, station, by)
    nights = DAY + np.arange(150) * np.timedelta64(1, "D") + np.timedelta64(14 if station == "jbs" else 0, "h")
    lit, looks = map(np.stack, zip(*(lit_by_hour(station, night, activity, 7, by, names) for night in nights)))
    often = (truth > 0.05) & (looks.sum(0) > 300)
    inside = coverage(lit, looks, truth)[often]
    found = lit.sum(0) / np.maximum(looks.sum(0), 1)
    bias = (found - truth)[often].mean()
    print(f"{station} {activity} {by}: {inside.size} cells, {inside.mean():.2f} inside 95 %, bias {bias:+.4f}")
    assert inside.size >= 8 and inside.mean() > 0.85 and abs(bias) < 0.02


def test_a_winter_of_changing_activity_comes_back():
    names, truth = truth_by_hour(None, "gill", "oath")
    nights = DAY + 13 * np.arange(200) * np.timedelta64(1, "D")
    parts = [lit_by_hour("gill", night, None, seed, "oath", names) for seed, night in enumerate(nights)]
    lit, looks = map(np.stack, zip(*parts))
    often = (truth > 0.05) & (looks.sum(0) > 300)
    inside = coverage(lit, looks, truth)[often]
    print(f"{inside.size} cells, {inside.mean():.2f} inside 95 %")
    assert inside.mean() > 0.85


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 599), seed=st.integers(0, 2 ** 31), station=st.sampled_from(["gill", "jbs"]),
       activity=st.sampled_from([*LEVELS, None, 3.3]), start=st.sampled_from(["2014-12-31T20:00", "2015-01-20T03:17"]))
def test_pieces_are_the_whole(cut, seed, station, activity, start):
    start = np.datetime64(start, "ns")
    middle = start + np.timedelta64(cut, "m")
    whole = programme(station, start, "10h", activity, seed)
    pieces = programme(station, start, f"{cut}min", activity, seed), programme(station, middle, f"{600 - cut}min", activity, seed)
    assert pieces[0] == [form for form in whole if form.begin < middle]
    assert pieces[1] == [form for form in whole if form.end > middle]


def test_forms_are_where_the_station_sees_them_and_shine():
    latitude, longitude = station_magnetic("gill", 110, "2014-07-01")
    table = occurrence_table().groupby("form").far_deg.max()
    seen, grid = set(), np.meshgrid(np.linspace(-9, 9, 150, dtype="f4"), np.linspace(-22, 22, 150, dtype="f4"), indexing="ij")
    for night in DAY + np.arange(40) * np.timedelta64(1, "D"):
        for form in programme("gill", night, "14h", "active", seed=1, often={"rare": 5}):
            assert abs(form.magnetic_latitude - latitude) <= table[form.name] + 0.1
            if form.name in seen: continue
            seen.add(form.name)
            moments = form.begin + (form.end - form.begin) * np.array([30, 50, 75]) // 100
            hour = magnetic_local_time(longitude, moments)
            light = [form.brightness(grid[0] + np.float32(latitude), grid[1] + np.float32(longitude),
                                     np.full_like(grid[0], at), moment) for at, moment in zip(hour, moments)]
            assert all(np.isfinite(part).all() and part.min() >= 0 for part in light), form
            assert max(part.max() for part in light) > 20, form
    print(len(seen), "of", len(FORMS), "forms met:", set(FORMS) - seen)
    assert len(seen) >= 0.75 * len(FORMS)


def test_rare_forms_are_as_many_times_more():
    count = [sum(form.rare is not None for night in DAY + np.arange(30) * np.timedelta64(1, "D")
                 for form in programme("gill", night, "12h", "active", seed=2, often={"rare": factor})) for factor in (0.0, 1.0, 8.0)]
    assert count[0] == 0 and 5 < count[2] / count[1] < 12


def test_errors():
    with pytest.raises(AuroraError, match="known: quiet, moderate, active"): programme("gill", DAY, "1h", "wild")
    with pytest.raises(AuroraError, match="expected a Kp from 0 to 9"): programme("gill", DAY, "1h", 12)
    with pytest.raises(AuroraError): programme("atlantis", DAY, "1h")
    with pytest.raises(AuroraError): programme("gill", DAY, "soon")


def test_kp_is_like_the_real_one(shared_data):
    lines = (shared_data / "drivers/SW-All.txt").read_text().splitlines()
    rows = [line.split() for line in lines if len(line) > 80 and line[:4].isdigit()]
    real = np.array([[float(word) / 10 for word in row[5:13]] for row in rows[:-60] if len(row) > 20]).ravel()
    made = np.concatenate([simulated_kp(DAY + np.arange(0, 8 * 3650) * np.timedelta64(3, "h"), seed) for seed in range(3)])
    shares = [np.bincount(activity_level(kp), minlength=3) / len(kp) for kp in (real, made)]
    assert np.abs(shares[0] - shares[1]).max() < 0.05, shares
    for lag, room in ((1, 0.08), (8, 0.1), (24, 0.1), (216, 0.12)):
        both = [np.corrcoef(kp[lag:], kp[:-lag])[0, 1] for kp in (real, made)]
        assert abs(both[0] - both[1]) < room, (3 * lag, both)


def test_course_is_a_function_of_time():
    winter = activity_course("2014-11-01T01:00", "30D", seed=3)
    assert winter.index[0].hour == 3 and len(winter) == 240 and set(winter.level) <= set(LEVELS)
    assert activity_course("2014-11-10", "5D", seed=3).equals(winter.loc["2014-11-10":"2014-11-14"])
