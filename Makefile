# Everything here works on a fresh Debian or Ubuntu machine. Two commands do it all:
#   make up     build the platform of examples/lab.yaml on this machine (root)
#   make test   prove the project: the fast checks, then a real platform, built, verified, broken (root)

FILE ?= examples/lab.yaml
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
READY := $(VENV)/.ready
# A Go toolchain that was installed for us lies in the virtual environment; the machine's own comes first.
export PATH := $(PATH):/usr/local/go/bin:$(CURDIR)/$(BIN)

.DEFAULT_GOAL := install
.PHONY: install up down test check lint types imports unit lab long conformance golden schema clean host

install: $(READY)  ## groundplane and its tools into .venv

$(READY): pyproject.toml constraints.txt scripts/host-packages | scripts/host-packages
	scripts/host-packages python
	$(or $(PYTHON),python3) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# As pip does for all but editable ones: Python alone would compile them at every start where it may not write.
	$(BIN)/python -m compileall -q src
	$(BIN)/python -c 'from groundplane.components.base import compile_templates; compile_templates()'
	touch $@

host: install  ## the Debian packages and the Go toolchain the lab needs
	scripts/host-packages lab

up: host  ## the whole platform, in the lab
	$(BIN)/groundplane up --file $(FILE)

down: install
	$(BIN)/groundplane down --yes --file $(FILE)

check: lint types imports unit  ## the fast loop, under two minutes

lint: install
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest

lab: host  ## boots a platform and breaks it (root)
	scripts/host-packages test
	$(BIN)/pytest -m "lab and not long" tests/lab tests/golden

long: host  ## what the lab's tests show a sample of: more drills, more ways to grow and shrink (root, about two hours)
	scripts/host-packages test
	$(BIN)/pytest -m long tests/lab/test_becoming.py
	$(BIN)/pytest -m long tests/lab/test_three.py
	$(BIN)/pytest -m long tests/lab --ignore=tests/lab/test_becoming.py --ignore=tests/lab/test_three.py
	$(BIN)/pytest -m "lab and long" tests/golden

conformance: host  ## Kubernetes' own conformance tests against a platform of their own (root, about an hour)
	$(BIN)/python -m tests.conformance $(CONFORMANCE)

test: check lab

golden: install  ## accept what the components render now
	$(BIN)/pytest tests/golden --update-golden

schema: install  ## write the cluster file's JSON Schema anew
	$(BIN)/groundplane schema > src/groundplane/spec/cluster.schema.json

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
