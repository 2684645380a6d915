# Every target does its own set-up: a Python of 3.11 or newer and make are enough.
# PYTHON chooses the interpreter of .venv, which another one makes anew: make setup PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup another-python lint types walls test test-all conformance coverage node bench browser chromium chaos fuzz audit demo run lock vendor clean

setup: .venv/project.stamp

# .venv/python says what PYTHON was. Who names none is content with what there is.
ifneq ($(origin PYTHON),file)
ifneq ($(PYTHON),$(shell cat .venv/python 2>/dev/null))
.venv/packages.stamp: another-python
endif
endif

# The locked packages, wheels only: nothing is built, nothing unpinned is fetched.
.venv/packages.stamp: requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is missing or older than 3.11; name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-dev.lock
	@echo "$(PYTHON)" >.venv/python
	@touch $@

# The project itself, editable, built with the locked setuptools.
.venv/project.stamp: .venv/packages.stamp pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .
	@touch $@

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/mypy

walls: setup
	$(BIN)/lint-imports

test: lint types walls
	$(BIN)/python -m pytest -n 2

# All of it, with what the tests reach, what another implementation reads, the console in a browser, a stranger's input,
# what is known against the packages, and the demo as a user runs it.
test-all: lint types walls coverage node browser fuzz audit demo

# What the standards ask of a server, and what came of it at each FHIR version's base.
conformance: setup
	$(BIN)/python -m pytest -q -n 0 tests/conformance --table

coverage: setup
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --show-missing --skip-covered

# Has what a hub sends read by a FHIR implementation in JavaScript.
node: setup tests/node/node_modules/packages.stamp
	$(BIN)/python -m pytest -n 0 -m node tests/node

# The locked packages, of which no script is run.
tests/node/node_modules/packages.stamp: tests/node/package.json tests/node/package-lock.json
	@command -v npm >/dev/null || \
		{ echo "npm is missing: make test-all needs Node 20.19, or 22.12 or newer" >&2; exit 1; }
	npm ci --prefix tests/node --ignore-scripts --no-audit --no-fund
	@touch $@

# The console in Chromium; BROWSER_SHOTS names a directory for pictures of each view.
browser: chromium
	$(BIN)/python -m pytest -n 0 -m browser tests/browser

# Debian's, driven by Playwright, which brings none of its own.
chromium: setup .venv/browser.stamp tests/browser/node_modules/packages.stamp
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium; } || \
		{ echo "chromium is missing: install Debian's package of that name, as root" >&2; exit 1; }

.venv/browser.stamp: requirements-browser.lock .venv/packages.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-browser.lock
	@touch $@

tests/browser/node_modules/packages.stamp: tests/browser/package.json tests/browser/package-lock.json
	@command -v npm >/dev/null || \
		{ echo "npm is missing: make test-all needs Node 20.19, or 22.12 or newer" >&2; exit 1; }
	npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund
	@touch $@

bench: chromium
	$(BIN)/python -m pytest -n 0 -s -m benchmark tests/benchmarks tests/browser

# Ten minutes of faults at random; the seed that it prints makes the same ones again.
chaos: export CHAOS_SECONDS ?= 600
chaos: setup
	$(BIN)/python -m pytest -n 0 -s tests/faults/test_chaos.py tests/faults/test_failpoints.py

# Thousands of requests by the OpenAPI document, then ten minutes of input for what reads it. FUZZ_SEED repeats requests.
fuzz: export FUZZ_SEED ?= $(shell date +%s)
fuzz: export FUZZ_CASES ?= 20
fuzz: export FUZZ_SECONDS ?= 600
fuzz: setup .venv/fuzz.stamp
	nice -n 10 $(BIN)/python -m pytest -n 0 -s -m "fuzz or not fuzz" tests/fuzz

.venv/fuzz.stamp: requirements-fuzz.lock .venv/packages.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-fuzz.lock
	@touch $@

# Fails for what is known; where nobody can be asked it says NOT AUDITED, and passes.
audit: setup .venv/audit/packages.stamp
	$(BIN)/python -m pytest -n 0 -rs -m audit tests/audit

.venv/audit/packages.stamp: requirements-audit.lock .venv/packages.stamp
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r requirements-audit.lock
	@touch $@

demo: setup
	@$(BIN)/hub demo

PORT ?= 8000
run: export HUB_ALLOW_HTTP_ENDPOINTS = true
run: export HUB_ALLOW_PRIVATE_ENDPOINTS = true
run: setup
	@echo "For development: HUB_ALLOW_HTTP_ENDPOINTS=true HUB_ALLOW_PRIVATE_ENDPOINTS=true, data in ./data"
	@exec $(BIN)/hub serve --port $(PORT) --data data

# A release is a week old before it is taken, so that a poisoned one has been found out by then.
UV = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--exclude-newer "1 week" --custom-compile-command "make lock"
LOCK = $(UV) pyproject.toml --extra traces --group build

# uv is the one thing that is installed without a hash; it is no part of what is shipped or tested.
lock: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --only-binary :all: uv==0.13.0
	$(LOCK) --output-file requirements.lock
	$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(UV) --group pyproject.toml:fuzz --constraint requirements-dev.lock --output-file requirements-fuzz.lock
	$(UV) --group pyproject.toml:browser --constraint requirements-dev.lock --output-file requirements-browser.lock
	$(UV) --group pyproject.toml:audit --output-file requirements-audit.lock

# What the console has of others, as npm has it, checked by the lock's hashes: after a change of the versions there.
VENDOR := hub/console/vendor
VENDORED ?= $(VENDOR)
vendor:
	rm -rf build/vendor && mkdir -p build/vendor $(VENDORED)
	cp $(VENDOR)/package.json $(VENDOR)/package-lock.json $(VENDOR)/.npmrc build/vendor
	npm ci --prefix build/vendor --ignore-scripts --no-audit --no-fund
	cd build/vendor/node_modules && for name in preact htm uplot; do cp $$name/LICENSE $(abspath $(VENDORED))/LICENSE.$$name; done
	cd build/vendor/node_modules && cp htm/dist/htm.mjs $(abspath $(VENDORED))/htm.js
	cd build/vendor/node_modules && cp uplot/dist/uPlot.esm.js $(abspath $(VENDORED))/uplot.js
	cd build/vendor/node_modules && cp uplot/dist/uPlot.min.css $(abspath $(VENDORED))/uplot.css
	cd build/vendor/node_modules && sed '/^\/\/# sourceMappingURL/d' preact/dist/preact.mjs >$(abspath $(VENDORED))/preact.js
	cd build/vendor/node_modules && sed -e '/^\/\/# sourceMappingURL/d' -e 's#from"preact"#from"./preact.js"#' \
		preact/hooks/dist/hooks.mjs >$(abspath $(VENDORED))/hooks.js

clean:
	rm -rf .venv tests/node/node_modules tests/browser/node_modules *.egg-info build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
