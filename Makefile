# make install: .venv as locked    make demo: the sample organisation, served on 127.0.0.1
# make test, make lint             make lock: write requirements*.txt anew from requirements*.in
# make engines: .venv-engines, the same with Daft and Spark, for the tests in tests/engines/
# make bench REQUESTS=… DAYS=…: what ingest and attribution cost, beside the least

# Compiled once, modules load in a third of the time; tests and the demo start many processes.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: install demo test lint engines lock bench

REQUESTS ?= 10000000
DAYS ?= 3

install:
	@./bootstrap.sh

demo: install
	@.venv/bin/python manage.py demo --serve

# Files by name, not those with the most tests first: the few that take longest would come last.
test: install
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: install
	.venv/bin/python -m bench --requests $(REQUESTS) --days $(DAYS)

engines: .venv-engines/installed

.venv-engines/installed: requirements.txt requirements-daft.txt requirements-spark.txt | install
	.venv/bin/python -m venv .venv-engines
	UV_SYSTEM_CERTS=true .venv/bin/uv pip sync --quiet --python .venv-engines/bin/python --require-hashes $<
	UV_SYSTEM_CERTS=true .venv/bin/uv pip install --quiet --python .venv-engines/bin/python --require-hashes \
		-r requirements-daft.txt -r requirements-spark.txt
	touch $@

COMPILE = UV_SYSTEM_CERTS=true UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-find-links

# The engines' files hold the versions of requirements.txt, but for pyarrow: Daft takes none so new.
lock: install
	$(COMPILE) requirements.in -o requirements.txt
	sed -n 's/^\([a-z0-9-]*==[^ ;]*\).*/\1/p' requirements.txt | grep -v '^pyarrow==' >.venv/constraints.txt
	for engine in daft spark; do \
		$(COMPILE) -c .venv/constraints.txt requirements-$$engine.in -o requirements-$$engine.txt || exit 1; \
	done
