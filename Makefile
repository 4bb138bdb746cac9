# lightrag-bkp: everything is reached from here. `make help` lists the targets.
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
BUILD  := build

CORE_C     := $(sort $(wildcard csrc/*/*.c))
ENGINE_C   := $(filter-out csrc/py/%,$(CORE_C))
HEADERS    := $(wildcard csrc/*/*.h csrc/*/*.def)
C_TESTS    := $(patsubst tests/c/%.c,%,$(sort $(wildcard tests/c/test_*.c)))
HARM       := $(addprefix tests/faults/,seam.c disk.c world.c world_trees.c world_restore.c world_judge.c power.c)
REPLAYS    := $(patsubst tests/fuzz/fuzz_%.c,replay_%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
CC         ?= gcc
C_FLAGS    := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-trapping-math -fno-math-errno -Wall -Wextra -Wno-format-truncation -Werror -g -O1 -fno-omit-frame-pointer -Icsrc
C_LIBS     := -lcrypto -lzstd -ldeflate -lexpat -lpthread -lm
ASAN       := -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN       := -fsanitize=thread -Wno-maybe-uninitialized
TSAN_TESTS := $(sort test_client test_client_lines test_client_objects test_task test_writer test_prober test_prober_wakings $(patsubst tests/c/%.c,%,$(shell grep -lE "pthread_create|lrb_pool_start|crew_start" tests/c/test_*.c)))

.PHONY: help demo test test-c test-tsan test-aarch64 test-faults torture coverage test-py test-tools lint bench bench-codec fuzz fuzz-seeds wheel compat clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.built ## install what is missing, build, and run the main job on real data
	@$(PY) examples/demo.py

test: lint test-c test-tsan test-faults test-py ## everything: lint, C tests under sanitizers, pytest, the house test

# ---- the Python side ----

$(VENV)/.packages: scripts/bootstrap
	@scripts/bootstrap $(PYTHON)
	@mkdir -p $(VENV) && touch $@

$(VENV)/.installed: $(VENV)/.packages pyproject.toml
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages into $(VENV), and building; the first time this takes some minutes"
	@$(PY) -m pip install --quiet --disable-pip-version-check 'setuptools>=77'
	@LRB_WERROR=1 $(PY) -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[test]'
	@touch $@

$(VENV)/.built: $(VENV)/.installed setup.py $(CORE_C) $(HEADERS)
	@echo "building the C core"
	@LRB_WERROR=1 $(PY) setup.py --quiet build_ext --inplace --build-temp $(BUILD)/ext
	@touch $@

test-py: $(VENV)/.built test-tools ## pytest and the house test
	@# The program is started a thousand times: not compiled anew each time, whatever the environment says. Whole
	@# thirds, of which whoever is done takes some, start a module's servers less often than ever smaller pieces.
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n 3 --dist worksteal # of two processors: a third of the time is waiting for disks and processes

TOOLS := $(BUILD)/tools
test-tools: $(TOOLS)/toxiproxy-server ## what tests need beside Python and C: Toxiproxy, built with Go
$(TOOLS)/toxiproxy-server: scripts/test-tools | $(VENV)/.installed
	@echo "building Toxiproxy"
	@scripts/test-tools $(PY) $(TOOLS)

STUBTEST = $(PY) -m mypy.stubtest lightrag_bkp._core lightrag_bkp._probe
lint: $(VENV)/.built ## ruff, mypy --strict, the stub against the core, and the C core without a warning
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet . || { $(PY) -m ruff format --diff --quiet .; exit 1; }
	@$(PY) -m mypy & types=$$!; $(STUBTEST) >/dev/null || $(STUBTEST); stub=$$?; wait $$types && exit $$stub

BENCH ?= peers scale
bench: $(VENV)/.built ## the measured bars: beside restic, borg, rustic and cp (SIZE_MB=600), and at scale (BENCH=scale)
	@$(if $(filter peers,$(BENCH)),$(PY) -m benchmarks --size-mb $(or $(SIZE_MB),600))
	@$(if $(filter scale,$(BENCH)),$(PY) -m benchmarks.scale)

bench-codec: $(BUILD)/bench/codec ## the vector codec on one core, stage by stage (FILE=.../vdb_entities.json GROUP=8)
	@$< $(FILE) $(GROUP) $(LEVEL)

CODEC_C := $(filter csrc/base/% csrc/codec/% csrc/lightrag/%,$(CORE_C))
$(BUILD)/bench/codec: benchmarks/codec.c $(CODEC_C) $(HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) -Wno-maybe-uninitialized -O3 $< $(CODEC_C) -o $@ $(C_LIBS)

compat: $(VENV)/.built ## cuts and restores with older LightRAG releases, each in an environment of its own
	@$(PY) tests/compat/make_old.py --out $(BUILD)/compat --cut

wheel: $(VENV)/.built ## a repaired manylinux wheel in dist/, tried in an empty environment of every CPython here
	@scripts/wheel $(PY) $(BUILD)

# ---- the C side: one archive per sanitizer and one without, one program per test file ----

define sanitized # name, flags
$(BUILD)/$(1)/%.o: csrc/%.c $(HEADERS)
	@mkdir -p $$(@D)
	@$(CC) $(C_FLAGS) $(2) -c $$< -o $$@

$(BUILD)/$(1)/core.a: $(patsubst csrc/%.c,$(BUILD)/$(1)/%.o,$(ENGINE_C))
	@rm -f $$@ && ar rcs $$@ $$^

$(BUILD)/$(1)/test_%: tests/c/test_%.c $(wildcard tests/c/*.h) $(BUILD)/$(1)/core.a
	@$(CC) $(C_FLAGS) $(2) -Itests/c $$< $(BUILD)/$(1)/core.a -o $$@ $(C_LIBS) $$(MORE_LIBS)

$(BUILD)/$(1)/test_%: tests/faults/test_%.c $(HARM) $(wildcard tests/faults/*.h tests/c/*.h) $(BUILD)/$(1)/core.a
	@$(CC) $(C_FLAGS) $(2) -Itests/c -Itests/faults $$< $(HARM) $(BUILD)/$(1)/core.a -o $$@ $(C_LIBS)

$(BUILD)/$(1)/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(wildcard tests/*/*.h) $(BUILD)/$(1)/core.a
	@$(CC) $(C_FLAGS) $(2) -Itests -DLRB_CORPUS='"tests/fuzz/corpus/$$*"' \
		$$< tests/fuzz/replay.c $(BUILD)/$(1)/core.a -o $$@ $(C_LIBS)
endef
$(addprefix $(BUILD)/%/,test_client test_client_lines test_client_objects test_connection test_prober test_prober_wakings): MORE_LIBS := -lcurl # alone: it brings some thirty libraries along
$(eval $(call sanitized,asan,$(ASAN)))
$(eval $(call sanitized,tsan,$(TSAN)))
$(eval $(call sanitized,plain,-O2 -Wno-maybe-uninitialized))
$(eval $(call sanitized,cov,--coverage -fprofile-update=atomic -O0 -include tests/c/counted.h))

test-c: $(VENV)/.packages ## C unit tests and the fuzz corpus under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory -j2 $(addprefix $(BUILD)/asan/,$(C_TESTS) $(REPLAYS))
	@scripts/run-c-tests $(addprefix $(BUILD)/asan/,$(C_TESTS) $(REPLAYS))

test-tsan: $(VENV)/.packages ## the threaded C tests under ThreadSanitizer
	@$(MAKE) --no-print-directory -j2 $(addprefix $(BUILD)/tsan/,$(TSAN_TESTS))
	@scripts/run-c-tests $(addprefix $(BUILD)/tsan/,$(TSAN_TESTS))

FAULTS := $(addprefix $(BUILD)/,asan/test_refusals plain/test_power plain/test_power_two plain/test_power_restore plain/test_power_beside plain/test_between)
test-faults: $(VENV)/.packages ## power cuts, refused calls and every order of two writers (tests/faults)
	@$(MAKE) --no-print-directory -j2 $(FAULTS)
	@scripts/run-c-tests $(FAULTS)

torture: $(VENV)/.built ## processes killed, stopped and lied to while they do everything, judged by an oracle (MINUTES=5, SEED=)
	@PYTHONPATH=tests:tests/compat $(PY) -m torture --minutes $(or $(MINUTES),5) $(addprefix --seed ,$(SEED)) --work $(BUILD)/torture

AARCH64_TESTS := test_f16 test_ordered test_float_env test_base64 test_inflate test_canonical test_corrections test_radix \
	test_distances test_residual test_planes test_vectors test_digest test_fingerprint test_chunker test_vdb test_vdb_group \
	test_vdb_parts test_records test_cut test_recipe test_vector_items test_intake test_intake_section test_rewritten
test-aarch64: ## C tests of what decides the stored bytes, built for aarch64, under qemu-user: they are the same
	@scripts/test-aarch64 $(BUILD)/aarch64 $(AARCH64_TESTS)

COVERING := $(addprefix $(BUILD)/cov/,$(C_TESTS) $(REPLAYS) test_refusals test_between)
coverage: $(VENV)/.packages ## branches of csrc/ that the C tests take; not below tests/coverage-floor
	@$(MAKE) --no-print-directory -j2 $(COVERING)
	@scripts/coverage $(BUILD) $(COVERING)

fuzz: $(VENV)/.packages ## fuzz every parser of stored bytes (FUZZ_SECONDS=60 each)
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) scripts/fuzz $(BUILD)/fuzz

fuzz-seeds: $(BUILD)/asan/core.a ## write the inputs anew that fuzzing starts from (tests/fuzz/corpus)
	@$(CC) $(C_FLAGS) $(ASAN) -Itests -Itests/fuzz $(wildcard tests/fuzz/seeds*.c) $< -o $(BUILD)/asan/seeds $(C_LIBS)
	@$(BUILD)/asan/seeds tests/fuzz/corpus

clean: ## remove what was built
	rm -rf $(BUILD) dist $(VENV) lightrag_bkp/*.so *.egg-info
