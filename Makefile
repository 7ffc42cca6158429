# Everything a person types. `make demo` and `make test` set themselves up on a machine with Python 3.11+, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
USER_STAMP := $(VENV)/.installed-user
DEV_STAMP := $(VENV)/.installed-dev
TESTS ?=
# What a run's processes import. Imported once in the set-up, it is compiled once: uv leaves that to the first use, pip compiles all.
IMPORTED := storyreel.flows.server.serving, storyreel.flows.render, storyreel.cli.commands.run, storyreel.cli.display, storyreel.simulator.serve, storyreel.film.media.intake, \
	storyreel.film.assembly, storyreel.report.writers.html, alembic.command, pandas
IMPORTED_BY_TESTS := $(IMPORTED), prefect.cli.deploy, prefect.workers.process, pytest, xdist, hypothesis, openai, schemathesis, moto.server

.DEFAULT_GOAL := help
.PHONY: help demo test check format schema coverage venv bench constraints clean

help:  ## these lines
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo: $(USER_STAMP)  ## set up what a user needs, and render an example on the simulator
	@$(BIN)/storyreel run manifests/lighthouse.yaml --simulate

test: $(DEV_STAMP)  ## the whole suite, about five minutes on two cores; TESTS=tests/unit for a part
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations=10 $(TESTS)

check: $(DEV_STAMP)  ## format, lint, types and unit tests: before every commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(PYTHON) .ci/typing.py
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit

format: $(DEV_STAMP)  ## format the code, and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(DEV_STAMP)  ## make the JSON Schemas and the language reference again from the code
	$(BIN)/storyreel schema > manifests/schema.json
	$(BIN)/storyreel schema --of catalog > manifests/catalog.schema.json
	$(BIN)/storyreel schema --of language > docs/language.md

coverage: $(DEV_STAMP)  ## unit and integration tests, and how much of the code they run
	$(BIN)/python -m coverage run -m pytest tests/unit tests/integration
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

venv: $(DEV_STAMP)  ## only set up .venv, with what developers need

$(USER_STAMP): pyproject.toml constraints.txt .ci/install.py
	$(call install,.,$(IMPORTED))

$(DEV_STAMP): pyproject.toml constraints.txt .ci/install.py
	$(call install,.[dev],$(IMPORTED_BY_TESTS))
	@touch $(USER_STAMP)

# The first argument is what to install, the second what to import then. uv installs, or pip where uv cannot be had (.ci/install.py).
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Storyreel needs Python 3.11 or later; name one with make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) .ci/install.py $(VENV) -c constraints.txt -e '$(1)'
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import $(2)'
	@touch $@
endef

bench: $(DEV_STAMP)  ## measure, each thing beside another
	$(BIN)/python -m benchmarks

# Exact versions of the whole tree, for Python 3.11 and later on every platform. Needs uv (in .venv after `make venv`).
# What is pinned stays: name what to raise, as in `make constraints UPGRADE='-P prefect'`, or everything with UPGRADE=-U.
constraints:  ## pin the whole tree again after a change of pyproject.toml
	@export PATH="$(abspath $(BIN)):$$PATH"; uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--custom-compile-command "make constraints" --no-annotate --no-emit-index-url --no-emit-find-links \
		--quiet -o constraints.txt $(UPGRADE)

clean:  ## remove what was set up and built; runs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
