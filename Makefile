# Every target runs from a fresh clone: the virtual environment is made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FRAMEWORKS_VENV ?= .venv-frameworks
GEN_DIR ?= gen
DESCRIPTOR ?= envoy/meshgate.pb
PROTOS = $(shell cd protos && find . -name '*.proto' | sed 's|^\./||' | sort)
GOOGLE_PROTOS = $(shell $(BIN)/python -c 'import pathlib, google.rpc as g; print(pathlib.Path(list(g.__path__)[0]).parents[1])')
DESCRIPTOR_EXTRAS := google/rpc/error_details.proto google/rpc/status.proto

.DEFAULT_GOAL := help
.PHONY: help run compose-secrets compose-up compose-down compose-check test test-node check gen gen-check envoy envoy-check dialects format lint types layers dependencies protos bench clean

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- set-up

$(VENV)/.run: pyproject.toml
	@$(PYTHON) scripts/check_machine.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing meshgate into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(BIN)/pip install --quiet --disable-pip-version-check --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@touch $@

# Frameworks that the tests ask, and that cannot be installed beside the others: without Meshgate, which they see through its port alone.
$(FRAMEWORKS_VENV)/.installed: pyproject.toml
	@test -x $(FRAMEWORKS_VENV)/bin/python || $(PYTHON) -m venv $(FRAMEWORKS_VENV)
	@echo "installing frameworks into $(FRAMEWORKS_VENV) ..."
	@$(FRAMEWORKS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(FRAMEWORKS_VENV)/bin/pip install --quiet --disable-pip-version-check --group frameworks
	@touch $@

# ---------------------------------------------------------------- for users

run: $(VENV)/.run  ## start the gateway on http://127.0.0.1:8080
	@$(BIN)/meshgate up

# How many processes run the tests: one for each core, and four at most; 0 runs them in one, in the order in which they are written. One
# that dies fails the run: put in another's place, it would wait for ever for what the first one had begun.
TEST_WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -lt 4 ] && echo $$n || echo 4)

test: $(VENV)/.test $(FRAMEWORKS_VENV)/.installed  ## run the whole test suite
	@FRAMEWORKS_VENV=$(FRAMEWORKS_VENV) $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile \
	  --no-loadscope-reorder --max-worker-restart 0

tests/node/node_modules/.installed: tests/node/package-lock.json
	@cd tests/node && npm ci --silent && touch node_modules/.installed

test-node: $(VENV)/.test tests/node/node_modules/.installed  ## run SDKs for Node against the gateway; needs node 20
	@PYTHONPATH=services:gen:tests $(BIN)/python -m node.judges

bench: $(VENV)/.test  ## measure the gateway beside plain Envoy, on this machine
	@$(BIN)/python -m bench && $(BIN)/python bench/quota.py

# ---------------------------------------------------------------- in containers

COMPOSE ?= docker compose

compose-secrets:  ## make the secrets of docker-compose.yml, in .env
	@sh deploy/compose/secrets.sh

compose-up: compose-secrets  ## build the image and start the mesh, each service in a container
	@$(COMPOSE) up --detach --build

compose-down:  ## stop those containers; what is kept in volumes stays
	@$(COMPOSE) down

compose-check: $(VENV)/.test  ## ask a mesh in containers, at MESHGATE_URL with the key in .env, for everything
	@PYTHON=$(BIN)/python sh deploy/compose/check.sh

# ---------------------------------------------------------------- for developers

check: gen-check envoy-check protos lint types layers dependencies  ## every check but the tests

gen: $(VENV)/.dev  ## regenerate gen/ and Envoy's descriptor set from protos/
	@rm -rf $(GEN_DIR)/meshgate && mkdir -p $(GEN_DIR) $(dir $(DESCRIPTOR))
	@$(BIN)/python -m grpc_tools.protoc -I protos -I $(GOOGLE_PROTOS) --python_out=$(GEN_DIR) \
	  --grpc_python_out=$(GEN_DIR) --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc --mypy_out=quiet:$(GEN_DIR) \
	  --mypy_grpc_out=quiet,only_async:$(GEN_DIR) $(PROTOS)
	@$(BIN)/python -m grpc_tools.protoc -I protos -I $(GOOGLE_PROTOS) --include_imports \
	  --descriptor_set_out=$(DESCRIPTOR) $(PROTOS) $(DESCRIPTOR_EXTRAS)

gen-check: $(VENV)/.dev  ## fail if gen/ is stale
	@d=$$(mktemp -d) && $(MAKE) -s gen GEN_DIR=$$d DESCRIPTOR=$$d/meshgate.pb && \
	  cmp $$d/meshgate.pb $(DESCRIPTOR) && rm $$d/meshgate.pb && \
	  diff -r -x __pycache__ $$d gen && rm -rf $$d

envoy: $(VENV)/.run  ## render Envoy's configuration for docker-compose.yml
	@$(BIN)/python -m meshgate.edge compose > envoy/envoy.yaml

envoy-check: $(VENV)/.run  ## fail if that rendering is stale
	@$(BIN)/python -m meshgate.edge compose | diff - envoy/envoy.yaml

dialects: $(VENV)/.test  ## write docs/dialects.md from what becomes of every feature
	@PYTHONPATH=services:gen:tests $(BIN)/python -m dialects.matrix > docs/dialects.md.new && \
	  mv docs/dialects.md.new docs/dialects.md

protos: $(VENV)/.dev  ## lint the contract
	@BIN=$(BIN) GOOGLE_PROTOS=$(GOOGLE_PROTOS) sh scripts/lint_protos.sh

lint: $(VENV)/.dev  ## ruff
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .

format: $(VENV)/.dev  ## let ruff rewrite
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: $(VENV)/.dev  ## mypy strict
	@$(BIN)/mypy services

layers: $(VENV)/.dev  ## who may import whom
	@PYTHONPATH=services:gen $(BIN)/lint-imports --no-cache

dependencies: $(VENV)/.dev  ## what is declared is used, and the other way round
	@$(BIN)/deptry services

clean:  ## forget the virtual environments and all caches
	@rm -rf $(VENV) $(FRAMEWORKS_VENV) .mypy_cache .ruff_cache .pytest_cache dist build
