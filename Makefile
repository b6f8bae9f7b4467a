# Everything voiced needs is set up here, into .venv; nothing else is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# which build of PyTorch: cpu, cuda, or auto (cuda where there is an NVIDIA driver)
TORCH ?= auto
# the tested versions; empty takes the newest ones that pyproject.toml allows
CONSTRAINTS ?= constraints.txt
PINNED = $(addprefix -c ,$(CONSTRAINTS))
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED)
# the tests of what pyproject.toml measures under tool.coverage
COVERED = $(addprefix tests/,access protocol session shell text $(addprefix engine/test_,contexts.py kv_pages.py scheduler.py))
SENTENCE ?= Hello there. This is voiced, speaking while the sentence is still being generated.

.PHONY: demo serve test quick coverage fuzz check fmt lock clean system

## demo: set up, start a server, speak a sentence through a WebSocket client into hello.wav
demo: $(VENV)/.installed
	$(BIN)/voiced say "$(SENTENCE)" -o hello.wav --stats
	@echo
	@echo "Next:  $(BIN)/voiced serve                          a server on ws://127.0.0.1:8080/v1/realtime"
	@echo "       $(BIN)/voiced say \"your own words\" -o my.wav   uses that server if it runs"
	@echo "       $(BIN)/voiced serve --brain rules            talk with it: open http://127.0.0.1:8080 and start the microphone"
	@echo "       $(BIN)/voiced talk question.wav              ask with a recording"
	@echo "       $(BIN)/voiced say --help                     voices, scenes, other checkpoints"

## serve: set up and run the server; ARGS="--port 9000" are its flags
serve: $(VENV)/.installed
	$(BIN)/voiced serve $(ARGS)

## test: set up and run lint, types, import contracts and all tests
test: system $(VENV)/.installed-test check
	$(BIN)/python -m tests.interop.environment
	$(MAKE) -j2 --output-sync=target test-alone test-beside

# servers, browsers and foreign clients one after the other, since they are timed and mostly wait;
# what only computes takes the cores that they leave
ALONE = process or browser or foreign or quiet
.PHONY: test-alone test-beside
test-alone:
	$(BIN)/python -m pytest -q -m "$(ALONE)"
test-beside:
	nice -n 15 $(BIN)/python -m pytest -q -m "not ($(ALONE))"

## quick: what needs no process, browser, foreign client or checkpoint: a minute, for while you work; ARGS="--lf"
quick: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q --quick -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

## coverage: which lines and branches of the rooms without I/O no test takes; fails below the bound in pyproject.toml
coverage: $(VENV)/.installed-test
	$(BIN)/python -m coverage run -m pytest -q -m "not process" --hypothesis-seed=0 $(COVERED)
	$(BIN)/python -m coverage report

## fuzz: every parser over a hundred thousand cases
fuzz: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzz

# from Debian: the synthesiser whose speech the recipe's test trains on, people's speech for the recogniser's, curl, Chromium and
# Firefox, which are among the clients, and what playwright's own Node links to
system:
	@{ ls /usr/lib/*/libflite.so.1 /usr/lib/*/libatomic.so.1 && command -v curl && ls /usr/bin/chromium /usr/bin/firefox-esr \
	    /usr/share/pocketsphinx/test/data/librivox /usr/share/asterisk/sounds/en_US_f_Allison; } >/dev/null 2>&1 || { \
	  echo "installing libflite1, curl, chromium, firefox-esr, pocketsphinx-testdata and asterisk-core-sounds-en-g722"; \
	  sudo=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq libflite1 libatomic1 curl chromium firefox-esr \
	    pocketsphinx-testdata asterisk-core-sounds-en-g722 >/dev/null; }

## check: lint, formatting, types and import contracts
check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## fmt: format, and mend what ruff can mend
fmt: $(VENV)/.installed-test
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

## lock: write the versions of this environment into constraints.txt
lock: $(VENV)/.installed-test
	@sed '/^[^#]/d' constraints.txt > constraints.new
	@$(BIN)/python -m pip freeze --exclude-editable | sed 's/+.*//' >> constraints.new
	mv constraints.new constraints.txt

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "voiced needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	sh realtime/deploy/install_torch.sh $(BIN)/python $(TORCH) $(PINNED)
	@echo "Fetching the other packages"
	$(PIP) -e '.[ears]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) .interop build *.egg-info
