# One command each: install, serve, test, check, train, bench. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
# Tests run in so many processes side by side; 1 runs them in one, where a debugger works.
TEST_PROCESSES ?= auto
CPU_INDEX := https://download.pytorch.org/whl/cpu
# Another wheel index for torch (a CUDA version, a mirror). Empty on a machine with an NVIDIA
# driver: the package index then gives the CUDA build.
TORCH_INDEX ?= $(shell command -v nvidia-smi >/dev/null 2>&1 || echo $(CPU_INDEX))
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
# Files of tests are kept compiled: every process of a run would else rewrite their asserts anew.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest $(if $(filter-out 1,$(TEST_PROCESSES)),-n $(TEST_PROCESSES) --maxprocesses 4 --dist worksteal)

.PHONY: help install serve docs pictures test test-fast faults fuzz chaos stress images bench-redis check train bench bench-kernels release clean
.DELETE_ON_ERROR:

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

install: $(STAMP)  ## make .venv with everything (CPU torch where there is no NVIDIA driver)

$(STAMP): pyproject.toml clients/python/pyproject.toml lab/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) install --quiet --no-deps --index-url $(TORCH_INDEX) -c constraints.txt torch)
	$(PIP) install --quiet -c constraints.txt -e '.[exact,docs,dev]' -e clients/python -e 'lab[bench]'
	touch $@

serve: install  ## start the server (HOST, PORT, ARGS)
	$(BIN)/gram-server serve --host $(HOST) --port $(PORT) $(ARGS)

test: install  ## run the tests (ARGS)
	@command -v redis-server >/dev/null 2>&1 || echo "redis-server is not installed: tests marked redis are skipped" >&2
	@command -v chromium >/dev/null 2>&1 || echo "chromium is not installed: tests marked page are skipped" >&2
	$(PYTEST) $(ARGS)

test-fast: install  ## run the tests that need no service and under a second each (ARGS)
	$(PYTEST) -m "not slow and not redis and not page and not faults and not images" -p no:schemathesis --ignore tests/server/api/test_openapi_requests.py $(ARGS)

docs: install  ## build the documentation as a site in build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: install  ## draw the pictures of the documentation again, from real runs
	$(BIN)/python docs/making/pictures.py
	$(BIN)/python docs/making/terminal.py

faults: install  ## run the tests that kill, stop and cut off real processes (ARGS)
	$(BIN)/python -m pytest -m "faults or redis" tests/faults $(ARGS)

fuzz: install  ## ask the whole API 10,000 made-up requests, with a key and without (ARGS)
	$(BIN)/python -m pytest -s -m faults tests/server/api/test_openapi_requests.py $(ARGS)

chaos: install  ## kill workers and Redis at random under load (ARGS, as --minutes 10)
	$(BIN)/python tests/faults/chaos.py $(ARGS)

stress: install  ## compare engine, stores and client with models of their own (ARGS, as --minutes 10 --seed 1)
	$(BIN)/python -m tests.stress.run $(ARGS)

images: install  ## build every image in clean Debian roots and run them, as root (ARGS)
	$(BIN)/python -m pytest -s -m images tests/operate/test_images.py $(ARGS)

bench-redis: install  ## measure what Redis costs a job, and what a second worker adds (ARGS)
	$(BIN)/python tests/faults/redis_cost.py $(ARGS)

check: install  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

train: install  ## train a model: make train ARGS="sudoku-4x4 --output runs/sudoku-4x4 --minutes 5"
	$(BIN)/gram-lab train $(ARGS)

bench: install  ## measure how fast the engine's rows advance (ARGS)
	$(BIN)/gram-lab bench engine $(ARGS)

bench-kernels: install  ## time every op beside its reference (ARGS)
	$(BIN)/gram-lab bench kernels $(ARGS)

release: install  ## build wheel, sdist and SBOM into dist/
	$(PIP) install --quiet -c constraints.txt ziglang
	$(BIN)/python -m build --no-isolation --outdir dist .
	test -x build/clean/bin/python || $(PYTHON) -m venv build/clean
	$(if $(TORCH_INDEX),build/clean/bin/python -m pip install --quiet --no-deps --index-url $(TORCH_INDEX) -c constraints.txt torch)
	build/clean/bin/python -m pip install --quiet -c constraints.txt dist/*.whl
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-format JSON --output-file dist/gram-server.cdx.json build/clean/bin/python

clean:  ## remove .venv, caches and build output
	rm -rf $(VENV) build dist clients/python/dist lab/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
