# make install: .venv as locked    make demo: the sample organisation, served on 127.0.0.1
# make test, make lint             make lock: write requirements.txt anew from requirements.in

# Compiled once, modules load in a third of the time; tests and the demo start many processes.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: install demo test lint lock

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

lock: install
	UV_SYSTEM_CERTS=true UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-find-links requirements.in -o requirements.txt
