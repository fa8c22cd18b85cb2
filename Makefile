# make: create .venv; make demo: restore photos and train a network in minutes, and write a page of the results;
# make test: the quick tests; make coverage: the quick tests and their coverage, which takes longer; make test-all: all;
# make test PYTHON=python3.13 VENV=.venv-3.13: the same under another Python;
# make fuzz [CASES=30000]: read damaged files of every format; make torture [KILLS=30]: kill training runs, fill disks;
# make bench: speed and memory on this machine, compared with other engines;
# make weights [BUDGET=minutes] [DATA=pictures] [TEST_DATA=folders]: train the networks of weights/;
# make documents [DATA=folder]: make the pictures, tables and plots of the documents anew;
# make estimators [BUDGET=minutes] [DATA=pictures]: train the estimators of weights/, which read blur and noise;
# make reproduce WEIGHTS=folder PCA=file DATA=folder: score the published networks, and compare with the reference.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: setup demo lint test coverage test-all fuzz torture bench weights estimators documents reproduce
setup: $(VENV)/installed

# Old pips read PIP_CONSTRAINT for building packages too, new ones PIP_BUILD_CONSTRAINT.
$(VENV)/installed: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		$(VENV)/bin/pip install --quiet -r requirements.txt
	$(PY) -m srmd.show.visdom_server --fetch
	touch $@

demo: setup
	$(PY) -m srmd.cli.demo

lint: setup
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/ruff format --quiet --check .

test: lint
	$(PY) -m pytest -m "not slow"

coverage: lint
	$(PY) -m pytest -m "not slow" --cov --cov-report=term

test-all: lint
	$(PY) -m pytest

fuzz: setup
	OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR):$(CURDIR)/tests" $(PY) -m fuzz.run --cases=$(or $(CASES),30000)

torture: setup
	OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR):$(CURDIR)/tests" $(PY) -m torture.run $(if $(KILLS),--kills=$(KILLS))

bench: setup
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements-engines.txt -c constraints.txt
	$(PY) -m benchmarks

weights: setup
	$(PY) -m benchmarks.train_weights $(if $(BUDGET),--minutes=$(BUDGET)) $(if $(DATA),--train_data="$(DATA)") \
		$(if $(TEST_DATA),--test_data $(TEST_DATA))

estimators: setup
	$(PY) -m benchmarks.train_estimators $(if $(BUDGET),--minutes=$(BUDGET)) $(if $(DATA),--train_data="$(DATA)")

documents: setup
	$(PY) -m benchmarks.documents $(if $(DATA),--data="$(DATA)")

reproduce: setup
	$(PY) -m benchmarks.reproduce "$(WEIGHTS)" "$(DATA)" $(if $(PCA),--pca="$(PCA)")
