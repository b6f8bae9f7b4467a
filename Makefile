# Everything voiced needs is set up here, into .venv; nothing else is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SENTENCE ?= Hello there. This is voiced, speaking while the sentence is still being generated.

.PHONY: demo test fuzz check clean system

## demo: set up, start a server, speak a sentence through a WebSocket client into hello.wav
demo: $(VENV)/.installed
	$(BIN)/voiced say "$(SENTENCE)" -o hello.wav --stats
	@echo
	@echo "Next:  $(BIN)/voiced serve                          a server on ws://127.0.0.1:8080/v1/realtime"
	@echo "       $(BIN)/voiced say \"your own words\" -o my.wav   uses that server if it runs"
	@echo "       $(BIN)/voiced say --help                     voices, scenes, other checkpoints"

## test: set up and run lint, types, import contracts and all tests
test: system $(VENV)/.installed-test check
	$(BIN)/python -m tests.interop.environment
	$(BIN)/python -m pytest -q

## fuzz: every parser over a hundred thousand cases
fuzz: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzz

# from Debian: the synthesiser whose speech the recipe's test trains on, curl, Chromium and Firefox, which are among the clients,
# and what playwright's own Node links to
system:
	@{ ls /usr/lib/*/libflite.so.1 /usr/lib/*/libatomic.so.1 && command -v curl && ls /usr/bin/chromium /usr/bin/firefox-esr; } >/dev/null 2>&1 || { \
	  echo "installing libflite1, curl, chromium and firefox-esr"; \
	  sudo=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq libflite1 libatomic1 curl chromium firefox-esr >/dev/null; }

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "voiced needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) .interop build *.egg-info
