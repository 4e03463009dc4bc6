# make install | demo | test | check | bench | accuracy | test-cluster
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install demo test test-cluster check bench accuracy clean

install: $(VENV)/.installed
test-install: $(VENV)/.test-installed

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "piazzi needs Python 3.11 or later"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(PIP) --editable '.[test]'
	touch $@

demo: install
	$(BIN)/piazzi demo demo

test: test-install
	$(BIN)/python -m pytest

test-cluster: test-install
	$(BIN)/python -m pytest -m cluster

check: test-install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: test-install
	$(BIN)/python -m tests.bench

accuracy: test-install
	$(BIN)/python -m tests.accuracy

clean:
	rm -rf $(VENV) demo bench.json accuracy.json build *.egg-info
