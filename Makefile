# `make demo` shows facepipe at work, `make test` proves it. Both need Python 3.11+ and make only.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test test-oldest test-newest conformance lint types contracts clean

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

# The quicker tests with the lowest and with the newest versions that pyproject.toml allows, each in
# an environment made anew. PyTorch is the one of constraints.txt, which says how to have it small.
test-oldest: PINS := --constraint constraints-oldest.txt
test-oldest test-newest: test-%:
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet $$(grep ^torch== constraints.txt)
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet $(PINS) --editable '.[demo,test]'
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps stlpips-pytorch
	.venv-$*/bin/python -m pytest tests/unit tests/integration/test_cli.py

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
	rm -rf $(VENV) .venv-oldest .venv-newest demo .coverage* htmlcov
