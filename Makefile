# make: prepare .venv; make demo: train and test in two minutes; make test: every test.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: setup demo test
setup: $(VENV)/installed

# PIP_CONSTRAINT holds for building packages too in old pips; new ones read PIP_BUILD_CONSTRAINT.
$(VENV)/installed: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		$(VENV)/bin/pip install --quiet -r requirements.txt
	$(PY) visdom_server.py --fetch
	touch $@
