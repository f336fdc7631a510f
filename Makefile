# What .ci/run runs. The first target that needs it makes .venv: everything from requirements-dev.txt, by hash, then ourselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/installed
# SLOW=1 adds the long tests; ARGS are for pytest, and for bench (cases, --quick, --json FILE).
MARK := -m "not boot$(if $(SLOW),, and not slow)"

.PHONY: demo test boot lint types bench docs

demo: $(READY)
	$(BIN)/secretsmith demo

test: $(READY)
	$(BIN)/python -m pytest -q -n auto $(MARK) $(ARGS)

# as root: needs mmdebstrap and systemd-container, boots a Debian
boot: export SECRETSMITH_BOOT_ROOT ?= $(CURDIR)/build/boot
boot: $(READY)
	$(BIN)/python -m pytest -q -n 2 -m boot tests/boot $(ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY)
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs

$(READY): requirements-dev.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --require-hashes -r requirements-dev.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e . $(patsubst %,-e %,$(wildcard plugins/*))
	touch $@
