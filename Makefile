# benchtop. `make run` installs what is missing, builds and starts; `make test` does the same and runs every test.
# `make help` lists the targets. One rule compiles every room; the compiler tracks header dependencies (-MMD -MP).

VERSION := 0.1.0
BUILD   ?= build
CC      ?= gcc
CFLAGS  ?= -O3 -g
PREFIX  ?= /usr/local
NVCC    ?= $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))

# --- detection, printed by `make config` and at the start of a build ----------------------------------------------------
PKGS       := ncursesw libcjson gsl
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
HEADER      = $(shell printf '\#include <%s>\n' $(1) | $(CC) -E -xc - >/dev/null 2>&1 && echo yes)
ONEDNN     := $(call HEADER,dnnl.h)
COMMIT     := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$(shell git diff --quiet HEAD 2>/dev/null || echo -dirty)

# Sanitizers' own code misleads gcc's flow warnings, so that -Werror judges the plain build alone.
WARN       := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-missing-field-initializers $(if $(SANITIZE),,$(if $(CI),-Werror))
ALL_CFLAGS  = -std=gnu17 $(CFLAGS) $(WARN) -fopenmp -fno-math-errno -I. $(PKG_CFLAGS) -MMD -MP $(SANITIZE)
# The libraries beside the binary (make dist) or in lib/benchtop (make install) win over the system's.
ALL_LDFLAGS = -fopenmp -Wl,-rpath,'$$ORIGIN/lib:$$ORIGIN/../lib/benchtop' $(SANITIZE) $(LDFLAGS)
ALL_LIBS    = $(PKG_LIBS) -lm -ldl -lpthread
# V=1 shows every command; otherwise a line per file.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $@)

sources = $(sort $(wildcard $(1)/*.c $(1)/*/*.c))
objects = $(patsubst %.c,$(BUILD)/%.o,$(call sources,$(1)))
ROOMS     := engine kernels stats presets
ARCHIVES  := $(ROOMS:%=$(BUILD)/%.a)
TUI       := $(call objects,tui)

all: config $(BUILD)/benchtop

$(BUILD)/benchtop: $(TUI) $(ARCHIVES)
	$(call say,link)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

define room
$$(BUILD)/$(1).a: $$(call objects,$(1))
	$$(call say,room)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Only engine/version.c sees the commit, so that a commit recompiles one file.
$(BUILD)/commit: force
	@mkdir -p $(@D); echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' > $@
$(BUILD)/engine/version.o: $(BUILD)/commit
$(BUILD)/engine/version.o: CFLAGS += -DBENCHTOP_VERSION='"$(VERSION)"' -DBENCHTOP_COMMIT='"$(COMMIT)"'

config:
	@pkg-config --exists $(PKGS) || { echo 'benchtop: ncursesw, cJSON or GSL not found: run `make deps`'; exit 1; }
	@echo "compiler   $$($(CC) --version | head -1)"
	@echo "cuda       $(if $(NVCC),$(NVCC) found; this version has no CUDA backend yet and builds for the CPU alone,no nvcc: the CPU backend alone)"
	@echo "products   $(if $(ONEDNN),oneDNN's header found: opened at run time where the library is,no oneDNN header: CBLAS where found at run time, else own loops (make deps installs it))"
	@echo "arch       $$(uname -m): portable$(if $(filter x86_64,$(shell uname -m)), + AVX2 + AVX-512 + AVX512-BF16), chosen at run time"

# --- one command each -----------------------------------------------------------------------------------------------------
run: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) all 1>&2
	@if [ -t 1 ] && [ -t 0 ]; then exec $(BUILD)/benchtop; else exec $(BUILD)/benchtop run quick; fi

deps:
	@.ci/deps

TESTS         := $(sort $(wildcard tests/*/*_test.c))
TEST_BINARIES := $(patsubst %.c,$(BUILD)/%,$(TESTS))
TEST_SCRIPTS  := $(sort $(wildcard tests/*/*_test.sh))
tests: $(TEST_BINARIES)
$(BUILD)/tests/stats/%: $(BUILD)/tests/stats/%.o $(BUILD)/stats.a
	$(call say,test)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/kernels/%: $(BUILD)/tests/kernels/%.o $(BUILD)/kernels.a
	$(call say,test)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/presets/%: $(BUILD)/tests/presets/%.o $(BUILD)/presets.a
	$(call say,test)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/engine/%: $(BUILD)/tests/engine/%.o $(ARCHIVES)
	$(call say,test)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/tui/%: $(BUILD)/tests/tui/%.o $(filter-out $(BUILD)/tui/main.o,$(TUI)) $(ARCHIVES)
	$(call say,test)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(filter-out $(BUILD)/tui/main.o,$(TUI)) $(ARCHIVES)
	$(call say,test)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)
.SECONDARY:

test: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) all tests
	@BENCHTOP=$(BUILD)/benchtop tests/run.sh $(TEST_BINARIES) $(TEST_SCRIPTS)

# --- sanitizers: the same tests in a build of their own ---------------------------------------------------------------
# TSan does not see inside libgomp, so its run has one OpenMP thread on one core; it judges the program's own threads.
asan: export ASAN_OPTIONS = detect_leaks=1:intercept_tls_get_addr=0
asan: export LSAN_OPTIONS = suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0
ubsan: export UBSAN_OPTIONS = halt_on_error=1:print_stacktrace=1
tsan: export TSAN_OPTIONS = halt_on_error=1:second_deadlock_stack=1
tsan: export OMP_THREAD_LIMIT = 1
asan:  SAN = -fsanitize=address
ubsan: SAN = -fsanitize=undefined -fno-sanitize-recover=undefined
tsan:  SAN = -fsanitize=thread
asan ubsan tsan:
	@$(MAKE) --no-print-directory -j$(shell nproc) BUILD=$(BUILD)/$@ CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='$(SAN)' all tests
	@SANITIZER=$@ BENCHTOP=$(BUILD)/$@/benchtop $(if $(filter tsan,$@),taskset -c 0) tests/run.sh \
	  $(TEST_BINARIES:$(BUILD)/%=$(BUILD)/$@/%) $(TEST_SCRIPTS)

# --- speed, shown as ratios in one run -----------------------------------------------------------------------------------
BENCHES := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/bench/*_bench.c)))
bench: all $(BENCHES)
	@BENCHTOP=$(BUILD)/benchtop BUILD=$(BUILD) tests/bench/run.sh

# --- fuzzing: FUZZ_SECONDS per target, clang's libFuzzer with ASan and UBSan --------------------------------------------
FUZZ_SECONDS ?= 60
FUZZERS := $(patsubst tests/fuzz/%_fuzz.c,%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))
fuzz: $(FUZZERS:%=fuzz-%)
fuzz-%: force
	@command -v clang >/dev/null || { echo 'make fuzz needs clang: apt-get install clang libclang-rt-dev'; exit 1; }
	@mkdir -p $(BUILD)/fuzz/$*-corpus
	clang -std=gnu17 -O1 -g -I. $(PKG_CFLAGS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	  tests/fuzz/$*_fuzz.c $(filter-out tui/main.c,$(foreach r,$(ROOMS) tui,$(call sources,$(r)))) -o $(BUILD)/fuzz/$* \
	  -fopenmp=libgomp $(ALL_LIBS) -lgomp
	$(BUILD)/fuzz/$* -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=2048 $(BUILD)/fuzz/$*-corpus $(wildcard tests/data/fuzz/$*)

lint:
	@tests/lint.sh

# --- to another place -----------------------------------------------------------------------------------------------------
CATALOG := $(wildcard presets/*.json presets/models/*.json presets/implementations/*.json)
install: all
	install -Dm755 $(BUILD)/benchtop $(DESTDIR)$(PREFIX)/bin/benchtop
	$(foreach f,$(CATALOG),install -Dm644 $(f) $(DESTDIR)$(PREFIX)/share/benchtop/$(f) &&) true
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(BUILD)/benchtop manual > $(DESTDIR)$(PREFIX)/share/man/man1/benchtop.1
	$(BUILD)/benchtop completion > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/benchtop

# A folder that runs elsewhere: the binary, every library it needs but the C library itself, the catalog.
dist: all
	@.ci/dist $(BUILD)/benchtop $(BUILD)/dist/benchtop-$(VERSION)

clean:
	rm -rf $(BUILD)

help:
	@echo 'make run      install what is missing, build, start (headless preset "quick" where there is no terminal)'
	@echo 'make test     the same preparation, then every test'
	@echo 'make          build only: no network, no root'
	@echo 'make install PREFIX=/usr/local DESTDIR=    binary, catalog, man page, bash completion'
	@echo 'make dist     a relocatable folder in $(BUILD)/dist'
	@echo 'make lint | asan | ubsan | tsan | fuzz | bench | clean'

.PHONY: all config run deps tests test asan ubsan tsan bench fuzz lint install dist clean help force
.DEFAULT_GOAL := all
-include $(shell find $(BUILD) -name '*.d' -not -path '$(BUILD)/asan/*' -not -path '$(BUILD)/ubsan/*' -not -path '$(BUILD)/tsan/*' 2>/dev/null)
