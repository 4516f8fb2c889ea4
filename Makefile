# The lab's commands. `make help` lists them.
SHELL := bash
PYTHON ?= python3
VENV ?= .venv
CLUSTER := PYTHONPATH=cluster $(PYTHON) -m caplab_cluster
IN_VENV := $(VENV)/bin/
# Every test process would compile all modules that it reads again.
unexport PYTHONDONTWRITEBYTECODE
SUITE ?= core
REPEAT ?= 1
RUN = $(IN_VENV)caplab run $(or $(EXPERIMENT),$(SUITE)) $(if $(RESUME),--resume,--repeat $(REPEAT)) $(if $(KEEP),--keep) $(if $(VERBOSE),--verbose)

.DEFAULT_GOAL := help
.PHONY: help up down status doctor dashboards clean chaos cap-table schemas workflow format test test-unit unit-tests test-images-python test-pythons test-kind lint prove venv chromium lock

# A virtual environment belongs to one Python: it is recreated for another one.
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(wildcard $(VENV)/lib/python$(PYTHON_VERSION)/),)
.PHONY: $(VENV)/ready
endif

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## bring up the cluster, all images in (safe to repeat)
	@$(CLUSTER) up

down: ## remove the cluster, and nothing else
	@$(CLUSTER) down

status: ## show what is there: nodes, images, and what they use
	@$(CLUSTER) status

doctor: ## check whether this machine can run the lab, and what it lacks
	@$(CLUSTER) doctor

dashboards: ## open Grafana (or Prometheus, if Grafana is not installed) on localhost, until Ctrl-C
	@$(CLUSTER) dashboards

chaos: venv ## run the suite SUITE=core, or EXPERIMENT=postgres/kill-primary; with REPEAT=n, KEEP=1, RESUME=1, VERBOSE=1
	@env -u KUBECONFIG $(RUN) --plan > /dev/null
	@$(CLUSTER) up
	@env -u KUBECONFIG $(RUN)

cap-table: venv ## rewrite docs/cap-table.md; ADD=results/<time>-<suite> adds that suite's verdicts first
	@$(IN_VENV)python bench/cap_table.py $(if $(ADD),--add $(ADD))

schemas: venv ## rewrite what the schema of expectations takes from the checkers' declarations
	@$(IN_VENV)python -m caplab.schemas

workflow: venv ## run the nightly workflow's job here, step by step, from a clean clone; SUITE=smoke, or as for make chaos
	@$(IN_VENV)python tests/run_workflow.py .github/workflows/resilience.yml --store $${CAPLAB_STORE:-results/workflow} \
	  --input suite=$(or $(EXPERIMENT),$(SUITE)) --input repeat=$(REPEAT)

# Unit tests of what keeps a schedule wait most of the time: many run side by side, and nothing else beside them. All
# others run in the time that the tests on kind leave, which is half of it; on a slow machine that is none, and they
# run afterwards.
test: ## run the gate: lint, types, unit and property tests, and the tests on kind
	@$(MAKE) -s -j2 venv chromium
	@$(MAKE) -s -j2 lint up
	@$(MAKE) -s -o up -j2 --output-sync unit-tests test-images-python MARKS=timed WORKERS=6
	@$(MAKE) -s -o up -k -j$(AT_ONCE) test-kind test-images-python IDLE=1 MARKS="not timed"

ifdef IDLE
IN_IDLE_TIME := $(IN_VENV)python tests/in_idle_time.py
test-images-python: unit-tests
endif

test-unit: lint unit-tests ## run the fast part of the gate

WORKERS := 2

unit-tests: venv ## run the unit and property tests only
	@$(IN_IDLE_TIME) $(IN_VENV)pytest -q -n $(WORKERS) --durations=15 -m "$(MARKS)" tests/unit tests/property

# What measures times runs alone or beside one other, the rest side by side: most of the time each waits for databases. All
# groups run in any case, so that the last one removes the cluster; any that fails fails the gate.
AT_ONCE = $$($(PYTHON) tests/side_by_side.py)
SIDE_BY_SIDE = -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder
ON_KIND = $(IN_VENV)pytest -q --durations=20 tests/kind -m

test-kind: venv up ## run the tests on the real cluster; the last one removes it
	@failed=0; \
	$(ON_KIND) "alone and not long" || failed=1; \
	$(ON_KIND) "paired and not long" $(SIDE_BY_SIDE) || failed=1; \
	$(ON_KIND) "beside and not long" $(SIDE_BY_SIDE) || failed=1; \
	$(ON_KIND) last || failed=1; \
	exit $$failed

test-images-python: up ## run the unit tests on the lab images' own Python and wheels, in a container
	@PYTHONPATH=cluster $(IN_IDLE_TIME) $(PYTHON) tests/on_images_python.py "$(MARKS)" $(WORKERS)

test-pythons: ## run lint, types, unit and property tests on every Python from 3.11 to 3.14 on this machine
	@PYTHONPATH=cluster $(PYTHON) tests/on_every_python.py

prove: test test-pythons ## run the long proofs, whose output is kept under docs/evidence
	@PYTHONPATH=cluster $(PYTHON) bench/prove_cluster.py
	@$(MAKE) -s up
	@$(IN_VENV)pytest -q -m long --ignore tests/kind/test_fault_proofs.py --ignore tests/kind/test_planted.py \
	  --ignore tests/kind/test_beside_others.py --ignore tests/kind/test_owned_objects.py --ignore tests/kind/test_hostile_specs.py \
	  --ignore tests/kind/test_schedule.py tests/kind
	@$(IN_VENV)python bench/prove_beside.py
	@$(IN_VENV)python bench/prove_checkers.py
	@$(IN_VENV)python bench/prove_compare.py
	@PYTHONPATH=tests $(IN_VENV)python bench/prove_isolation.py
	@$(IN_VENV)python bench/prove_faults.py
	@$(IN_VENV)python bench/prove_redis.py
	@$(IN_VENV)python bench/prove_cassandra.py
	@$(IN_VENV)python bench/prove_failover.py
	@$(IN_VENV)python bench/prove_dashboards.py
	@$(IN_VENV)python bench/prove_watching.py
	@$(IN_VENV)python bench/prove_cap.py
	@$(IN_VENV)python bench/prove_schedule.py

# Written by people; docs/cap-table.md and docs/evidence are generated.
PAGES := README.md CONTRIBUTING.md CHANGELOG.md $(filter-out docs/cap-table.md,$(wildcard docs/*.md docs/checkers/*.md))

format: venv ## format code and pages
	@$(IN_VENV)ruff format --quiet .
	@$(IN_VENV)mdformat --wrap 100 --compact-tables $(PAGES)

lint: venv ## check formatting, lint, types, import contracts and workflows
	@$(IN_VENV)ruff format --check .
	@$(IN_VENV)mdformat --check --wrap 100 --compact-tables $(PAGES)
	@$(IN_VENV)ruff check .
	@$(IN_VENV)mypy
	@$(IN_VENV)lint-imports --no-cache
	@PYTHONPATH=cluster $(IN_VENV)python tests/lint_workflows.py

venv: $(VENV)/ready ## create the Python environment of the tests

$(VENV)/ready: requirements.lock pyproject.toml
	@[ -n "$(PYTHON_VERSION)" ] || { printf 'FAILED: %s does not run.\n  hint:  make PYTHON=python3.11\n' '$(PYTHON)' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("FAILED: Python 3.11 to 3.14 is needed.\n  hint:  make PYTHON=python3.11")'
	@echo "  Python $(PYTHON_VERSION)'s environment in $(VENV) (from requirements.lock)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(IN_VENV)pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(IN_VENV)pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

CHROMIUM := chromium chromium-browser google-chrome
APT := DEBIAN_FRONTEND=noninteractive apt-get -q

chromium: ## install Debian's Chromium, for the tests of report.html (needs root; without it they are skipped)
	@command -v $(CHROMIUM) > /dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null \
	    && echo "  needs root: installing chromium from Debian's packages" \
	    && $(APT) update > /dev/null && $(APT) install -y --no-install-recommends chromium > /dev/null; } \
	  || echo "  note: no Chromium, and none could be installed: the tests of report.html in a browser are skipped"

lock: ## pin the newest matching versions in requirements.lock
	@$(PYTHON) -m venv --clear .venv-lock && .venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --no-header --extra dev --output-file requirements.lock pyproject.toml
	@.venv-lock/bin/uv pip compile --quiet --generate-hashes --no-header --python-platform linux --python-version 3.13 --no-emit-package scipy --no-emit-package shtab --no-emit-package vl-convert-python --output-file images/python/requirements.lock pyproject.toml
	@echo 'grafana-foundation-sdk hypothesis jsonschema pytest pytest-xdist scipy' | tr ' ' '\n' | .venv-lock/bin/uv pip compile --quiet --generate-hashes --no-header --python-platform linux --python-version 3.13 --constraint requirements.lock --output-file tests/requirements.lock -
	@printf 'scipy\nvl-convert-python\n' | .venv-lock/bin/uv pip compile --quiet --generate-hashes --no-header --no-deps --python-platform linux --python-version 3.13 --constraint requirements.lock --output-file images/runner/requirements.lock -
	@rm -rf .venv-lock

clean: ## remove the cluster and the lab's caches outside this checkout
	@$(CLUSTER) clean
