# `make demo` shows facepipe at work, `make test` proves it. Both need Python 3.11+ and make only.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test conformance lint types contracts clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("facepipe needs Python 3.11 to 3.14, this is " + sys.version) if not (3, 11) <= sys.version_info[:2] < (3, 15) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[demo,test]'
	$(PIP) --no-deps stlpips-pytorch
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py demo

test: $(VENV)/.test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

conformance: $(VENV)/.test
	$(BIN)/python tests/conformance/matrix.py --markdown docs/conformance.md

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

contracts: $(VENV)/.test
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo .coverage* htmlcov
