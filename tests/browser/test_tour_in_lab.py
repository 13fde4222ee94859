"The tour, opened and run in JupyterLab as a newcomer runs it, down to the explorer at its end."
import nbformat
from conftest import PROJECT

TOUR = PROJECT / "nbs/tutorials/00_tour.ipynb"


def test_tour_runs_and_its_explorer_answers(lab, tmp_path):
    notebook = nbformat.read(TOUR, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source += f'\nFOLDER, RESULTS = "{PROJECT}/data_samples/gill", "{tmp_path}/tour"'
    nbformat.write(notebook, tmp_path / "tour.ipynb")
    page = lab.open(file=tmp_path / "tour.ipynb")
    page.page.set_default_timeout(240_000)
    page.run_all()
    explorer = page.page.locator(".aurora-explorer")
    explorer.scroll_into_view_if_needed()
    assert "2015-01-22 01:00:00 UTC" in explorer.inner_text()
    explorer.locator(".noUi-handle").first.press("ArrowRight")
    page.page.wait_for_function("document.querySelector('.aurora-explorer').innerText.includes('01:01:00 UTC')")
    assert page.kernel("explorer.state.index") == 1
    page.screenshot("tour_in_lab", explorer)
    assert not page.complaints()
    page.close()
