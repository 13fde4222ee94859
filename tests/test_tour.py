"""The tour on real files: the notebook itself, with its first cell changed as a user would change it.

The figures are left in test-output/tour/<name> to be looked at.
"""
import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT
from nbclient import NotebookClient

from aurora_nb.occurrence.counts import open_counts

TOUR = PROJECT / "nbs/tutorials/00_tour.ipynb"
FIGURES = {"one_frame", "keogram", "detection", "occurrence_by_local_time", "occurrence_by_hour", "occurrence_dial",
           "forms_by_local_time"}
LEAST_RIGHT = 0.7  # found 0.78; what is missed most are thin clouds and dark skies behind lamps
CLASSES = ["arc", "diffuse", "discrete", "cloudy", "moon", "noaurora"]


def run_tour(name, imports="", **parameters):
    "Run the tour with these parameters; the folder of its results and everything it printed."
    notebook = nbformat.read(TOUR, as_version=4)
    results = PROJECT / "test-output/tour" / name
    shutil.rmtree(results, ignore_errors=True)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source.startswith("FOLDER = None")
    changed = "\n".join(f"{key} = {value}" for key, value in (parameters | {"RESULTS": repr(str(results))}).items())
    first.source += f"\n{imports}\n{changed}"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": TOUR.parent}}).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert {path.stem for path in results.glob("*.png")} >= FIGURES
    labels = pd.read_parquet(results / "labels.parquet")
    assert labels.index.names == ["station", "time"] and sorted(labels.label.cat.categories) == sorted(CLASSES)
    return results, said


def test_samples():
    results, said = run_tour("samples")
    table = pd.read_parquet(results / "occurrence.parquet")
    counts = open_counts(results / "counts.nc")
    assert counts.sizes["night"] == 5 and "auroral cell-frames the method found" in said
    best = table.dropna(subset=["rate"])
    outside = np.maximum(best.lower - best.rate, best.rate - best.upper)
    assert outside.max() < 1e-6 and best.rate.max() > 0.1
    assert np.array_equal(table.auroral_count.sum(), counts.auroral_count.sum())
    labels, forms = (pd.read_parquet(results / f"{name}.parquet") for name in ("labels", "forms"))
    assert len(labels) == 3000 and np.allclose(labels[CLASSES].sum(axis=1), 1, atol=1e-3)
    assert len(forms) == 240 * 6 and np.allclose(forms.groupby("local_time").rate.sum(min_count=6).dropna(), 1)
    truth = pd.read_csv(PROJECT / "data_samples/truth/gill_classes.csv", parse_dates=["time"])
    right = (labels.label.astype(str).to_numpy() == truth.oath.to_numpy())[labels.usable]
    assert right.mean() >= LEAST_RIGHT and (results / "dayside_forms_by_local_time.png").is_file()


def test_themis_cdf_with_its_skymap(shared_data):
    folder = shared_data / "themis_cdf"
    results, said = run_tour("themis_cdf", FOLDER=repr(str(folder / "thg_l1_asf_*.cdf")),
                             SKYMAP=repr(str(next(folder.glob("*.sav")))))
    assert "23 frames of gako, 256 x 256 pixels of uint16" in said
    assert open_counts(results / "counts.nc").usable_count.sum() == 0  # 17 UT in January: bright twilight


def test_themis_pgm_without_a_skymap(shared_data):
    _, said = run_tour("themis_pgm", FOLDER=repr(str(shared_data / "themis_pgm")))
    assert "120 frames of gill" in said and "equidistant lens" in said


def test_dasc_with_azimuth_and_elevation(shared_data):
    _, said = run_tour("dasc_fits", FOLDER=repr(str(shared_data / "dasc_fits")), LAG=repr("13s"),
                       CONDITIONS="dict(max_starless_fraction=None)")
    assert "2 frames of pkr, 512 x 512" in said and "skymap of pkr" in said


def test_longyearbyen_pictures(shared_data):
    _, said = run_tour("kho_pictures", FOLDER=repr(str(shared_data / "kho_color/*.jpg")), STATION=repr("kho"),
                       LENS="dict(radius=225, centre=(358, 237))")
    assert "480 x 720 x 3 pixels of uint8" in said


@pytest.mark.timeout(1200)
def test_longyearbyen_movie(shared_data):
    _, said = run_tour("kho_movie", "from aurora_nb.readers.movies import Movies",
                       FOLDER=repr(str(shared_data / "kho_color/kho1.mp4")), STATION=repr("kho"), LAG=repr("10s"),
                       READER="Movies(start='2013-12-04T18:49:00', cadence='1s')",
                       LENS="dict(radius=100, centre=(166, 130), rotation_deg=-31)")
    assert "3601 frames of kho, 240 x 320 x 3 pixels of uint8" in said
