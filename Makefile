# Another interpreter: make demo PYTHON=python3.12. Another place for the environment: VENV=/tmp/venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
FILM ?= demo.mp4

.PHONY: help demo films heart check test lint clean
.DEFAULT_GOAL := demo

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

demo: $(VENV)/core  ## a new environment, the program in it, and the first film from examples/
	$(BIN)/animate examples/astronaut.jpg examples/speech.flac --output $(FILM) --force
	@echo "$(abspath $(FILM))"

films: $(VENV)/core  ## Einstein lectures, Rasputin sings, an address moves two paintings: einstein.mp4, rasputin.mp4, address_*.mp4
	$(BIN)/animate examples/portraits/unknown_albert_einstein_1921.jpg examples/kennedy_moon_congress_1961.flac \
	  --output einstein.mp4 --force
	$(BIN)/animate examples/portraits/unknown_grigori_rasputin_1916.jpg examples/hobbs_lets_go_fishin.opus \
	  --output rasputin.mp4 --force
	for who in isidora_master_isidora_100 moller_gogol_1841; do \
	  $(BIN)/animate examples/portraits/$$who.jpg --actor examples/address.mp4 --output address_$$who.mp4 --force || exit 1; \
	done

heart: $(VENV)/core  ## one singer whose face becomes five others' along a song, in two styles: heart_face.mp4, heart_photo.mp4
	for style in face photo; do \
	  $(BIN)/animate examples/astronaut.jpg examples/song.flac --morph examples/heart.lrc --morph-style $$style \
	    --output heart_$$style.mp4 --force || exit 1; \
	done

test: $(VENV)/test  ## a new environment, and all tests in it, two at a time
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: lint  ## ruff, mypy and the unit tests: under two minutes
	$(BIN)/python -m pytest -m unit tests

lint: $(VENV)/dev  ## ruff and mypy
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

clean:  ## remove the environment and what was built
	rm -rf $(VENV) demo.mp4 einstein.mp4 rasputin.mp4 address_*.mp4 heart_face.mp4 heart_photo.mp4 dist build .mypy_cache .ruff_cache .pytest_cache
