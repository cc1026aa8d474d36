# Everything a fresh machine needs: `make demo` and `make test` set up .venv once and reuse it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup test lint unit bench simulate demo clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# ultralytics pulls opencv-python, which needs libGL and writes over the files of the headless wheel.
	$(BIN)/pip uninstall --quiet --yes opencv-python
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps --force-reinstall opencv-python-headless
	touch $@

test: lint unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest

bench: setup
	$(BIN)/python bench/report_speed.py
	$(BIN)/python bench/cache_build.py
	$(BIN)/python bench/trial_overhead.py
	$(BIN)/python bench/warm_start.py

simulate: setup
	$(BIN)/python bench/honest_ensembles.py
	$(BIN)/python bench/simulate.py

demo: setup
	$(BIN)/python sweeps/demo.py

clean:
	rm -rf .venv store data/synthetic reports/demo
