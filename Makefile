# Every target sets up whatever it needs by itself. Recipes `exec`, so that signals reach the program
# that acts on them, and say who started it ($$PPID is make), so that it ends when make does.

PYTHON ?= python3
# Who names a Python means that one; otherwise the quickest of the same version is taken.
EXACTLY = $(if $(filter file,$(origin PYTHON)),,--exactly)
RUN = exec .venv/bin/python -m deploy.local --parent $$PPID
DJANGO = exec env DJANGO_SETTINGS_MODULE=config.settings.test .venv/bin/python manage.py
CODE = config common lockers logistics optimizer deploy tests manage.py
COMPILE = pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

# Compiled files spare every later start some seconds, whatever the shell that calls us prefers.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo day faults proofs load bench test check format lock environment

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: environment var/compiled ## play a delivery day and go on serving its pages until Ctrl-C (SEED= ORDERS= BUDGET= LINK=mqtt)
	@$(RUN) demo --stay

day: environment var/compiled ## play days without a terminal; the last line is JSON (SEED=7 or SEEDS=1-20, ORDERS= BUDGET= LINK=mqtt)
	@$(RUN) day

faults: $(if $(filter none,$(PROOFS)),,proofs) environment var/compiled ## all proofs, then work while servers and lockers are killed; the last line is JSON (SEED=7 FAULTS=40 PROOFS=none)
	@$(RUN) faults

proofs: environment var/compiled ## the long forms of the tests that try a rule many times (ARGS="-k town")
	@$(RUN) proofs $(ARGS)

load: environment var/compiled ## measure unlocks, 500 lockers, an outage on 2 cores; the last line is JSON (LOCKERS= RATE= SECONDS= BACKLOG= UNLOCKS=)
	@$(RUN) load

bench: ## measure the planner against its peers, resumable; tables and a plot go to var/bench (ARGS="--quick")
	@$(PYTHON) -m deploy.local.bootstrap --packages bench --parent $$PPID $(EXACTLY)
	@var/venv-bench/bin/python -m optimizer compile >/dev/null; exec var/venv-bench/bin/python -m optimizer bench $(ARGS)

test: environment var/compiled ## all tests on SQLite, then those with locks and queues on PostgreSQL (ARGS="-k lockers")
	@$(RUN) test $(ARGS)

check: environment ## style, types, imports, migrations, API schema; stops at the first failure
	@echo "== ruff check"; exec .venv/bin/ruff check
	@echo "== ruff format"; exec .venv/bin/ruff format --check
	@echo "== mypy"; exec .venv/bin/python -m mypy $(CODE)
	@echo "== import-linter"; exec .venv/bin/lint-imports
	@echo "== migrations"; $(DJANGO) makemigrations --check --dry-run
	@echo "== OpenAPI"; $(DJANGO) spectacular --validate --fail-on-warn --file /dev/null

format: environment ## put the code into its form
	@.venv/bin/ruff check --fix --quiet; exec .venv/bin/ruff format

lock: ## re-make the lock files after a change of requirements/*.in (ARGS=--upgrade)
	@uv=$$($(PYTHON) -m deploy.local.bootstrap --uv) && for name in base dev bench; do \
		"$$uv" $(COMPILE) $(ARGS) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; \
	done

# The planner's search is compiled ahead, which takes about a minute that the first plan does not have.
var/compiled: $(wildcard optimizer/lns/*.py optimizer/bound/*.py) optimizer/compiled.py requirements/base.txt | environment
	@echo "Compiling the planner's search …"; mkdir -p var; .venv/bin/python -m optimizer compile >/dev/null && touch $@

environment:
	@exec $(PYTHON) -m deploy.local.bootstrap --parent $$PPID $(EXACTLY)
