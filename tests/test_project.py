"The house in order: export in sync, notebooks clean, no orphans, floors kept, versions agreeing, every module importable alone."
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT

from aurora_nb import dev

NOTEBOOKS = sorted(path for path in (PROJECT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
MODULES = sorted(".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
                 for path in (PROJECT / "aurora_nb").rglob("*.py"))


def run(*command, cwd=PROJECT):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A copy of the project in which nbdev may write."
    folder = tmp_path_factory.mktemp("copy") / "aurora_nb"
    folder.mkdir()
    for name in ("nbs", "aurora_nb"): shutil.copytree(PROJECT / name, folder / name)
    for name in ("settings.ini", "setup.py", "pyproject.toml"): shutil.copy(PROJECT / name, folder)
    return folder


def files(folder, pattern):
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob(pattern)
            if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)}


def changed(before, after):
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def test_export_is_in_sync(copy):
    before = files(copy / "aurora_nb", "*.py")
    run(f"{sys.prefix}/bin/nbdev-export", cwd=copy)
    assert not changed(before, files(copy / "aurora_nb", "*.py")), "run nbdev-export and commit what it changes"


def test_notebooks_are_clean(copy):
    before = files(copy / "nbs", "*.ipynb")
    run(f"{sys.prefix}/bin/nbdev-clean", cwd=copy)
    assert not changed(before, files(copy / "nbs", "*.ipynb")), "run nbdev-clean and commit what it changes"


def test_floors_names_versions():
    assert dev.floor_faults(PROJECT) + dev.name_faults(PROJECT) + dev.version_faults(PROJECT) == []


def test_a_broken_floor_is_named(copy):
    with (copy / "aurora_nb/frames.py").open("a") as file: file.write("\nfrom aurora_nb import dev\n")
    fault, = dev.floor_faults(copy)
    assert "frames.py" in fault and "aurora_nb.dev" in fault


def test_readme_is_rendered_from_the_index():
    assert (PROJECT / "README.md").read_text(encoding="utf-8") == dev.readme_text(PROJECT), "run make readme"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_fit_to_read(notebook):
    assert dev.notebook_faults(notebook) == []


FOR_THEIR_EFFECT = "'aurora_nb.learn' imported", "'fastai.callback."  # torchvision fits; fit_one_cycle, no_bar


def test_pyflakes_is_silent():
    done = subprocess.run([sys.executable, "-m", "pyflakes", "aurora_nb", "tests", "training", "setup.py"], cwd=PROJECT,
                          capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if not any(effect in line for effect in FOR_THEIR_EFFECT)]
    assert found == [] and done.stderr == ""


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_alone(module):
    run(sys.executable, "-W", "error::SyntaxWarning", "-c", f"import {module}")


def test_nothing_heavy_below_the_learning_floors():
    heavy = {"torch", "fastai", "cartopy", "matplotlib.pyplot"}
    light = [name for name, number in dev.module_numbers(PROJECT).items() if number < "30"]
    code = f"import sys, {', '.join(light)}; print(sorted({heavy!r} & set(sys.modules)))"
    assert run(sys.executable, "-c", code).strip() == "[]"
