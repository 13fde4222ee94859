"Real frames labelled by eye: the table is whole, and what a model without a real label in training makes of them."
import numpy as np
import pytest
from conftest import PROJECT
from real_frames import (OATH_AURORA, OATH_CLASSES, disc_of, judge_real, prepared_real, real_image, real_labels,
                         real_scores)

from aurora_nb.learn.discs import usual_disc
from aurora_nb.learn.preparation import Preparation
from aurora_nb.learn.saved import load_model, shipped_models

LEAST_AURORA, LEAST_FORM = 0.88, 0.57  # measured: 0.925 and 0.612; 0.85 of both is the aim


def test_labels_are_whole():
    table = real_labels()
    assert not table.duplicated(["file", "frame"]).any() and len(table) >= 80
    known = {"aurora": {"yes", "no"}, "aurora_doubt": {"sure", "doubtful"}, "doubt": {"sure", "doubtful"},
             "form": {*OATH_AURORA, "none"}, "sky": {"clear", "cloudy", "moon", "twilight", "dark"},
             "only_at_rim": {"yes", "no"}, "oath": set(OATH_CLASSES), "oath_published": {*OATH_CLASSES, ""}}
    for column, allowed in known.items(): assert set(table[column]) <= allowed, column
    assert (table.reason.str.len() > 20).all()
    assert ((table.form == "none") == (table.aurora == "no")).all()
    auroral = table.oath.isin(OATH_AURORA)
    assert (table.oath == table.form)[auroral].all()
    assert ((table.aurora == "no") | auroral | (table.doubt == "doubtful")).all()  # aurora under cloud is in doubt
    assert all(disc_of(file).radius > 50 for file in table.file)


def test_labels_fit_the_files(shared_data):
    table = real_labels()
    missing = [file for file in table.file.unique() if not (shared_data / file).is_file()]
    assert not missing
    oath = table[table.file.str.startswith("oath/")]
    assert sorted(oath.file.str[5:]) == sorted(path.name for path in (shared_data / "oath").glob("*.png"))
    pictures = {f"kho_color/{path.name}" for path in (shared_data / "kho_color").glob("*.jpg")}
    assert set(table.file) >= pictures and len(pictures) == 16
    published = (shared_data / "oath/labels_of_the_10_images.csv").read_text().splitlines()[1:]
    told = {line.split(",")[2]: line.split(",")[3] for line in published}
    assert dict(zip(oath.file.str[5:10], oath.oath_published)) == told


def test_frames_show_sky_inside_their_discs(shared_data):
    table = real_labels()
    pictures = prepared_real(shared_data, table, Preparation(size=64))
    assert pictures.shape == (len(table), 1, 64, 64)
    inside = usual_disc((64, 64)).mask((64, 64))
    assert (pictures[:, 0, ~inside] < 1e-6).all()
    assert (pictures[:, 0][:, inside].std(1) > 0.05).all()
    for row in table.itertuples():
        image, disc = real_image(shared_data, row.file, row.frame)
        assert image.dtype in (np.uint8, np.uint16, np.int16), row.file
        assert 0 <= disc.row < image.shape[0] and 0 <= disc.column < image.shape[1], row.file


def test_shipped_model_on_real_frames(shared_data):
    "No real label was in its training. The table and the failures are left in test-output/real_frames.txt."
    if "oath" not in shipped_models(): pytest.skip("no model 'oath' comes with the package yet")
    judged = judge_real(shared_data, load_model("oath"))
    scores = real_scores(judged)
    wrong = judged[(judged.aurora != judged.found_aurora) | (judged.form != judged.found_form)]
    columns = ["file", "frame", "aurora", "form", "doubt", "found", "probability", "reason"]
    report = PROJECT / "test-output/real_frames.txt"
    report.parent.mkdir(exist_ok=True)
    report.write_text(f"{scores.to_string()}\n\n{wrong[columns].to_string(index=False)}\n")
    assert scores.aurora["the three named sets"] >= LEAST_AURORA, report.read_text()
    assert scores.form["the three named sets"] >= LEAST_FORM, report.read_text()
