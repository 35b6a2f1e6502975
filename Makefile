PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test bench bench-smoke clean

demo: $(VENV)/installed
	@$(BIN)/python models/demo.py

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --output benchmarks/results

bench-smoke: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --smoke

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]' --config-settings editable_mode=strict
	@touch $@

$(VENV)/installed: pyproject.toml $(wildcard converter/*.py converter/graphs/*.py runtime/*.py)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[converter,dev]' --config-settings editable_mode=strict
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
