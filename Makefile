# Everything here makes its own environment (.venv) first. PYTHON=python3.12 chooses another Python.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KEEP   ?=
JSON   ?=
ARGS   ?=
BENCH_PACKAGES := wrk nginx-light haproxy libnginx-mod-stream iperf3 curl apache2-utils nghttp2-client ethtool tcpdump \
	prometheus

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format conformance fuzz bench bench-deps bench-report compile clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.made ## show it: a network, servers, the appliance on Ray, traffic, checks (KEEP=1: go on running)
	@$(BIN)/python -m ncore_ray.demo $(if $(KEEP),--keep) $(if $(JSON),--json) $(ARGS)

test: $(VENV)/.made-dev ## run the whole test suite (ARGS="tests/flow -k name": a part of it)
ifdef ARGS
	@$(BIN)/ncore compile
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m tests.suite
endif

lint: $(VENV)/.made-dev ## check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/.made-dev ## format the source, and mend what can be mended
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

conformance: $(VENV)/.made-dev ## play the TCP scripts on a running appliance over veth devices (ARGS="rfc5961/ --tolerance 0.1")
	@$(BIN)/ncore compile
	@$(BIN)/python -m tests.conformance.veth $(ARGS)

fuzz: $(VENV)/.made-fuzz ## look for bytes that break a parser or TCP (MINUTES=10 ARGS="--target segments --keep")
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10) $(ARGS)

bench: $(VENV)/.made-bench ## measure: the appliance, HAProxy and nginx in turn, in 20 minutes (ARGS=http_keepalive: one scenario)
	@$(BIN)/python -m benchmarks $(or $(ARGS),all)

bench-report: $(VENV)/.made-bench ## put what was measured into README.md and docs/benchmarks.md, and draw the pictures
	@$(BIN)/python -m benchmarks.report

bench-deps: ## install the programs that the benchmarks and the end-to-end tests use (apt, as root)
	@.ci/packages $(BENCH_PACKAGES)

compile: $(VENV)/.made ## compile the kernels ahead
	@$(BIN)/ncore compile

clean: ## remove the environment and all caches in this folder
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of packages, so that each is installed once and again when pyproject.toml changes.
$(VENV)/.made: pyproject.toml .ci/environment
	@PYTHON=$(PYTHON) .ci/environment $(VENV) && touch $@

$(VENV)/.made-dev: pyproject.toml .ci/environment
	@PYTHON=$(PYTHON) .ci/environment $(VENV) dev && touch $@ $(VENV)/.made

$(VENV)/.made-fuzz: pyproject.toml .ci/environment
	@PYTHON=$(PYTHON) .ci/environment $(VENV) fuzz && touch $@

$(VENV)/.made-bench: pyproject.toml .ci/environment
	@PYTHON=$(PYTHON) .ci/environment $(VENV) bench && touch $@ $(VENV)/.made
