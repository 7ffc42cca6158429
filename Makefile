# Everything a person types. `make demo` and `make test` set themselves up on a machine with Python 3.11+, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check venv bench constraints clean

demo: venv
	@$(BIN)/storyreel run manifests/lighthouse.yaml --simulate

test: venv
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Storyreel needs Python 3.11 or later; name one with make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV) (once, about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

bench: venv
	$(BIN)/python -m benchmarks

# The whole tree, exact versions, for Python 3.11 and later on every platform. Needs uv (pip install uv).
# prefect comes out as 3.8.8: 3.9 wants a certifi newer than the newest to be had. fastapi: see pyproject.toml.
constraints:
	@echo "# The whole tree, exact versions. Made by 'make constraints'; do not edit by hand." > constraints.txt
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --quiet >> constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
