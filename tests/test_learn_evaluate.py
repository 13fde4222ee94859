"Scores against scikit-learn, intervals against the truth they should cover, and figures of the judges."
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar
from sklearn import metrics

from aurora_nb.core import AuroraError
from aurora_nb.learn.calibration import fit_temperature, reliability_curve, scaled_probabilities
from aurora_nb.learn.conditions import error_by, sky_conditions
from aurora_nb.learn.evaluate import classification_report, compare_models, paired_difference
from aurora_nb.learn.resampling import interval, resample
from aurora_nb.learn.scores import PER_CLASS, SUMMARY, all_scores, average_precision, confusion_scores, count_confusion
from aurora_nb.processing.quality import sun_moon

OATH = np.array([[139, 27, 66, 0, 0, 14], [37, 222, 58, 1, 0, 16], [36, 37, 335, 3, 0, 3],
                 [0, 1, 5, 224, 3, 2], [0, 1, 3, 2, 183, 1], [7, 13, 7, 1, 1, 299]])
OATH_CLASSES = ("arc", "diffuse", "discrete", "cloudy", "moon", "noaurora")


def nights_of_errors(nights, images, rng, classes=4):
    "Truth, probabilities and night of images: a night favours some classes and has errors of its own."
    night = np.repeat(np.arange(nights), images)
    mix = rng.dirichlet(np.full(classes, 0.6), nights).cumsum(1)
    truth = np.minimum((mix[night] < rng.random((len(night), 1))).sum(1), classes - 1)
    bias, noise = rng.normal(0, 1, (nights, classes)), rng.normal(0, 0.7, (len(night), classes))
    likelihood = np.exp(1.3 * (2.2 * np.eye(classes)[truth] + bias[night] + noise))
    return truth, likelihood / likelihood.sum(1, keepdims=True), night


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(1, 300))
def test_scores_are_those_of_sklearn(seed, classes, images):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, classes, (2, images))
    found = confusion_scores(count_confusion(truth, predicted, classes)[0])
    present = np.unique(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.precision_recall_fscore_support(truth, predicted, labels=present, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "support"), expected):
        np.testing.assert_allclose(found[name][present], values, atol=1e-12)
        if name != "support": np.testing.assert_allclose(found[f"macro_{name}"], values.mean(), atol=1e-12)
    np.testing.assert_allclose(found["accuracy"], metrics.accuracy_score(truth, predicted))
    absent = np.setdiff1d(range(classes), present)
    assert np.isnan(found["recall"][absent]).all() and np.isnan(found["f1"][absent]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 400), st.integers(1, 40), st.integers(1, 6))
def test_average_precision_is_that_of_sklearn(seed, images, groups, decimals):
    rng = np.random.default_rng(seed)
    group, weights = rng.integers(0, groups, images), rng.integers(0, 4, (3, groups)).astype(np.float32)
    present, scores = rng.random(images) < 0.3, rng.random(images).round(decimals)
    found = average_precision(present, scores, group, weights)
    for value, draw in zip(found, weights):
        if not draw[group[present]].sum(): assert np.isnan(value); continue
        assert value == pytest.approx(metrics.average_precision_score(present, scores, sample_weight=draw[group]), abs=1e-6)


def test_published_matrix_of_oath():
    "Science reference 2.4: accuracy 80.25 %, macro P/R/F1 .820/.811/.814, two classes 95.76 %."
    truth, predicted = (np.repeat(each.ravel(), OATH.ravel()) for each in np.indices(OATH.shape))
    report = classification_report(truth, np.eye(6)[predicted], OATH_CLASSES)
    assert (report.confusion.to_numpy() == OATH).all()
    assert report["accuracy"] == pytest.approx(0.8025, abs=5e-5)
    macro = [report[f"macro_{name}"] for name in ("precision", "recall", "f1")]
    assert macro == pytest.approx([0.820, 0.811, 0.814], abs=5e-4)
    published = [[.635, .565, .598], [.738, .665, .699], [.707, .809, .755], [.970, .953, .961], [.979, .963, .971],
                 [.893, .912, .902]]
    np.testing.assert_allclose(report.per_class[["precision", "recall", "f1"]], published, atol=1e-3)
    coarse = classification_report(truth // 3, np.eye(2)[predicted // 3], ("aurora", "none"))
    assert coarse["accuracy"] == pytest.approx(0.9576, abs=5e-5)
    assert coarse.per_class.recall.tolist() == pytest.approx([0.963, 0.951], abs=5e-4)


def test_every_figure_against_sklearn():
    truth, probabilities, night = nights_of_errors(20, 40, np.random.default_rng(5))
    report = classification_report(truth, probabilities, "abcd", night, resamples=100)
    predicted = probabilities.argmax(1)
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert report["macro_f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert report["negative_log_likelihood"] == pytest.approx(metrics.log_loss(truth, probabilities))
    brier = ((probabilities - np.eye(4)[truth]) ** 2).sum(1).mean()
    assert report["brier"] == pytest.approx(brier)
    precision = metrics.average_precision_score(np.eye(4)[truth], probabilities, average=None)
    np.testing.assert_allclose(report.per_class.average_precision, precision, atol=1e-6)
    assert report["mean_average_precision"] == pytest.approx(precision.mean(), abs=1e-6)
    confidence = probabilities.max(1)
    place = np.digitize(confidence, np.linspace(0, 1, 16)[1:-1], right=True)
    gaps = [np.sum(place == each) * abs(np.mean((predicted == truth)[place == each]) - confidence[place == each].mean())
            for each in np.unique(place)]
    assert report["expected_calibration_error"] == pytest.approx(sum(gaps) / len(truth))


def test_a_resample_is_the_score_of_the_images_drawn():
    truth, probabilities, night = nights_of_errors(6, 30, np.random.default_rng(6))
    scores = all_scores(truth, probabilities, night)
    draws = []
    found = resample(lambda weights: draws.append(weights) or scores(weights), 6, len(truth), resamples=100)
    for row, draw in enumerate(np.concatenate(draws)[:20]):
        rows = np.repeat(np.arange(len(truth)), draw[night].astype(int))
        alone = all_scores(truth[rows], probabilities[rows], np.zeros(len(rows), int))(np.ones((1, 1)))
        for name in (*SUMMARY, *PER_CLASS): np.testing.assert_allclose(found[name][row], alone[name][0], atol=1e-5)


def test_portions_draw_the_same():
    truth, probabilities, night = nights_of_errors(12, 10, np.random.default_rng(7))
    scores = all_scores(truth, probabilities, night)
    whole, parts = resample(scores, 12, 10, seed=3), resample(scores, 12, 100_000, seed=3)
    for name in whole: np.testing.assert_allclose(whole[name], parts[name], atol=1e-6)


def coverage(nights, images, trials, seed):
    "How often intervals of the night and of the frame bootstrap hold the true score, and how wide they are."
    rng = np.random.default_rng(seed)
    truth, probabilities, _ = nights_of_errors(20_000, 20, rng)
    true = {name: each[0] for name, each in
            all_scores(truth, probabilities, np.zeros(len(truth), int))(np.ones((1, 1))).items()}
    rows = []
    for trial in range(trials):
        truth, probabilities, night = nights_of_errors(nights, images, rng)
        if len(np.unique(truth)) < 4: continue
        for drawn, groups in (("night", night), ("frame", None)):
            report = classification_report(truth, probabilities, "abcd", groups, resamples=300, seed=trial)
            summary = report.summary.assign(true=pd.Series(true))
            held = (summary.low <= summary.true) & (summary.true <= summary.high)
            rows += [{"drawn": drawn, "figure": name, "coverage": held[name], "width": summary.high[name] - summary.low[name]}
                     for name in SUMMARY]
    return pd.DataFrame(rows).groupby(["figure", "drawn"], sort=False)[["coverage", "width"]].mean().unstack()


def test_night_intervals_hold_and_frame_intervals_do_not(capsys):
    found = coverage(nights=30, images=30, trials=120, seed=11)
    with capsys.disabled(): print("\n95% intervals, 30 nights of 30 images, 120 trials\n", found.round(3).to_string())
    plain = ["accuracy", "macro_precision", "macro_recall", "macro_f1", "negative_log_likelihood", "brier"]
    night, frame = (found["coverage"][drawn] for drawn in ("night", "frame"))
    assert (night[plain] > 0.86).all() and (night > 0.78).all()
    assert (frame[plain] < 0.7).all()


def test_paired_intervals_hold():
    "The true difference of two models on other nights is within the interval of these."
    rng, held = np.random.default_rng(12), []

    def both(nights):
        truth, first, night = nights_of_errors(nights, 20, rng)
        second = scaled_probabilities(np.log(first) + rng.normal(0, 1.5, first.shape))
        return truth, first, second, night
    truth, first, second, _ = both(10_000)
    true = (first.argmax(1) == truth).mean() - (second.argmax(1) == truth).mean()
    for trial in range(60):
        row = paired_difference(*both(30), resamples=300, seed=trial).loc["accuracy"]
        held.append(row.low <= true <= row.high)
        alone = classification_report(truth[:600], first[:600], "abcd", np.arange(600) // 20, resamples=100).summary
        if not trial: assert row.high - row.low < (alone.high - alone.low)["accuracy"]
    assert np.mean(held) > 0.85


def test_intervals_of_few_groups_and_of_no_error():
    low, high = interval(np.ones((200, 2)), [1, 9])
    assert np.isnan([low[0], high[0]]).all() and low[1] == pytest.approx(0.025 ** (1 / 9)) and high[1] == 1
    truth = np.tile([0, 1], 50)
    report = classification_report(truth, np.eye(2)[truth], "ab", np.repeat(range(10), 10))
    assert report.summary.low["accuracy"] == pytest.approx(0.025**0.1) and report["accuracy"] == 1
    one = classification_report(truth, np.eye(2)[truth], "ab", ["n"] * 100)
    assert one.summary.low.isna().all() and "no interval can be given" in str(one)


def test_notes_say_what_is_missing():
    truth = np.array([0, 0, 1, 1, 3] * 12)
    probabilities = np.eye(4)[np.where(truth == 1, 0, truth)]
    groups = pd.Series(np.repeat([f"gill_{day}" for day in range(10)] + ["", ""], 5), name="night")
    report = classification_report(truth, probabilities, ("arc", "diffuse", "moon", "cloudy"), groups)
    notes = " ".join(report.notes)
    assert "No image is moon" in notes and "diffuse is never predicted" in notes and "10 images of unknown night" in notes
    assert report.per_class.precision["diffuse"] == 0 and np.isnan(report.per_class.recall["moon"])
    assert report["macro_recall"] == pytest.approx(2 / 3) and report.groups == 11
    assert "Leakage not measured" in report._repr_markdown_()
    given_one = SimpleNamespace(index_copy_accuracy=0.9475, majority_accuracy=0.24, median_seconds=9.0)
    shown = classification_report(truth, probabilities, "abcd", groups, given_one)._repr_markdown_()
    assert "copying the nearest training label | 0.948" in shown and "commonest class | 0.240" in shown and "9 s" in shown


@pytest.mark.parametrize("truth, probabilities, groups, words", [
    ([0, 1], [[0.5, 0.5], [0.9, 0.3]], None, "sum 1.2"),
    ([0, 1], [[0.5, 0.5], [np.nan, 1]], None, "NaN or infinity in 1 rows, the first is row 1"),
    ([0, 1], [[4.0, -3.0], [1, 0]], None, "Logits become probabilities"),
    ([0, 2], [[1, 0], [0, 1]], None, "found 2 in 1 images"),
    (["a", "moon"], [[1, 0], [0, 1]], None, "found 'moon'"),
    (["a", None], [[1, 0], [0, 1]], None, "truth: found"),
    ([0, 1, 1], [[1, 0], [0, 1]], None, "found shape (2, 2), expected (3, 2)"),
    ([0, 1], [[1, 0], [0, 1]], ["n"], "groups: found 1, expected 2"),
    ([], np.empty((0, 2)), None, "at least one image")])
def test_bad_input_is_refused(truth, probabilities, groups, words):
    with pytest.raises(AuroraError) as error: classification_report(truth, probabilities, ("a", "b"), groups)
    assert words in str(error.value)


def test_models_in_one_table():
    truth, probabilities, night = nights_of_errors(12, 20, np.random.default_rng(8))
    reports = {name: classification_report(truth, scaled_probabilities(probabilities, each), "abcd", night, resamples=100)
               for name, each in (("sharp", 0.5), ("plain", 1.0))}
    table = compare_models(reports, parameters={"plain": 12})
    assert table.accuracy.nunique() == 1 and table.expected_calibration_error.nunique() == 2
    assert table.parameters.tolist()[1] == 12 and table.index_copy_accuracy.isna().all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 6))
def test_temperature_is_that_of_a_general_minimiser(seed, factor):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (400, 5))
    truth = np.minimum((scaled_probabilities(logits).cumsum(1) < rng.random((400, 1))).sum(1), 4)

    def loss(logarithm): return metrics.log_loss(truth, scaled_probabilities(factor * logits, np.exp(logarithm)), labels=range(5))
    expected = minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(factor * logits, truth) == pytest.approx(np.exp(expected.x), rel=2e-3)


def test_reliability_counts_every_image():
    truth, probabilities, night = nights_of_errors(20, 30, np.random.default_rng(9))
    curve = reliability_curve(truth, probabilities, groups=night, resamples=200)
    right = probabilities.argmax(1) == truth
    assert curve.images.sum() == 600 and (curve.accuracy * curve.images).sum() == pytest.approx(right.sum())
    assert ((curve.low <= curve.accuracy) & (curve.accuracy <= curve.high))[curve.groups > 1].all()


def test_errors_and_expected_errors_add_up():
    truth, probabilities, night = nights_of_errors(20, 30, np.random.default_rng(10))
    table = pd.DataFrame({"station": np.where(night % 2, "gill", "fsmi"), "night": night.astype(str), "weather": "clear",
                          "time": pd.Timestamp("2014-12-20T05:00") + pd.to_timedelta(night, "D")})
    errors = error_by(truth, probabilities, table, resamples=100)
    wrong = (probabilities.argmax(1) != truth).sum()
    for _, part in errors.groupby(level=0):
        assert (part.error * part.images).sum() == pytest.approx(wrong, abs=0.01)
        assert (part.expected * part.images).sum() == pytest.approx(wrong, abs=0.01)
    assert set(errors.index.levels[0]) == {"moon", "twilight", "cloud", "station", "night"}
    found = sky_conditions(table)
    expected = sun_moon(table.time[:1].to_numpy(), "fsmi")
    assert found.moon_elevation[0] == pytest.approx(float(expected.moon_elevation[0]))


def test_tables_with_an_index_of_their_own():
    "Rows picked out of a table keep their old numbers; only their order counts."
    truth, probabilities, night = nights_of_errors(8, 25, np.random.default_rng(13))
    table = pd.DataFrame({"station": "gill", "night": night.astype(str), "time": pd.Timestamp("2014-12-20T05:00")})
    order = np.random.default_rng(1).permutation(200)
    picked = table.iloc[order]
    direct = error_by(truth[order], probabilities[order], picked.reset_index(drop=True), "night", resamples=100)
    pd.testing.assert_frame_equal(error_by(truth[order], probabilities[order], picked, "night", resamples=100), direct)
    one, other = (classification_report(truth[order], probabilities[order], "abcd", each.night, resamples=100)
                  for each in (picked, picked.reset_index(drop=True)))
    pd.testing.assert_frame_equal(one.summary, other.summary)
