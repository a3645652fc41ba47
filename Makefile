# Everything a person or CI runs. `make setup` needs Python 3.11+ and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= bench/results.json
CODE := bot cogs moderation config tests bench

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check docs fmt bench lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Earshot needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(STAMP) ## make .venv with everything the other targets need

demo: $(STAMP) ## the real bot against a loopback Discord; KEEP=1 stays up
	@$(BIN)/python -m tests.demo $(if $(KEEP),--keep)

run: $(STAMP) ## the bot (needs DISCORD_TOKEN, see README)
	@$(BIN)/python -m bot run

check: $(STAMP) ## format, lint, types, import rules
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## everything CI checks
	$(BIN)/pytest

docs: $(STAMP) ## rewrite the generated parts of README.md
	$(BIN)/python -m tests.readme

fmt: $(STAMP) ## format and fix what can be fixed
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(STAMP) ## measure beside peers; OUT=file.json
	@$(BIN)/python -m bench --out $(OUT)

lock: ## pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --python-version 3.11 --all-extras --upgrade pyproject.toml -o requirements.lock

clean: ## remove what was made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
