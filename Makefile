# Every target first makes what it needs (.ci/setup): .venv, system packages, the web build.
# PYTHON=… names another interpreter, APT=no leaves system packages alone, WORKERS=… the processes
# of the tests.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PYTHON APT
YOUR_PATH := $(PATH)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export NPM_CONFIG_UPDATE_NOTIFIER := false

BIN := .venv/bin
WORKERS := 2
BENCHMARKS := $(sort $(wildcard benchmarks/bench_*.py))
PEERS := benchmarks/peers/browser

# The build renames its finished folder into place, so this file never stands for half a build.
# The runtime is compiled into the browser's Python.
WEB_SOURCES := $(shell find web \( -name node_modules -o -name test -o -name .brotli \) -prune \
	-o -type f -print) edge_targets/__init__.py $(shell find edge_targets/runtime -name '*.py')
WEB_BUILT := edge_targets/_web/index.html

.PHONY: help setup web demo test test-powercut gui check bench screenshots lock clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## Make .venv from requirements.lock
	@.ci/setup venv

web: setup $(WEB_BUILT) ## Build the browser side into edge_targets/_web

web/node_modules/.package-lock.json: web/package.json web/package-lock.json | setup
	@echo "Installing the browser side's packages"
	@cd web && npm ci --no-audit --no-fund --loglevel=error </dev/null

$(WEB_BUILT): web/node_modules/.package-lock.json $(WEB_SOURCES) | setup
	@echo "Building the browser side"
	@cd web && npm run --silent build </dev/null
	@touch $@

demo: web ## Run the whole line on real data, into demo/
	@.ci/setup system browser
	@PATH='$(YOUR_PATH)' $(BIN)/sanderling demo  # its last lines are commands for you to type

test: web ## Run all tests, in WORKERS (2) processes
	@.ci/setup system browser firefox window emulator
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-powercut: setup ## Cut a machine's power CUTS times (200), start it from cards
	@.ci/setup system emulator
	@CUTS=$${CUTS:-200} SANDERLING_MACHINES=1 $(BIN)/python -m pytest -rs \
		tests/pi/test_powercut.py tests/edge_targets/test_first_start.py

gui: web ## Open the window
	@.ci/setup system window
	@$(BIN)/sanderling gui

check: web ## Lint, format, types, architecture, dependencies; Python and TypeScript
	@status=0; \
	run() { echo "== $$*"; "$$@" </dev/null || { status=1; failed="$$failed [$$*]"; }; }; \
	run ruff check .; \
	run ruff format --check .; \
	run mypy; \
	run lint-imports --no-logo; \
	run deptry .; \
	run npm --prefix web run --silent check; \
	run npm --prefix web run --silent test; \
	if [ $$status != 0 ]; then echo "check FAILED:$$failed"; fi; \
	exit $$status

bench: web ## Run the benchmarks
	@.ci/setup system browser
	@[ -n "$$SANDERLING_BROWSER_PEERS" ] || [ -f $(PEERS)/node_modules/.package-lock.json ] || { \
		echo "Installing the pages that bundles are compared with (540 MB)"; \
		cd $(PEERS) && npm install --ignore-scripts --no-package-lock --no-audit --no-fund \
			--loglevel=error </dev/null || echo "Going on without them: see benchmarks/peers"; }
	@[ -n "$(BENCHMARKS)" ] || echo "There are no benchmarks yet."
	@status=0; \
	for file in $(BENCHMARKS); do echo "== $$file"; $(BIN)/python $$file || status=1; done; \
	exit $$status

screenshots: web ## Take the pictures in docs/, in the demo's workspace
	@.ci/setup system window display browser
	@[ -f demo/sanderling.toml ] || $(BIN)/sanderling demo
	@$(BIN)/python docs/screenshots.py demo
	@if $(BIN)/python -c 'from toolkit.doctor import chromium; raise SystemExit(not chromium())'; \
	then $(BIN)/python docs/page_pictures.py; \
	else echo "There is no Chromium here: the pictures of the bundle's page stay as they are."; fi

lock: ## Make requirements.lock anew from pyproject.toml
	@.ci/setup lock

clean: ## Remove all that was made here, .venv and demo/ included
	@rm -rf .venv demo dist edge_targets/_web web/node_modules web/.brotli
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
