# Everything a fresh machine needs: `make demo` and `make test` set up .venv once and reuse it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup test lint docs unit bench gpu-check simulate demo clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# ultralytics pulls opencv-python, which needs libGL and writes over the files of the headless wheel.
	$(BIN)/pip uninstall --quiet --yes opencv-python
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps --force-reinstall opencv-python-headless
	touch $@

test: lint docs unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# The site in site/. A dead link or an undocumented public name fails it; the code in its pages is run by the tests.
docs: setup
	# Not --quiet: what is not logged is not counted as a warning, and a dead link would pass.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

unit: setup
	$(BIN)/pytest

bench: setup
	$(BIN)/python bench/report_speed.py
	$(BIN)/python bench/cache_build.py
	$(BIN)/python bench/trial_overhead.py
	$(BIN)/python bench/warm_start.py

# On a machine with a CUDA GPU, in under seven minutes: tests, then a bench beside a plain loop; the table of both ends it.
gpu-check: setup
	mkdir -p build/gpu && rm -f build/gpu/*
	-$(BIN)/pytest -m gpu tests/gpu --quiet --junitxml build/gpu/tests.xml
	$(BIN)/python bench/gpu.py --tests build/gpu/tests.xml --json build/gpu/bench.json

simulate: setup
	$(BIN)/python bench/honest_ensembles.py
	$(BIN)/python bench/honest_ensembles.py --shift 3
	$(BIN)/python bench/simulate.py
	$(BIN)/python bench/simulate_verdicts.py

demo: setup
	$(BIN)/python sweeps/demo.py

clean:
	rm -rf .venv site store build data/synthetic reports/demo
