# Two commands bring everything up or prove that it works: `make run` and `make test`.
# All paths are relative, so that the repository may live in a directory with spaces.

.DEFAULT_GOAL := help
.PHONY: help run test test-sdk lint types format contract fuzz chaos bench clean

ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
# pip shows its progress to people, and spares logs.
INSTALL = $(PY) -m pip install --disable-pip-version-check $$([ -t 1 ] || echo --quiet)

# Set PYTHON to choose another interpreter for the virtual environment.
PYTHON ?=

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' Makefile

run: $(VENV)/.for-running  ## Start everything on this machine: Postgres, Valkey, gateway, workers
	@exec $(PY) manage.py up

test: $(VENV)/.for-developing  ## Run the tests (ARGS="tests/billing -x" passes options on)
	@exec $(PY) -m pytest -n auto --dist loadfile $(ARGS)

test-sdk: $(VENV)/.for-developing  ## Run the official SDKs' own tests and ours with them
	@exec $(PY) -m pytest -n auto --dist loadfile -rs tests/sdk $(ARGS)

lint: $(VENV)/.for-developing  ## Check style, formatting and the direction of imports
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: $(VENV)/.for-developing  ## Check types
	$(PY) -m mypy

format: $(VENV)/.for-developing  ## Format the code and mend what can be mended
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

contract: $(VENV)/.for-developing  ## Write the API's description to docs/openapi.yaml and .json
	$(PY) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml
	$(PY) manage.py spectacular --validate --fail-on-warn --format openapi-json --file docs/openapi.json

fuzz: $(VENV)/.for-developing  ## Throw 20,000 made-up requests at a gateway (about ten minutes)
	RUNESTONE_FUZZ_REQUESTS=20000 $(PY) -m pytest -s tests/contract/test_fuzz.py $(ARGS)

chaos: $(VENV)/.for-developing  ## Fail upstreams under 2,000 calls and compare bill and ledger (a minute)
	RUNESTONE_CHAOS_CALLS=$${RUNESTONE_CHAOS_CALLS:-2000} $(PY) -m pytest -s tests/chaos $(ARGS)

bench: $(VENV)/.for-developing  ## Measure the gateway against its goals
	$(PY) -m bench $(ARGS)

clean:  ## Remove the virtual environment and caches; data of `make run` stays
	rm -rf $(VENV) .cache build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed depends on pyproject.toml alone: the packages themselves are editable.
$(VENV)/.for-running: pyproject.toml | $(VENV)/.made
	@echo "Installing Runestone and its servers into $(VENV) (about half a minute) ..."
	@$(INSTALL) --editable '.[local]'
	@touch $@

$(VENV)/.for-developing: pyproject.toml | $(VENV)/.made
	@echo "Installing Runestone, its servers and its tools into $(VENV) (about half a minute) ..."
	@$(INSTALL) --editable '.[local,dev]'
	@touch $@ $(VENV)/.for-running

# One that works is taken as it is; one that was cut short in the making is made anew.
$(VENV)/.made:
	@set -eu; \
	if $(PY) -m pip --version >/dev/null 2>&1; then touch $@; exit 0; fi; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python3.14); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  echo "Making $(VENV) with $$("$$python" --version) ..."; \
	  "$$python" -m venv --clear $(VENV) && touch $@ && exit 0; \
	  echo "$$python cannot make virtual environments (Debian, Ubuntu: apt install python3-venv)." >&2; \
	  exit 1; \
	done; \
	echo "Runestone needs Python 3.11 or newer and found none. PYTHON=/path/to/python3 make run names one." >&2; \
	exit 1
