# make tour   sample files to figures in tour/        make lab    JupyterLab with the notebooks
# make test   every check, also in a real browser     make bench  speeds as ratios, measured in one run
PYTHON ?= python3
BIN := .venv/bin
FOLDER ?=
export MPLBACKEND ?= Agg

.PHONY: tour test lab bench readme clean
.DELETE_ON_ERROR:

.venv/ready: settings.ini setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aurora_nb needs Python 3.11 or newer; name one with: make PYTHON=python3.11")'
	@sh tests/system_packages.sh compiler
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.venv-peers/ready: tests/benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet -r $<
	@touch $@

tour: .venv/ready
	$(BIN)/aurora_nb tour $(FOLDER)

lab: .venv/ready
	$(BIN)/jupyter lab nbs/tutorials/00_tour.ipynb

test: .venv/ready
	@sh tests/system_packages.sh chromium
	$(BIN)/python -m pytest

bench: .venv/ready .venv-peers/ready
	$(BIN)/python tests/benchmarks/run.py

readme: .venv/ready
	$(BIN)/python -c 'from aurora_nb.dev import write_readme; write_readme()'

clean:
	rm -rf .venv .venv-peers tour bench test-output
