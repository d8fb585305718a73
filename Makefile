# `make demo` shows facepipe at work, `make test` proves it. Both need Python 3.11+ and make only.
PYTHON ?= python3
VENV ?= .venv
# What runs the tests.
PYTEST ?= pytest
# How many tests run at once: `make test JOBS=1` runs them one after the other. One more than there
# are processors, as many tests wait for processes that they started.
JOBS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help demo test test-oldest test-newest proof proof-alone conformance stress docs lint types contracts clean

help:
	@echo "make demo         a small video, enhanced: pictures to look at"
	@echo "make test         the tests, in parallel"
	@echo "make proof        all tests, with coverage; none may be skipped"
	@echo "make conformance  docs/conformance.md: 701 videos, each property held against the source"
	@echo "make stress       kills, interrupts, corrupt files"
	@echo "make docs         the documentation as a site, with its links checked: build/site"
	@echo "make lint types contracts"

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

# All that any test can use, so that none has a reason to be skipped.
$(VENV)/.proof: $(VENV)/.test
	$(PIP) --editable '.[demo,test,heic,identity,remote]' 'moto[server]'
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py demo

test: $(VENV)/.test
	$(BIN)/$(PYTEST) --numprocesses $(JOBS) --dist loadgroup

# The quicker tests with the lowest and with the newest versions that pyproject.toml allows, each in
# an environment made anew. PyTorch is the one of constraints.txt, which says how to have it small;
# so what PyTorch alone does is tested by `make test`, as are the documents.
test-oldest: PINS := --constraint constraints-oldest.txt
test-oldest test-newest: test-%:
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet $$(grep -E '^torch(vision)?==' constraints.txt)
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet $(PINS) --editable '.[demo,test]'
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps stlpips-pytorch
	.venv-$*/bin/python -m pytest --numprocesses $(JOBS) --dist loadgroup \
		--ignore tests/unit/training --ignore tests/unit/evaluation \
		--ignore tests/unit/models/test_networks.py --ignore tests/unit/test_documents.py \
		tests/unit tests/integration/test_cli.py

# Every test, the long ones too; none may be skipped, and the coverage is measured.
proof: $(VENV)/.proof
	$(BIN)/coverage erase
	$(MAKE) proof-alone

# The same, added to the coverage that was measured before.
proof-alone: $(VENV)/.proof
	FACEPIPE_FAIL_ON_SKIP=1 $(BIN)/coverage run -m pytest --numprocesses $(JOBS) --dist loadgroup -m 'long or not long'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Writes docs/conformance.md: 701 videos, each property held against the source.
conformance: $(VENV)/.test
	$(BIN)/python tests/conformance/matrix.py --markdown docs/conformance.md

# Kills, interrupts and corrupt files, with counts that end within about 15 minutes on two cores.
stress: $(VENV)/.test
	$(BIN)/python tests/stress

# The documentation as a site, with its links checked: build/site/index.html.
docs: $(VENV)/.test
	$(BIN)/python docs/site/build.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

contracts: $(VENV)/.test
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .venv-bare .venv-oldest .venv-newest demo build .coverage* htmlcov
