"Every notebook runs from top to bottom, each in a process of its own, as `nbdev-test` runs it."
import os
import subprocess
import sys

import pytest
from test_project import NOTEBOOKS, PROJECT


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.relative_to(PROJECT / "nbs").with_suffix("").as_posix())
def test_notebook_runs(notebook, tmp_path):
    command = [f"{sys.prefix}/bin/nbdev-test", str(notebook), "--n-workers", "0", "--verbose"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600,
                          env=os.environ | {"AURORA_NB_TOUR_FOLDER": str(tmp_path), "MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
