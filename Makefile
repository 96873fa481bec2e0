# Two commands: `make demo` and `make test`. Both do all set-up, both may be run again and again.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
SERVE ?= yes
PORT ?= 5006

.PHONY: help demo test test-all lint bench clean browser

help:
	@echo "make demo             set up, simulate and fit a whole cell, serve the app (SERVE=no: do not)"
	@echo "make test             set up, then ruff, mypy, import-linter and pytest (browser included)"
	@echo "make test-all         the same with the slow sweeps"
	@echo "make bench            side-by-side speed comparisons"
	@echo "make clean            remove the environment and results"

.venv/created:
	@echo "== creating the environment (.venv)"
	@python=$$(for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done); \
	  if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed; install it and run again"; exit 1; fi; \
	  $$python -m venv .venv || { echo "no venv module: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@touch .venv/created

.venv/installed-demo: .venv/created pyproject.toml constraints.txt
	@echo "== installing the workbench (versions of constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-test: .venv/created pyproject.toml constraints.txt
	@echo "== installing the workbench with its test tools (versions of constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch .venv/installed-demo $@

.venv/warm: workbench/engine/*.py spectra/shapes.py spectra/_maths.py
	@echo "== compiling the fit engine (once; kept on disk)"
	@$(BIN)/python -m workbench.engine
	@touch $@

demo: .venv/installed-demo
	@$(MAKE) --no-print-directory .venv/warm
	@echo "== the demo: a simulated lithium | Li6PS5Cl cell, measured five ways"
	@$(BIN)/interphase demo -o demo-results $(if $(filter no,$(SERVE)),,--serve --port $(PORT))

browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "== installing chromium for the browser tests"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else echo "== no chromium: browser tests are skipped; install it (Debian: sudo apt-get install chromium)"; fi

lint: .venv/installed-test
	@echo "== ruff, mypy, import-linter"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: .venv/installed-test browser
	@$(MAKE) --no-print-directory lint .venv/warm
	@echo "== pytest"
	@$(BIN)/python -m pytest -q -n 2 -m "not slow"

test-all: .venv/installed-test browser
	@$(MAKE) --no-print-directory lint .venv/warm
	@echo "== pytest, slow sweeps included"
	@$(BIN)/python -m pytest -q -n 2

bench: .venv/installed-test
	@$(MAKE) --no-print-directory .venv/warm
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.engine --stream

clean:
	rm -rf .venv demo-results dist build
