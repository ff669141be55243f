# Two commands are enough: `make run` serves, `make test` checks everything.
PYTHON ?= python3.11
SERVE := .venv
TEST := .venv-test
BENCH := .venv-bench
CLUSTER := .venv-cluster
PIP_FLAGS := --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help run test test-fast test-slow test-cluster lint e2e train results bench bench-search clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(SERVE)/installed: pyproject.toml constraints.txt
	@echo "Setting up $(SERVE) (no torch), once ..."
	@$(PYTHON) -m venv $(SERVE)
	@$(SERVE)/bin/pip install $(PIP_FLAGS) -e '.[cpu]'
	@touch $@

$(TEST)/base: pyproject.toml constraints.txt
	@echo "Setting up $(TEST), once ..."
	@$(PYTHON) -m venv $(TEST)
	@$(TEST)/bin/pip install $(PIP_FLAGS) -e '.[cpu,dev,postgres]'
	@touch $@

# torch first and by its exact version: any looser request brings the CUDA packages.
$(TEST)/train: $(TEST)/base
	@echo "Adding torch and the training packages to $(TEST), once ..."
	@$(TEST)/bin/pip install $(PIP_FLAGS) torch==2.13.0
	@$(TEST)/bin/pip install $(PIP_FLAGS) -e '.[cpu,dev,postgres,train]'
	@touch $@

run: $(SERVE)/installed ## Serve on 127.0.0.1:8000 with SQLite and the shipped models.
	@FENZHEN_ALLOW_NONCOMMERCIAL=true $(SERVE)/bin/fenzhen serve

lint: $(TEST)/train ## ruff, mypy --strict, import-linter and the content check.
	@$(TEST)/bin/ruff check .
	@$(TEST)/bin/ruff format --check .
	@$(TEST)/bin/mypy
	@$(TEST)/bin/lint-imports
	@$(TEST)/bin/fenzhen kb check

test: $(TEST)/train lint ## Everything: lint and all tests, the training code included.
	@$(TEST)/bin/pytest -m "not slow"

test-fast: $(TEST)/base ## All tests that need no torch.
	@$(TEST)/bin/pytest -m "not slow and not torch"

test-slow: $(TEST)/train ## The long tests.
	@$(TEST)/bin/pytest -m slow

# An environment of its own: Ray brings some thirty packages that a server on one machine needs not.
$(CLUSTER)/installed: pyproject.toml constraints.txt
	@echo "Setting up $(CLUSTER), once ..."
	@$(PYTHON) -m venv $(CLUSTER)
	@$(CLUSTER)/bin/pip install $(PIP_FLAGS) -e '.[cpu,dev,cluster]'
	@touch $@

test-cluster: $(CLUSTER)/installed ## The engine on a real Ray cluster of two nodes on this machine.
	@$(CLUSTER)/bin/pytest tests/cluster

e2e: $(TEST)/base ## The browser tests alone.
	@$(TEST)/bin/pytest tests/e2e

results: $(TEST)/train ## Measure every figure of docs/results.md again (needs FENZHEN_DATA).
	@$(TEST)/bin/python -m eval.results

# An environment of its own: bm25s takes numba wherever it finds it, and the server has none.
$(BENCH)/installed: pyproject.toml constraints.txt
	@echo "Setting up $(BENCH), once ..."
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/pip install $(PIP_FLAGS) -e '.[cpu,bench]'
	@touch $@

# The server is measured as it is installed, without what only the measuring needs.
bench: $(SERVE)/installed $(BENCH)/installed ## Ours beside other model servers; BENCH_ARGS=--quick is a first look.
	@$(BENCH)/bin/python -m eval.serving.compare --fenzhen $(SERVE)/bin/fenzhen $(BENCH_ARGS)

bench-search: $(BENCH)/installed ## How fast search is beside its peers (needs FENZHEN_DATA).
	@$(BENCH)/bin/python -m eval.search_speed --report var/search_speed/report.md

clean: ## Remove the virtual environments and caches; var/ stays.
	rm -rf $(SERVE) $(TEST) $(BENCH) $(CLUSTER) build *.egg-info .mypy_cache .ruff_cache .hypothesis
