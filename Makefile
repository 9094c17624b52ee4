# `make demo` and `make test` do all their own set-up, once; after a change of pyproject.toml they do it again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.demo-ready
# A worker per core, each pinned to its own; a worker holds some 2 GB. Files start in the order of tests/conftest.py.
WORKERS := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Tests start some hundred processes: each would compile ragkit again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo check test lint types quick unit browser docs clean

# The demo needs the plain install only: no torch, no local language model.
demo: $(DEMO_READY)
	$(BIN)/ragkit sync docs/samples --index indexes/demo
	@$(call ask,When does the last bus back leave?)
	@$(call ask,What is the focal length of the Meridian 40?)
	@$(call ask,How many people watched the Perseids on 12 August?)

ask = echo; echo "? $(1)"; $(BIN)/ragkit ask indexes/demo "$(1)" --stats

# Under two minutes: no language model, no browser.
check: lint types quick

test: lint types unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

quick: $(READY)
	$(BIN)/pytest $(WORKERS) -m "not slow" tests/documents tests/chunking tests/prompting tests/test_*.py

unit: $(READY) browser
	$(BIN)/pytest $(WORKERS)

# The site needs no server, except for its search: python -m http.server -d docs/site
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f .ci/mkdocs.yml

# The tests of the page drive Debian's Chromium. Where there is none and it can't be installed, they are skipped.
browser:
	@command -v chromium >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
	  echo "There is no chromium: the tests of the chat page are skipped. Install it: apt-get install chromium"

# pip keeps the wheel that llama-cpp-python compiles to (some 4 minutes, the first time on a machine) in its cache.
$(READY): pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "ragkit needs Python 3.11 to 3.13, and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --progress-bar on -c .ci/constraints.txt -e '.[dev]'
	touch $(READY)

$(DEMO_READY): pyproject.toml .ci/constraints.txt
	@[ -f $(READY) ] || { $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet --upgrade pip && \
	  $(BIN)/pip install --progress-bar on -c .ci/constraints.txt -e .; }
	touch $(DEMO_READY)

clean:
	rm -rf $(VENV) docs/site .mypy_cache .pytest_cache .ruff_cache
