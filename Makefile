# Model Auditor. `make help` lists what there is; `make demo` shows it at work.
.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check bench e2e docs

# Any Python from 3.11 on may make the virtual environment; 3.11 is what the lock was resolved for.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PY := .venv/bin/python
TESTS ?= tests
export PYTHONUTF8 := 1

help:  ## this list
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup:  ## virtual environment, packages, keys, lexical resources, static files (again: a second)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found. Install it (Debian: apt-get install \
	python3 python3-venv), or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m auditor.install
	@$(PY) -m auditor.setup

demo: setup  ## two real models trained, pushed, audited, reported and verified; ends by itself
	@$(PY) -m workers.demo

serve: setup  ## the web service and its workers until Ctrl-C (PORT=8000)
	@$(PY) -m workers.launch

test: setup  ## all tests: the fast ones on two processes, then the slow ones
	@$(PY) -m tests.programs
	$(PY) -m pytest -q -n 2 --dist loadfile -m "not slow" $(TESTS)
	$(PY) -m pytest -q -m slow $(TESTS) || test $$? -eq 5

check: setup  ## formatting, lint, types, import directions, templates, migrations
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	.venv/bin/djade --check $$(git ls-files 'templates/*.html' 'auditor/**/*.html')
	$(PY) manage.py makemigrations --check --dry-run
	PUBLIC_URL=https://auditor.example.org $(PY) manage.py check --deploy --fail-level WARNING

e2e: setup  ## the whole flow with real processes and a browser
	$(PY) -m pytest -q tests/e2e

bench: setup  ## how long the parts take, paired with the ways they replace
	$(PY) -m tests.benchmarks --all

docs: setup  ## the documentation as a site, in site/
	.venv/bin/mkdocs build --strict --quiet
