# Everything that is run often. Each target sets up what it needs; `make demo` works on a bare clone.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One process of tests per core, up to eight; a file stays in one of them, for it may share a server.
PARALLEL := --numprocesses=logical --maxprocesses=8 --dist=loadscope

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-deep mutants check fmt bench story client constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

setup: $(READY)  ## make the virtual environment

demo: $(READY)  ## play money, one room, simulated gifters: open the address that it prints
	$(BIN)/largesse demo

test: $(READY)  ## the tests that are run with every change
	$(BIN)/pytest $(PARALLEL)

test-deep: $(READY)  ## the campaigns: kill -9, power failure, every tampering, Hypothesis in depth
	$(BIN)/pytest $(PARALLEL) -m 'deep or hypothesis' --hypothesis-profile=deep

# What to change (`make mutants MUTANTS='rules.gifts*'`) and for how long; the next goes on from there.
MUTANTS ?= *
MUTANTS_S ?= 3600

mutants: $(READY)  ## change the code in small ways for an hour, and list the changes that no test notices
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev,mutants]'
	-timeout --signal=INT $(MUTANTS_S) $(BIN)/mutmut run '$(MUTANTS)'
	$(BIN)/mutmut results | grep -v 'not checked'

check: $(READY)  ## what CI runs first: style, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY)  ## put the style right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)  ## every figure beside its reference, from one run
	$(BIN)/python -m bench

story: $(READY)  ## tell docs/story.md anew: a server is asked, its answers are written down
	PYTHONPATH=.:tests $(BIN)/python -m story

client: $(READY)  ## build the Python client library by itself: client/dist/*.whl
	rm -rf client/build client/dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir client/dist ./client

constraints: $(READY)  ## pin what is installed now, after testing it
	$(BIN)/python -m pip freeze --exclude-editable --disable-pip-version-check > constraints.txt

clean:  ## remove the virtual environment and caches
	rm -rf client/build client/dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
