# `make help` lists the targets. All of them work in .venv, which is made on first use from
# the first Python >= 3.11 among $(PYTHON), python3, python3.13, python3.12 and python3.11.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
RUN := $(VENV)/bin/python
WORKERS ?= 2

# "yes" when .venv was made in this folder (its scripts hold the path) and its Python still runs.
VENV_OK := $(shell [ "$$(cat $(VENV)/.root 2>/dev/null)" = "$$(pwd -P)" ] \
	&& $(RUN) -c '' 2>/dev/null && echo yes)
STALE := $(if $(VENV_OK),,force)

.PHONY: help venv demo test lint format bench clean force

help:
	@echo "make demo    a guided tour on bundled instances (writes demo-out/)"
	@echo "make venv    make or update .venv with everything that development needs"
	@echo "make test    ruff, mypy, then all tests"
	@echo "make lint    ruff and mypy only"
	@echo "make format  rewrite the sources as ruff wants them"
	@echo "make bench   run the benchmarks"
	@echo "make clean   remove .venv, builds, caches and demo-out/"
	@echo "PYTHON=...   the Python to make .venv from (3.11 or newer)"

venv: $(VENV)/.stamp-dev $(VENV)/.stamp-typing

demo: $(VENV)/.stamp-plot
	$(VENV)/bin/numaplace demo

test: lint
	$(RUN) -m pytest -n $(WORKERS)

lint: venv
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: venv
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: venv
	$(RUN) benchmarks/run.py

clean:
	rm -rf $(VENV) .typing build dist numaplace.egg-info demo-out htmlcov .coverage
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The root is the package, which mypy only understands through a folder of that name.
$(VENV)/.stamp-typing: $(STALE) | $(VENV)/.root
	@mkdir -p .typing && rm -f .typing/numaplace && ln -s .. .typing/numaplace
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml $(STALE) | $(VENV)/.root
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[plot,dev]'
	@touch $(VENV)/.stamp-plot $@

$(VENV)/.stamp-plot: pyproject.toml $(STALE) | $(VENV)/.root
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[plot]'
	@touch $@

# Takes the first fitting Python that can make an environment by itself; failing that, the first
# fitting one for which `virtualenv` is at hand; failing that, says once what to install.
$(VENV)/.root: $(STALE)
	@found=; chosen=; \
	for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
		[ -n "$$python" ] || continue; \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		found=$${found:-$$python}; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
		chosen=$$python; break; \
	done; \
	if [ -z "$$found" ]; then \
		echo "numaplace needs Python 3.11 or newer: name one with 'make PYTHON=/path/to/python'" >&2; \
		exit 1; \
	fi; \
	rm -rf $(VENV); \
	if [ -n "$$chosen" ]; then \
		set -- "$$chosen" -m venv $(VENV); \
	elif "$$found" -m virtualenv --version >/dev/null 2>&1; then \
		set -- "$$found" -m virtualenv --quiet $(VENV); \
	elif command -v virtualenv >/dev/null 2>&1; then \
		set -- virtualenv --quiet --python "$$found" $(VENV); \
	else \
		echo "$$found cannot make a virtual environment: install its venv module (Debian, Ubuntu:" \
			"apt install python3-venv) or virtualenv, then run make again" >&2; \
		exit 1; \
	fi; \
	echo "making $(VENV) with $$("$${chosen:-$$found}" --version)"; \
	"$$@" && pwd -P > $@
