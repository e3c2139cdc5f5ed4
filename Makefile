# make demo   a new environment, the program in it, and the first film from examples/
# make test   a new environment, and the tests in it
# make lint   ruff and mypy
# Another interpreter: make demo PYTHON=python3.12. Another place for the environment: VENV=/tmp/venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
FILM ?= demo.mp4

.PHONY: demo test lint clean

demo: $(VENV)/core
	$(BIN)/animate examples/astronaut.jpg examples/speech.flac --output $(FILM) --force
	@echo "$(abspath $(FILM))"

test: $(VENV)/test
	$(BIN)/python -m pytest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/test $(VENV)/dev: $(VENV)/%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) demo.mp4 dist build .mypy_cache .ruff_cache .pytest_cache
