# Everything a person or CI runs. `make setup` needs Python 3.11+ and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
RUN_STAMP := $(VENV)/.installed-to-run
OUT ?= bench/results.json
CODE := bot cogs moderation config tests bench

.DEFAULT_GOAL := help
.PHONY: help setup demo run doctor test check faults docs fmt bench soak train lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Earshot needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)

# What running needs; the lock file says which versions. With the full set-up there it is all in place.
$(RUN_STAMP): pyproject.toml requirements.lock | $(VENV)/bin/python
	@test -e $(STAMP) && test ! $(STAMP) -ot requirements.lock || $(PIP) --constraint requirements.lock --editable '.[demo,postgres]'
	@touch $@

$(STAMP): pyproject.toml requirements.lock | $(VENV)/bin/python
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@ $(RUN_STAMP)

setup: $(STAMP) ## make .venv with everything that developing needs; `make run` and `make demo` need less

demo: $(RUN_STAMP) ## the real bot against a loopback Discord; KEEP=1 stays up, DATABRICKS=1 adds a loopback workspace
	@$(BIN)/python -m tests.demo $(if $(KEEP),--keep) $(if $(DATABRICKS),--databricks)

run: $(RUN_STAMP) ## the bot, with what it needs installed first (see README)
	@$(BIN)/python -m bot run

doctor: $(RUN_STAMP) ## what the bot still needs, and what to do about it
	@$(BIN)/python -m bot check

check: $(STAMP) ## format, lint, types, import rules
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## everything CI checks
	$(BIN)/pytest -n 4 --dist loadscope --no-loadscope-reorder

faults: $(STAMP) ## bring about every fault and measure what it costs; WRITE=1 puts the table into tests/README.md
	@$(BIN)/python -m tests.faults $(if $(WRITE),--write)

docs: $(STAMP) ## rewrite the generated parts of README.md
	$(BIN)/python -m tests.readme

fmt: $(STAMP) ## format and fix what can be fixed
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(STAMP) ## measure beside peers; OUT=file.json
	@$(BIN)/python -m bench --out $(OUT)

soak: $(STAMP) ## eight hours of calls in ten minutes: is memory flat? HOURS=2 for a shorter run
	@$(BIN)/python -m bench.soak --hours $(or $(HOURS),8)

train: $(STAMP) ## train the toxicity model from bench/data
	@$(BIN)/python -m bench.train_toxicity

lock: ## pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --python-version 3.11 --all-extras --upgrade pyproject.toml -o requirements.lock

clean: ## remove what was made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
