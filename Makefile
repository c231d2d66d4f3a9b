# make install: .venv as locked    make demo: the sample organisation, served on 127.0.0.1
# make test, make lint             make lock: write requirements.txt anew from requirements.in
# make bench REQUESTS=… DAYS=…: what ingest and attribution cost, beside the least

# Compiled once, modules load in a third of the time; tests and the demo start many processes.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: install demo test lint lock bench

REQUESTS ?= 10000000
DAYS ?= 3

install:
	@./bootstrap.sh

demo: install
	@.venv/bin/python manage.py demo --serve

test: install
	.venv/bin/python -m pytest -n 2 --dist loadfile

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: install
	.venv/bin/python -m bench --requests $(REQUESTS) --days $(DAYS)

lock: install
	UV_SYSTEM_CERTS=true UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-find-links requirements.in -o requirements.txt
