PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-packages bench bench-smoke clean

demo: $(VENV)/installed
	@$(BIN)/python models/demo.py

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto

# The wheel with the newest versions of what it needs, the sdist with the oldest.
test-packages: $(VENV)/installed
	rm -rf dist .venv-wheel .venv-sdist
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[converter,dev]"
	.venv-wheel/bin/python -m pytest -n auto
	$(PYTHON) -m venv .venv-sdist
	.venv-sdist/bin/pip install --quiet --disable-pip-version-check -c tests/oldest.txt "$$(ls dist/*.tar.gz)[converter,dev]"
	.venv-sdist/bin/python -m pytest -n auto

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --output benchmarks/results
	$(BIN)/python benchmarks/service.py --output benchmarks/results

bench-smoke: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --smoke
	$(BIN)/python benchmarks/service.py --smoke

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]' --config-settings editable_mode=strict
	@touch $@

$(VENV)/installed: pyproject.toml $(wildcard package/*.py converter/*.py converter/*/*.py runtime/*.py runtime/*/*.py)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[converter,dev]' --config-settings editable_mode=strict
	@touch $@

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info
