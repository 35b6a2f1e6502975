PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := pip install --quiet --disable-pip-version-check

# $(call make-venv,FOLDER): Debian keeps ensurepip, without which venv stops, in a package of its own; virtualenv brings
# its own pip, and pip may put it into a folder of the project.
make-venv = if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(1); else \
	$(PYTHON) -m $(PIP_INSTALL) --upgrade --target .tools virtualenv && PYTHONPATH=.tools $(PYTHON) -m virtualenv --quiet $(1); fi

.PHONY: browser demo lint test docs test-docs test-packages release-check bench bench-smoke bench-tables clean

demo: $(VENV)/installed
	@$(BIN)/python models/demo.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n auto

# The tests of the report open it in Chromium where it is there.
browser: $(VENV)/installed
	$(BIN)/$(PIP_INSTALL) playwright
	@which chromium chromium-browser google-chrome 2>/dev/null | grep -q . || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

# The site, in build/site; a warning is an error.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

test-docs: $(VENV)/installed
	$(BIN)/python -m pytest -n auto tests/test_docs.py

# The wheel with the newest versions of what it needs, and the floor of coverage; the sdist with the oldest.
test-packages: $(VENV)/installed
	rm -rf dist .venv-wheel .venv-sdist
	$(BIN)/python -m build --outdir dist
	@$(call make-venv,.venv-wheel)
	.venv-wheel/bin/$(PIP_INSTALL) "$$(ls dist/*.whl)[converter,dev]"
	.venv-wheel/bin/python -m pytest -n auto --cov
	@$(call make-venv,.venv-sdist)
	.venv-sdist/bin/$(PIP_INSTALL) -c tests/oldest.txt "$$(ls dist/*.tar.gz)[converter,dev]"
	.venv-sdist/bin/python -m pytest -n auto

# What would be released: the metadata of the wheel and the sdist, and the README's steps with each, outside the checkout.
release-check: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/$(PIP_INSTALL) twine
	$(BIN)/python -m twine check --strict dist/*
	@set -e; for package in dist/*; do \
		rm -rf .venv-release; \
		$(call make-venv,.venv-release); \
		.venv-release/bin/$(PIP_INSTALL) "$$package[converter]"; \
		(cd / && $(CURDIR)/.venv-release/bin/python $(CURDIR)/tests/pages.py $(CURDIR)/README.md); \
		.venv-release/bin/modelpick --version; \
	done

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --output benchmarks/results
	$(BIN)/python benchmarks/scale.py --output benchmarks/results
	$(BIN)/python benchmarks/nodes.py --output benchmarks/results
	$(BIN)/python benchmarks/service.py --output benchmarks/results
	$(BIN)/python benchmarks/overhead.py --output benchmarks/results

# Writes the tables of README.md and docs/ anew, from benchmarks/results.
bench-tables:
	$(PYTHON) benchmarks/tables.py

bench-smoke: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --smoke
	$(BIN)/python benchmarks/scale.py --smoke
	$(BIN)/python benchmarks/nodes.py --smoke
	$(BIN)/python benchmarks/service.py --smoke
	$(BIN)/python benchmarks/overhead.py --smoke

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/$(PIP_INSTALL) -e '.[docs]' --config-settings editable_mode=strict
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/$(PIP_INSTALL) -e '.[bench]' --config-settings editable_mode=strict
	@touch $@

$(VENV)/installed: pyproject.toml $(wildcard package/*.py converter/*.py converter/*/*.py runtime/*.py runtime/*/*.py converter/report/templates/*)
	@$(call make-venv,$(VENV))
	$(BIN)/$(PIP_INSTALL) -e '.[converter,dev]' --config-settings editable_mode=strict
	@touch $@

clean:
	rm -rf $(VENV) .venv-* .tools build dist *.egg-info
