# Needs Python 3.11, 3.12 or 3.13 and a JDK 17; everything else is fetched into this folder. `make help` lists the targets.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$python" && break; done)
VENV := .venv/bin
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup jars jars-lock up down demo bi spark-dist test test-quick test-browser strangers smoke bench sbom audit-packages images check clean
.DEFAULT_GOAL := help

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: ## Install the Python packages of uv.lock into .venv, when they changed.
ifeq ($(PYTHON),)
	$(error There is no Python 3.11, 3.12 or 3.13 on the PATH: install one, or name it with PYTHON=/path/to/python3)
endif
	@$(PYTHON) -m lake_assets.stack.setup

jars: setup ## Download missing jars of connectors/jars.lock, and build class archives for a faster start of servers.
	@$(VENV)/python -m lake_assets.stack.jars
	@$(VENV)/python -m lake_assets.stack.archive_making

jars-lock: setup ## Resolve connectors/ivy.xml again and write connectors/jars.lock.
	@$(VENV)/python -m lake_assets.stack.jar_lock

up: jars ## Start the embedded stack.
	@$(VENV)/lake up

down: setup ## Stop the embedded stack.
	@$(VENV)/lake down

# The demo follows each event into the marts, which wait for an hour in a cloud otherwise.
demo: export LAKE_MART_MINUTES ?= 0
demo: jars ## Start the stack, send events to the example assets and follow them into the marts.
	@$(VENV)/lake demo

bi: setup ## Serve the boards by Apache Superset until Ctrl-C; the stack must be up.
	@$(VENV)/lake bi superset

SPARK_PYTHON ?= 3.11 3.12
SPARK_PLATFORM ?= x86_64-manylinux_2_28
spark-dist: setup ## Build the files for a Spark cluster: job, zip, and an archive for SPARK_PYTHON on SPARK_PLATFORM.
	@$(VENV)/python -m lake_assets.stack.spark_dist --python $(SPARK_PYTHON) --platform $(SPARK_PLATFORM)

# More workers than cores, because each waits for servers half of the time. Each worker has its own stack, 1.5 GB.
TEST_WORKERS ?= 3
# Each worker gets one file at a time, in the order of tests/results/seconds.py: the longest first.
PYTEST = $(VENV)/python -m pytest --dist loadfile --no-loadscope-reorder
test: setup ## Run the tests: TEST_WORKERS (3) processes at once.
	@$(VENV)/python -m lake_assets.stack.jars s3 gs tests
	@$(VENV)/python -m lake_assets.stack.archive_making
	@$(VENV)/python -m tests.support.spark_archive
	@$(VENV)/python -m lake_assets.stack.superset_packages
	@$(PYTEST) -n $(TEST_WORKERS) --ignore=tests/browser --junitxml=.reports/tests.xml

test-browser: setup ## Run the tests of pages, which need a Chromium; pictures of them are in .reports.
	@$(VENV)/python -m tests.support.chromium
	@$(VENV)/python -m lake_assets.stack.jars
	@$(PYTEST) tests/browser --junitxml=.reports/browser.xml

test-quick: setup ## Run the tests that need no server and no JVM.
	@$(PYTEST) -n 2 -m "not server"

strangers: setup ## Run all public sample files through a lake, and compare the result with docs/strangers.md.
	@$(VENV)/python -m lake_assets.stack.jars s3 gs tests
	@LAKE_STRANGERS=all $(PYTEST) -s tests/strangers

smoke: setup ## Run the example in a real cloud account, selected by LAKE_TARGET, LAKE_BUCKET and the credentials.
	@$(VENV)/python -m lake_assets.stack.jars s3 gs tests
	@LAKE_SMOKE=yes $(VENV)/python -m pytest tests/targets/test_targets.py

bench: setup ## Run all benches, for an hour or more, and write docs/performance.md.
	@$(VENV)/python -m lake_assets.stack.jars s3 gs tests
	@$(VENV)/python -m bench.all

sbom: setup ## Write dist/sbom.json, all locked Python packages and jars as CycloneDX.
	@$(VENV)/python -m lake_assets.stack.bill_of_materials

audit-packages: setup ## Look up known vulnerabilities of all locked packages, in the OSV database.
	@$(VENV)/python -m lake_assets.stack.bill_of_materials --audit

images: setup ## Report images of others that have no digest; exit code 1 if there are any.
	@$(VENV)/python -m lake_assets.stack.images

check: setup ## Lint, format, types, and who may import whom.
	@$(VENV)/ruff check
	@$(VENV)/ruff format --check
	@$(VENV)/pyright
	@$(VENV)/lint-imports

clean: ## Stop the stack and remove its state, the packages and the jars.
	@test ! -x $(VENV)/lake || $(VENV)/lake down
	rm -rf .lake .venv .tools .jars .superset .reports dist
