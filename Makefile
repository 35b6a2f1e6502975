PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# $(call pip-install,FOLDER): into a virtual environment that has no pip of its own: Debian keeps ensurepip, which
# would bring it, in a package of its own.
pip-install = $(PYTHON) -m pip --python $(1)/bin/python install --quiet --disable-pip-version-check
EDITABLE := --config-settings editable_mode=strict -e
# Each worker takes tests that stand together, and makes once what they share.
WORKERS := -n auto --dist worksteal

.PHONY: browser demo fuzz lint public test docs test-docs test-packages release-check release-tag urls lock bench bench-smoke bench-tables clean

demo: $(VENV)/installed
	@$(BIN)/python models/demo.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest $(WORKERS)

# The tests of the report open it in Chromium where it is there.
browser: $(VENV)/installed
	@$(call pip-install,$(VENV)) playwright
	@which chromium chromium-browser google-chrome 2>/dev/null | grep -q . || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

# Mutants of every kept artifact and of encoders.
fuzz: $(VENV)/installed
	PYTHONPATH=tests $(BIN)/python -m support.fuzz --mutants 20000

# The site, in build/site; a warning is an error.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

test-docs: $(VENV)/installed
	$(BIN)/python -m pytest $(WORKERS) tests/test_docs.py

# The wheel with the newest versions of what it needs, the sdist with the oldest: all tests, or those of TESTS.
test-packages: $(VENV)/installed
	rm -rf dist .venv-wheel .venv-sdist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(PYTHON) -m venv --without-pip .venv-wheel
	$(call pip-install,.venv-wheel) "$$(ls dist/*.whl)[converter,dev]"
	.venv-wheel/bin/python -m pytest $(WORKERS) $(TESTS)
	$(PYTHON) -m venv --without-pip .venv-sdist
	$(call pip-install,.venv-sdist) -c tests/oldest.txt "$$(ls dist/*.tar.gz)[converter,dev]"
	.venv-sdist/bin/python -m pytest $(WORKERS) $(TESTS)

# What would be released: the metadata of the wheel and the sdist, and the README's steps with each, outside the checkout.
release-check: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(call pip-install,$(VENV)) twine
	$(BIN)/python -m twine check --strict dist/*
	@set -e; for package in dist/*; do \
		rm -rf .venv-release; \
		$(PYTHON) -m venv --without-pip .venv-release; \
		$(call pip-install,.venv-release) "$$package[converter]"; \
		(cd / && $(CURDIR)/.venv-release/bin/python $(CURDIR)/tests/support/pages.py $(CURDIR)/README.md); \
		.venv-release/bin/modelpick --version; \
	done

# Addresses in the metadata: where the repository lives is known to whoever releases, not to the source.
urls:
	@test -n "$(REPOSITORY)" || { echo "expected REPOSITORY=https://..., got none"; exit 2; }
	@printf '\n[project.urls]\nRepository = "%s"\nDocumentation = "%s/tree/HEAD/docs"\nChangelog = "%s/blob/HEAD/CHANGELOG.md"\nIssues = "%s/issues"\n' \
		$(REPOSITORY) $(REPOSITORY) $(REPOSITORY) $(REPOSITORY) >> pyproject.toml

# Whether TAG is the version of the package, which the changelog and the citation name too.
release-tag:
	@version=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' package/__init__.py); \
	test "$(TAG)" = "v$$version" || { echo "expected the tag v$$version, got $(TAG)"; exit 2; }; \
	grep -q "^## \[$$version\] - " CHANGELOG.md || { echo "CHANGELOG.md: expected a section of $$version"; exit 2; }

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --output benchmarks/results
	$(BIN)/python benchmarks/scale.py --output benchmarks/results
	$(BIN)/python benchmarks/nodes.py --output benchmarks/results
	$(BIN)/python benchmarks/service.py --output benchmarks/results
	$(BIN)/python benchmarks/deciding.py --output benchmarks/results
	$(BIN)/python benchmarks/overhead.py --output benchmarks/results

# Comparisons with published routers, from the folder of their records: make public DATA=FOLDER
public: $(VENV)/installed
	for part in public public.tuning public.ideas public.unseen; do \
		$(BIN)/python -m benchmarks.$$part $(DATA) --output benchmarks/results || exit; \
	done
	$(BIN)/python benchmarks/tables.py

# Writes the tables of docs/ anew, from benchmarks/results.
bench-tables:
	$(PYTHON) benchmarks/tables.py

bench-smoke: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run.py --smoke
	$(BIN)/python benchmarks/scale.py --smoke
	$(BIN)/python benchmarks/nodes.py --smoke
	$(BIN)/python benchmarks/service.py --smoke
	$(BIN)/python benchmarks/deciding.py --smoke
	$(BIN)/python benchmarks/overhead.py --smoke

# The newest versions that pyproject.toml allows, with the hashes of their files, for every platform.
lock: $(VENV)/installed
	$(call pip-install,$(VENV)) uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' --extra converter --extra dev pyproject.toml --output-file requirements.txt

$(VENV)/installed-docs: $(VENV)/installed
	$(call pip-install,$(VENV)) $(EDITABLE) '.[docs]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(call pip-install,$(VENV)) $(EDITABLE) '.[bench]'
	@touch $@

$(VENV)/installed: $(VENV)/locked pyproject.toml $(wildcard package/*.py converter/*.py converter/*/*.py converter/*/*/*.py runtime/*.py runtime/*/*.py converter/report/templates/*)
	@# With the setuptools of requirements.txt, not one that pip would download for the build.
	@$(call pip-install,$(VENV)) --no-deps --no-build-isolation $(EDITABLE) .
	@touch $@

$(VENV)/locked: requirements.txt
	@echo "installing the packages of requirements.txt into $(VENV)"
	@$(PYTHON) -m venv --without-pip $(VENV)
	@$(call pip-install,$(VENV)) --require-hashes -r requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info
