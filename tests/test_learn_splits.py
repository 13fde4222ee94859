"""Splits: published leakage figures reproduced, groups never cut, classes shared out, the report against brute force."""
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.core import AuroraError, FileProblem
from aurora_nb.learn.datasets import open_labelled
from aurora_nb.learn.groups import GROUPS, frame_order, group_of
from aurora_nb.learn.leakage import leakage_report, leakage_table, plot_leakage
from aurora_nb.learn.parts import PARTS, Split, check_split, share_out
from aurora_nb.learn.splits import (folds_by, given_split, official_splits, random_split, read_orders, split_by, tame_folds,
                                    with_valid, without_neighbours)
from aurora_nb.simulate.layouts import CLASS_NAMES, write_labelled


@pytest.fixture(scope="module")
def oath(shared_data):
    "Labels of the Oslo set, no pixels: the label is class6, the other column class2."
    rows = pd.read_csv(shared_data / "oath/classifications.csv", skiprows=18, dtype={"picNum": str, "rotAng": str})
    return pd.DataFrame({"label": rows.picType, "class2": rows.class2.astype(str), "number": rows.picNum})


def record(nights=12, frames=60, cadence="30s", stations=("gill", "fsmi"), seed=0, length=15):
    rng = np.random.default_rng(seed)
    days = pd.date_range("2015-01-05T04:00", periods=nights, freq="D")
    table = pd.concat([pd.DataFrame({"time": pd.date_range(day, periods=frames, freq=cadence),
                                     "station": stations[number % len(stations)]}) for number, day in enumerate(days)],
                      ignore_index=True)
    forms = np.cumsum(rng.random(len(table)) < 1 / length)
    table["label"] = rng.choice(["arc", "diffuse", "discrete"], forms[-1] + 1)[forms]
    return table


def test_official_splits_are_the_file_and_the_recipe(oath, shared_data):
    made, read = official_splits(oath), official_splits(oath, shared_data / "oath/train_test_split.csv")
    assert made == read and len(made) == 5
    assert [(len(split.train), len(split.valid), len(split.test)) for split in made] == [(4077, 0, 1747)] * 5
    np.random.seed(1804)
    order = np.argsort(np.random.rand(5, 5824), axis=1)
    assert (made[3].test == order[3, 4077:]).all() and (made[3].train == order[3, :4077]).all()


@pytest.mark.parametrize("label, copied, spread, folds, folds_spread, majority", [
    ("label", 94.75, 0.63, 17.5, 5.7, 24.0), ("class2", 98.33, 0.18, 50.9, 6.6, 56.3)])
def test_the_leak_of_oath(oath, label, copied, spread, folds, folds_spread, majority):
    official = leakage_table(oath, official_splits(oath), label=label).index_copy_accuracy * 100
    assert official["mean"] == pytest.approx(copied, abs=0.006)
    assert official["standard deviation"] == pytest.approx(spread, abs=0.006)
    contiguous = leakage_table(oath, tame_folds(oath), label=label).index_copy_accuracy * 100
    assert contiguous["mean"] == pytest.approx(folds, abs=0.05)
    assert contiguous["standard deviation"] == pytest.approx(folds_spread, abs=0.06)
    assert 100 * oath[label].value_counts(normalize=True).max() == pytest.approx(majority, abs=0.06)


def test_runs_and_neighbours_of_oath(oath):
    splits = official_splits(oath)
    report = leakage_report(oath, splits[0])
    assert (report.runs, round(report.same_label_run, 1), round(report.expected_run, 2)) == (285, 20.4, 1.22)
    assert leakage_table(oath, splits).neighbour_share["mean"] == pytest.approx(0.913, abs=0.0005)
    assert np.isnan([report.median_seconds, report.time_copy_accuracy, *report.interval]).all()
    for words in ("94.", "285", "unknown"): assert words in report.text and words in report._repr_markdown_()
    blocks = folds_by(oath, "block:60", count=5, valid=0)
    assert leakage_table(oath, blocks).index_copy_accuracy["mean"] < 0.5 < report.index_copy_accuracy


def test_opened_oath_has_its_official_splits(oath, shared_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = open_labelled(shared_data / "oath", "oath")
        splits = official_splits(table, shared_data / "oath/train_test_split.csv")
    assert len(table) == 10
    for mine, whole in zip(splits, official_splits(oath)):
        assert set(table.number.iloc[mine.test]) == set(oath.number.iloc[whole.test]) & set(table.number)
        assert len(mine.train) + len(mine.test) == 10


def test_simulated_set_opened_and_split(tmp_path):
    from aurora_nb.frames import build_frames

    rng = np.random.default_rng(0)
    for day in range(6):
        times = np.datetime64(f"2015-01-{20 + day}T04:00", "ns") + np.arange(12) * np.timedelta64(90, "s")
        frames = build_frames(rng.integers(0, 250, (12, 64, 64, 3)).astype("u1"), times, "krn", seed=0, simulated=True)
        names = {scheme: ("time", np.array((classes * 12)[:12])) for scheme, classes in CLASS_NAMES.items()}
        frames = frames.assign(names | {"truth": (("time", "y", "x"), np.ones((12, 64, 64), bool))})
        write_labelled(frames, tmp_path / "kiruna", "kiruna")
    table = open_labelled(tmp_path / "kiruna", "kiruna")
    split = split_by(table, "night", test=0.3, valid=0.2)
    assert sum(len(getattr(split, part)) for part in PARTS) == 72
    assert leakage_report(table, split).seconds.min() > 80_000
    given = given_split(table)
    assert set(table.night.iloc[given.test]).isdisjoint(table.night.iloc[given.train])
    assert leakage_report(table, given).by == "index"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abc")), min_size=4, max_size=40), st.integers(0, 99),
       st.booleans(), st.sampled_from([0.1, 0.2, 0.4]), st.sampled_from([0.0, 0.15]))
def test_no_group_is_cut_and_no_part_empty(groups, seed, stratify, test, valid):
    names = np.repeat([f"g{number}" for number in range(len(groups))], [size for size, _ in groups])
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"label": rng.choice(["x", "y", "z"], len(names)), "kept": names}).sample(frac=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        split = split_by(table, "kept", test=test, valid=valid, seed=seed, stratify=stratify)
        folds = folds_by(table, "kept", count=3, valid=valid, seed=seed, stratify=stratify) if len(groups) > 5 else []
    for each in [split, *folds]:
        held = [set(table.kept.iloc[getattr(each, part)]) for part in PARTS]
        assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]
        assert held[0] and held[2] and bool(held[1]) == (valid > 0)
        assert sorted(np.concatenate([each.train, each.valid, each.test])) == list(range(len(table)))
    if folds: assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(table)))


def unevenness(counts, part, targets):
    held = np.column_stack([counts / counts.sum(0), counts.sum(1) / counts.sum()])
    shares = np.stack([held[part == number].sum(0) for number in range(len(targets))])
    return ((shares - np.array(targets)[:, None]) ** 2 / np.array(targets)[:, None]).sum()


@pytest.mark.parametrize("seed", range(12))
def test_sharing_out_is_nearly_the_best_there_is(seed):
    rng = np.random.default_rng(seed)
    counts, targets = rng.integers(0, 40, (8, 3)) * (rng.random((8, 3)) < 0.6) + 0.0, [0.6, 0.15, 0.25]
    counts[0] += 1
    counts = counts[counts.sum(1) > 0]
    ways = (np.array(way) for way in itertools.product(range(3), repeat=len(counts)) if len(set(way)) == 3)
    best = min(unevenness(counts, way, targets) for way in ways)
    assert unevenness(counts, share_out(counts, targets, seed), targets) <= 1.25 * best + 1e-3


def test_a_class_in_one_group_only_is_trained_on():
    counts = np.array([[50, 0]] * 9 + [[10, 40]])
    assert all(share_out(counts, [0.7, 0.1, 0.2], seed)[9] == 0 for seed in range(10))
    table = pd.DataFrame({"night": np.repeat(np.arange(10), 10), "label": ["arc"] * 90 + ["corona"] * 10})
    with pytest.warns(UserWarning, match="no image of class corona in test"): split = split_by(table, valid=0)
    assert set(range(90, 100)) <= set(split.train)


def test_many_images_are_split_quickly():
    table = pd.DataFrame({"label": np.random.default_rng(0).choice(["a", "b"], 200_000), "night": np.arange(200_000) // 500,
                          "file": "x"})
    split = split_by(table)
    shares = [table.label.iloc[getattr(split, part)].eq("a").mean() for part in PARTS]
    assert np.ptp(shares) < 0.002
    assert len(split_by(table, "image", seed=1).test) == pytest.approx(40_000, abs=10)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 90))
def test_the_report_against_brute_force(seed, count):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"time": pd.Timestamp("2015-01-05") + pd.to_timedelta(rng.integers(0, 5000, count), "s"),
                          "station": rng.choice(["gill", "fsmi", ""], count), "label": rng.choice(["a", "b", "c"], count)})
    part = rng.choice(3, count, p=[0.5, 0.1, 0.4])
    part[:2] = 0, 2
    split = Split(*(np.flatnonzero(part == number) for number in range(3)))
    report = leakage_report(table, split)
    usual = table.label.iloc[split.train].value_counts().sort_index().idxmax()
    index_right, time_right, seconds = [], [], []
    for row in split.test:
        off = np.abs(split.train - row)
        index_right.append(table.label[split.train[np.lexsort((split.train, off))[0]]] == table.label[row])
        same = split.train[(table.station.iloc[split.train] == table.station[row]).to_numpy()]
        gaps = np.abs((table.time.iloc[same] - table.time[row]).dt.total_seconds().to_numpy())
        seconds.append(gaps.min() if len(gaps) else np.nan)
        near = set(table.label[same[gaps == gaps.min()]]) if len(gaps) else {usual}
        time_right.append((table.label[row] in near, {table.label[row]} == near))
    assert report.index_copy_accuracy == pytest.approx(np.mean(index_right))
    assert np.mean([low for _, low in time_right]) <= report.time_copy_accuracy + 1e-9
    assert report.time_copy_accuracy <= np.mean([high for high, _ in time_right]) + 1e-9
    np.testing.assert_allclose(report.seconds, seconds)
    assert report.majority_accuracy == pytest.approx((table.label.iloc[split.test] == usual).mean())


def test_ties_go_to_the_lower_index():
    table = pd.DataFrame({"label": ["low", "?", "high"]})
    for label, right in (("low", 1.0), ("high", 0.0)):
        assert leakage_report(table.assign(label=["low", label, "high"]), Split([0, 2], [], [1])).index_copy_accuracy == right


def test_random_split_warns_with_its_leakage():
    table = record()
    with pytest.warns(UserWarning, match=r"copying the label of the nearest training image .* scores 9\d\.\d"):
        split = random_split(table)
    assert sorted(np.concatenate([split.train, split.valid, split.test])) == list(range(len(table)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert random_split(table, warn=False) == split
    shares = table.label.iloc[split.test].value_counts() / table.label.value_counts()
    assert (abs(shares - 0.2) < 0.005).all()


def test_every_group_by_name():
    table = record()
    for group in (*GROUPS, "block:7", "event:1min", "label"):
        names = group_of(table, group)
        assert len(names) == len(table) and (names != "").all(), group
    nights = pd.Series(group_of(table, "night"))
    assert nights.groupby(nights).size().tolist() == [60] * 12
    events = pd.Series(group_of(table, "event"))
    assert (table.groupby(events.to_numpy()).label.nunique() == 1).all()
    blocks = pd.Series(group_of(table, "block:7"))
    assert (blocks != blocks.shift()).sum() == 7 and np.ptp(blocks.value_counts()) <= 1


def test_unknown_groups_are_left_out_with_a_warning():
    table = record()
    table["time"] = table.time.where(table.index >= 5)
    with pytest.warns(UserWarning, match="the group of 5 of 720 images is unknown"): split = split_by(table)
    assert set(range(5)).isdisjoint(np.concatenate([split.train, split.valid, split.test]))
    with pytest.raises(AuroraError, match="found 0 groups"), pytest.warns(UserWarning):
        split_by(table.drop(columns=["time", "station"]))


def test_bad_splits_are_refused():
    table = record()
    everything = np.arange(len(table))
    for split, reason in ((Split(everything[::2], [], everything[1::2], "night"), "12 groups in both train and test"),
                          (Split(everything[:600], everything[600:660], everything[660:] + 1), "found row 720"),
                          (Split([], [], everything), "no image in train")):
        with pytest.raises(AuroraError, match=reason): check_split(table, split)
    with pytest.raises(AuroraError, match="in both valid and test"):
        check_split(table, Split(everything[:600], everything[600:670], everything[670:], "night"))
    with pytest.warns(UserWarning, match="in both train and valid"):
        check_split(table, Split(everything[:550], everything[550:660], everything[660:], "night"))
    with pytest.raises(AuroraError, match="12 groups in both train and test"):
        check_split(table, Split(everything[::2], [], everything[1::2]), group="night")
    for positions in ([0.5], [[1]], [-1], [3, 3], ["a"]):
        with pytest.raises((AuroraError, ValueError)): Split(positions, [], [0])


def test_clear_borders_and_validation():
    table = record()
    split = split_by(table, "event", seed=3)
    clear = without_neighbours(table, split, "5min")
    assert leakage_report(table, split).seconds.min() == 30 and leakage_report(table, clear).seconds.min() >= 300
    held = with_valid(table, random_split(table, warn=False, valid=0), "night", 0.25)
    assert set(group_of(table, "night")[held.valid]).isdisjoint(group_of(table, "night")[held.train])


def test_order_of_the_record_in_class_folders():
    table = record()
    table["file"] = [f"/set/{row.label}/{row.Index:04d}.png" for row in table.itertuples()]
    by_class = table.sort_values("label", kind="stable", ignore_index=True)
    assert (by_class.iloc[np.argsort(frame_order(by_class))].time.is_monotonic_increasing
            or by_class.iloc[np.argsort(frame_order(by_class))].groupby("station").time.is_monotonic_increasing.all())
    split = split_by(by_class, "night", seed=2)
    honest, naive = leakage_report(by_class, split), leakage_report(by_class.drop(columns="file"), split)
    assert honest.index_copy_accuracy < 0.7 < naive.index_copy_accuracy
    timeless = leakage_report(by_class.drop(columns="time"), Split(split.train, split.valid, split.test))
    assert timeless.by == "time" and np.isnan(timeless.copy_accuracy) and "unknown" in timeless.headline


def test_damaged_order_files(tmp_path):
    for content, reason in (("", "lines"), ("1,0\n0", "lines"), ("0.5,1", "not each"), ("0,0\n1,1", "not each"), ("a,b", "lines")):
        (tmp_path / "split.csv").write_text(content)
        with pytest.raises(FileProblem, match=reason), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_orders(tmp_path / "split.csv")


def test_figure_of_leakage():
    import matplotlib
    matplotlib.use("agg")
    table = record()
    reports = [leakage_report(table, random_split(table, warn=False)), leakage_report(table, split_by(table))]
    axes = plot_leakage(reports)
    first, second = (line.get_xydata() for line in axes.get_lines())
    assert first[:, 1].max() == second[:, 1].max() == 1 and first[1, 0] == 30 and second[1, 0] > 80_000
    assert [text.get_text()[:6] for text in axes.get_legend().get_texts()] == ["random", "night "]
    unknown = leakage_report(table.drop(columns="time"), split_by(table))
    assert len(plot_leakage([*reports, unknown]).get_lines()) == 3 and len(plot_leakage(unknown).get_lines()) == 1
