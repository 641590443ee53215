# `make help` lists the targets. The first use of any installs what the machine lacks: containers/host/packages.txt.
.DEFAULT_GOAL := help
.PHONY: help setup lint check ready test coverage demo bench screenshots format clean

VENV := .venv
BIN := $(VENV)/bin
# Debian's own Python has the rpm bindings, whatever else is first on PATH.
PYTHON := /usr/bin/python3
# Root's folder of programs: not even root has it on PATH after `su` without "-".
export PATH := $(PATH):/usr/sbin:/sbin
# Mounting layers needs root, which then has the user's environment: pip's configuration, proxies, certificates. What it
# keeps goes below .cache, since elsewhere it would stand in the user's way.
KEPT_BY_ROOT := PYTHONDONTWRITEBYTECODE=1 COVERAGE_FILE=.cache/coverage HYPOTHESIS_STORAGE_DIRECTORY=.cache/hypothesis \
	PYTEST_ADDOPTS="--override-ini=cache_dir=.cache/pytest"
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env $(KEPT_BY_ROOT))
# Two runs at once take turns.
IN_TURN := flock containers/host

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

setup: $(VENV)/.complete ## install host packages and the Python side

$(VENV)/.complete: pyproject.toml containers/host/packages.txt containers/host/constraints.txt
	$(IN_TURN) containers/host/install.sh
	$(IN_TURN) sh -c 'test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)'
	$(IN_TURN) $(BIN)/pip install --quiet --disable-pip-version-check --constraint containers/host/constraints.txt --editable '.[dev]'
	touch $@

lint: setup ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## the fast part: lint, types, layers, unit tests
	$(BIN)/python -m pytest --quiet tests/unit

# By files: what a file's tests share is made once. The longest come first, so that none runs alone at the end.
ALL_TESTS := $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder --durations=25 \
	$(addprefix tests/,faults hostile e2e browser integration contract unit)

# Side by side, because each uses one processor. The user's own folder, before root makes it.
ready: setup
	@mkdir -p .cache
	@$(MAKE) --no-print-directory --jobs=3 --output-sync lint .cache/rpm-distribution .cache/provider

test: ready ## everything, with the real tools
	$(AS_ROOT) $(ALL_TESTS)

coverage: ready ## the same, and which lines no test runs; takes longer
	$(AS_ROOT) $(ALL_TESTS) --cov --cov-report=term

.cache/rpm-distribution: setup
	$(AS_ROOT) $(BIN)/python containers/rpm-distribution/make.py --output $@

# People sign in with it in tests. An environment of its own: it brings a package `tests`.
.cache/provider: containers/host/provider.txt
	$(PYTHON) -m venv --clear $@
	$@/bin/pip install --quiet --disable-pip-version-check --requirement containers/host/provider.txt || { rm -rf $@; exit 1; }

demo: setup .cache/rpm-distribution ## build two libraries and nova as RPMs and debs, and install from their repositories
	$(AS_ROOT) $(BIN)/python containers/demo/demo.py

bench: setup .cache/rpm-distribution ## measure each performance claim as a ratio
	$(AS_ROOT) $(BIN)/python bench/run

screenshots: setup ## write pictures of each page to .cache/screenshots, at two sizes and in both themes
	$(AS_ROOT) $(BIN)/python -m tests.browser.screenshots --output .cache/screenshots

format: setup ## put the code into its standard form
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

clean: ## remove the virtual environment, caches and the demonstration's data
	$(AS_ROOT) rm -rf $(VENV) .cache .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage \
		build *.egg-info
	$(AS_ROOT) find bench containers conveyor tests -name __pycache__ -prune -exec rm -rf {} +
