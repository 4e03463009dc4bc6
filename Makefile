# make install | demo | test | check | bench | scale | accuracy | test-cluster
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SCRIPTS := .ci/run deploy/tls/certificates.sh $(wildcard deploy/slurm/*.sbatch) $(addprefix tests/slurm/,install up down)
# Not the DaskCluster, a kind of Dask's own: tests/deploy looks at its pods.
MANIFESTS := deploy/kubernetes/claim.yaml deploy/kubernetes/job.yaml $(wildcard deploy/kubernetes/tls/*.yaml)

.PHONY: install demo test test-cluster check bench scale accuracy clean

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
	tests/slurm/install
	$(BIN)/python -m pytest -m cluster

check: test-install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict --config-file deploy/.yamllint deploy compute
	$(BIN)/shellcheck $(SCRIPTS)
	if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint deploy/container/Containerfile; fi
	$(BIN)/kubernetes-validate --strict --quiet $(MANIFESTS)

bench: test-install
	$(BIN)/python -m tests.bench

scale: test-install
	$(BIN)/python -m tests.bench.scale

accuracy: test-install
	$(BIN)/python -m tests.accuracy

clean:
	rm -rf $(VENV) demo bench.json scale.json accuracy.json build *.egg-info
