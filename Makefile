# make: prepare .venv; make demo: train and test in minutes; make test: every test.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: setup demo test
setup: $(VENV)/installed

# Old pips read PIP_CONSTRAINT for building packages too, new ones PIP_BUILD_CONSTRAINT.
$(VENV)/installed: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		$(VENV)/bin/pip install --quiet -r requirements.txt
	$(PY) visdom_server.py --fetch
	touch $@

demo: setup
	$(PY) demo.py

test: setup
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/ruff format --quiet --check .
	$(PY) -m pytest
