# `make demo` and `make test` are all that a newcomer needs; everything installs into .venv on first use.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OURS := bowam_stream bowam_model benchmarks tests docs
PYTHON ?= python3.11
ifeq ($(shell command -v $(PYTHON)),)
PYTHON := python3
endif
MINUTES ?= 30
CAMERAS ?= 8
SEED ?= 1
KINDS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-system soak fuzz daemons lint bench docs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

install: $(STAMP) ## build .venv with everything

$(STAMP): pyproject.toml constraints.txt
	@deploy/system-libraries
	@echo "installing into $(VENV): about 2 GB, a few minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

demo: $(STAMP) ## a synthetic clip with known truth through the real processes; writes bowam-demo/
	$(BIN)/bowam demo

lint: $(STAMP) ## ruff, mypy, import-linter
	$(BIN)/ruff check $(OURS)
	$(BIN)/ruff format --check $(OURS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint ## lint, then the tests that need no daemon (under ten minutes on two cores)
	$(BIN)/python -m pytest -m "not system"

test-system: $(STAMP) daemons ## tests with real processes, daemons and faults
	$(BIN)/python -m pytest -m system

soak: $(STAMP) daemons ## faults of all kinds for 30 minutes, with 8 cameras; MINUTES=, CAMERAS=, SEED=, KINDS=
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --cameras $(CAMERAS) --seed $(SEED) --kinds "$(KINDS)"

DAEMONS := prometheus faketime iproute2 python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good \
    gstreamer1.0-plugins-ugly chromium chromium-driver

daemons: # what the system tests talk to; a test whose daemon is missing skips and says so
	@dpkg -s $(DAEMONS) >/dev/null 2>&1 || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	    && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(DAEMONS) >/dev/null; } \
	    || echo "not all of $(DAEMONS) are installed, and they can't be here"

fuzz: $(STAMP) ## hostile input: millions of messages to the decoders, 100,000 through each socket; about an hour
	$(BIN)/python -m tests.fuzz --messages 10000000 --sockets 100000 --seed 1

bench: $(STAMP) ## ratios against the part that bounds them; writes benchmarks/results/
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## the documentation as a site in build/docs/; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -b html docs build/docs

clean: ## remove .venv and everything that was made
	rm -rf $(VENV) bowam-demo build dist *.egg-info
