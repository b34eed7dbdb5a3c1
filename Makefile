# Parquill: one command does all the set-up it needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
KILLS ?= 5
SEEDS ?= 1000

# Prefect's temporary server may start slowly on a busy machine, and should not phone home.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180

.PHONY: help demo test test-thorough check bench fuzz chaos mutants simulate test-browser test-cluster test-prefect test-real format lock clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv: requirements/bootstrap.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@touch $@

# Compiled here, since PYTHONDONTWRITEBYTECODE (common in containers) would have each start compile them: half a second.
# dev.lock holds all of run.lock, so the demo after the tests has nothing to take away again.
.venv/.run: $(BIN)/uv requirements/run.lock pyproject.toml
	@test -f .venv/.dev || $(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/run.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q parquill flows tasks
	@touch $@

.venv/.dev: $(BIN)/uv requirements/dev.lock pyproject.toml
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q parquill flows tasks
	@touch $@ .venv/.run

demo: .venv/.run  ## caption the sample pictures through the Prefect flow, on the embedded emulator
	env -u PREFECT_API_URL -u PREFECT_PROFILE PREFECT_HOME=$(CURDIR)/.prefect $(BIN)/python -m flows.batch configs/caption.yaml --set model.endpoint=emulator $(if $(REPLACE),--replace) \
	|| { status=$$?; test $$status != 2 || echo "Where --replace is asked for: make demo REPLACE=1"; exit $$status; }

# Tests are compiled with their asserts rewritten: kept, where a container asks for nothing to be kept, for the next time.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

test: .venv/.dev  ## the fast lane: every test, with few examples of each property (minutes)
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder --kills $(KILLS)

test-thorough: .venv/.dev  ## the same with all examples and 50 kills: what CI runs
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder --thorough --kills 50

chaos: .venv/.dev  ## 200 kills at random moments, deaths at every step, every cap at every concurrency, limits of every kind, a hundred estimates
	$(BIN)/python -m pytest --thorough --kills 200 -m "not (real or browser or prefect_server or cluster)" tests/e2e tests/property/test_runs.py tests/test_limits_simulation.py tests/test_estimate_interval.py

simulate: .venv/.dev  ## whole runs under a seed each, in simulated time; SEEDS=1000, and a broken one again with ARGS="--seed N"
	$(BIN)/python -m tests.simulation.whole --seeds $(SEEDS) $(ARGS)

fuzz: .venv/.dev  ## foreign data of every kind at random for FUZZ_SECONDS (600), and the time that every expression takes
	$(BIN)/python -m pytest -n 0 --fuzz-seconds $(or $(FUZZ_SECONDS),600) tests/property/test_foreign.py tests/property/test_linear.py tests/property/test_redaction.py

check: .venv/.dev  ## ruff and mypy strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutants: .venv/.dev  ## change the guarding code on purpose and count what the tests notice (20 minutes and more; ARGS="--count 50 --module budget")
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/mutants.lock
	$(BIN)/python -m tests.mutants $(ARGS)

format: .venv/.dev  ## let ruff put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev  ## the benchmarks, with their ratios (10 to 25 minutes); nginx, its Lua and wrk should be installed
	$(BIN)/python -m benchmarks

test-browser: .venv/.dev  ## the report in Chromium, which must be installed (Debian: chromium)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/browser.lock
	$(BIN)/python -m pytest -m browser tests/browser

test-prefect: .venv/.dev  ## Prefect in production, rehearsed: server, worker, schedule, cancellations, kills (minutes)
	$(BIN)/python -m pytest -m prefect_server tests/orchestration

test-cluster: .venv/.dev  ## runs shared among the workers of real Dask and Ray clusters on this machine (minutes)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/cluster.lock
	$(BIN)/python -m pytest -m cluster tests/orchestration

test-real: .venv/.dev  ## a real Gemma 3 on llama.cpp, transformers, LiteLLM, Portkey, LLMock, OpenRouter's SDK, stores, files of others; some 4 GB go to ~/.cache/parquill
	$(BIN)/python -m pytest -m real -rs -n 0 --durations=10

lock: $(BIN)/uv  ## compile requirements/*.lock anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --extra prefect --group build pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --extra prefect --group build --group dev -c requirements/run.lock pyproject.toml -o requirements/dev.lock
	printf 'playwright\naxe-playwright-python\n' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header -c requirements/dev.lock - -o requirements/browser.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --extra prefect --extra dask --extra ray -c requirements/dev.lock pyproject.toml -o requirements/cluster.lock
	echo pytest-cov | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header -c requirements/dev.lock - -o requirements/mutants.lock
	echo llmock | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header - -o requirements/llmock.lock
	printf 'transformers[serving]\npillow\n' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --override <(echo "torch; python_version < '3'") - -o requirements/transformers.lock
	printf 'openai[aiohttp]\npyarrow\norjson\nuvloop\n' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header - -o requirements/rival-openai.lock
	printf 'litellm\npyarrow\norjson\nuvloop\n' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header - -o requirements/rival-litellm.lock
	printf 'async-batch-llm\nopenai\npyarrow\norjson\nuvloop\n' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header - -o requirements/rival-async-batch-llm.lock
	printf 'flexllm\npyarrow\norjson\nuvloop\n' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header - -o requirements/rival-flexllm.lock
	printf 'json-repair[schema]\ninstructor\nbaml-py\njsonschema\n' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header - -o requirements/rival-answers.lock
	echo 'uv==0.13.9' | $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header - -o requirements/bootstrap.lock

clean:  ## remove the environment and what runs left behind
	rm -rf .venv out .pytest_cache .mypy_cache .ruff_cache .hypothesis
