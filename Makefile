# Every target works as the only command on a fresh checkout: it makes .venv, installs the
# pinned dependencies, and runs. Needs Python 3.11 or later, make and the network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := .ci/constraints.txt
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test faults network lint types sim scale screenshots bench others clean

help: ## Show what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

$(READY): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

demo: $(READY) ## Start three nodes, break them, and watch them converge
	$(BIN)/softadastra demo $(DEMO)

test: $(READY) ## Run all tests but the real faults and those on networks of their own
	$(BIN)/python -m pytest --ignore=tests/faults -m "not namespaces" $(TESTS)

faults: $(READY) ## Run the real faults, as root: power cuts, full disks, failed syncs
	$(BIN)/python -m pytest -rs tests/faults $(FAULTS)

network: $(READY) ## Run nodes on networks of their own, as root, beside avahi
	$(BIN)/python -m pytest -rs -m namespaces tests/network $(NETWORK)

lint: $(READY) ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Check types
	$(BIN)/mypy

sim: $(READY) ## Run simulated clusters: SEEDS=500, or SEED=123 to replay one
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),100)) $(SIM)

scale: $(READY) ## Simulate 10 to 1,000 nodes, and write docs/scale.md; a quarter of an hour
	$(BIN)/python -m tests.scale $(SCALE)

screenshots: $(READY) ## Take the pictures of docs/dashboard.md anew; needs chromium
	SCREENSHOTS=docs/images BROWSER_MUST_RUN=1 $(BIN)/python -m pytest tests/dashboard/test_pictures.py

bench: $(READY) ## Measure beside the bare parts, 7 minutes; BENCH="--group ycsb" others
	$(BIN)/python -m tests.benchmarks $(BENCH)

others: $(READY) ## Measure beside LMDB, Redis, PouchDB and others, installing what pip and npm have
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[dev,others]'
	mkdir -p build/pouchdb
	cp tests/benchmarks/pouchdb/package.json build/pouchdb
	! command -v npm >/dev/null || npm install --prefix build/pouchdb --no-audit --no-fund --no-package-lock
	$(BIN)/python -m tests.benchmarks --group others $(BENCH)

clean: ## Remove what make made
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis
