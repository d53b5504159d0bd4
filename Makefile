# benchtop. `make run` installs what is missing, builds and starts; `make test` does the same and runs every test.
# `make help` lists the targets. One rule compiles every room; the compiler tracks header dependencies (-MMD -MP).

VERSION := 0.1.0
BUILD   ?= build
CC      ?= gcc
CFLAGS  ?= -O3 -g
PREFIX  ?= /usr/local
CXX     ?= g++

# --- detection, printed by `make config` and at the start of a build ----------------------------------------------------
PKGS       := ncursesw libcjson gsl
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
HEADER      = $(shell printf '\#include <%s>\n' $(1) | $(CC) -E -xc - >/dev/null 2>&1 && echo yes)
ONEDNN     := $(call HEADER,dnnl.h)
# CUDA=0 leaves the GPU out; CUDA_ARCHS=90a builds for one architecture alone. The last one without a letter also goes in
# as PTX, for what comes after. An older toolkit builds for those it knows.
NVCC       ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard $(CUDA_HOME)/bin/nvcc /usr/local/cuda/bin/nvcc))
CUDA       ?= $(if $(NVCC),1,0)
WITH_CUDA  := $(filter-out 0,$(CUDA))
ifneq ($(WITH_CUDA),)
$(if $(NVCC),,$(error CUDA=1, but there is no nvcc in PATH, CUDA_HOME or /usr/local/cuda: install the CUDA toolkit or name it with NVCC=))
endif
CUDA_KNOWS := $(if $(WITH_CUDA),$(shell $(NVCC) --list-gpu-code 2>/dev/null))
CUDA_ARCHS ?= $(foreach a,80 86 89 90a 100 120,$(if $(filter sm_$(a:a=),$(CUDA_KNOWS)),$(a)))
CUDA_ROOT  := $(if $(WITH_CUDA),$(abspath $(dir $(shell readlink -f $(NVCC)))..))
PTX_ARCH   := $(lastword $(filter-out %a %f,$(CUDA_ARCHS)))
, := ,
# The sources ask for the architecture from sm_90 on alone: those before it share the PTX of the oldest, which is compiled once.
SHARING    := $(sort $(filter 80 86 87 89,$(CUDA_ARCHS)))
GENCODE    := $(foreach a,$(SHARING),-gencode arch=compute_$(firstword $(SHARING)),code=sm_$(a)) \
              $(foreach a,$(filter-out $(SHARING),$(CUDA_ARCHS)),-gencode arch=compute_$(a),code=sm_$(a)) \
              $(if $(PTX_ARCH),-gencode arch=compute_$(PTX_ARCH)$(,)code=compute_$(PTX_ARCH))
COMMIT     := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$(shell git diff --quiet HEAD 2>/dev/null || echo -dirty)

# Sanitizers' own code misleads gcc's flow warnings, so that -Werror judges the plain build alone.
WARN       := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-missing-field-initializers $(if $(SANITIZE),,$(if $(CI),-Werror))
ALL_CFLAGS  = -std=gnu17 $(CFLAGS) $(WARN) -fopenmp -fno-math-errno -I. $(PKG_CFLAGS) -MMD -MP $(SANITIZE)
# The libraries beside the binary (make dist) or in lib/benchtop (make install) win over the system's.
ALL_LDFLAGS = -fopenmp -Wl,-rpath,'$$ORIGIN/lib:$$ORIGIN/../lib/benchtop' $(SANITIZE) $(LDFLAGS)
ALL_LIBS    = $(PKG_LIBS) -lm -ldl -lpthread $(CUDA_LIBS)
CUDA_LIBS  := $(if $(WITH_CUDA),-L$(CUDA_ROOT)/lib64 -L$(CUDA_ROOT)/targets/x86_64-linux/lib -lcudart_static -lrt)
# Six architectures with their line tables would make a binary of 130 MB; packed they are a sixth of it (any driver for CUDA 13 unpacks).
NVCC_PACK  := $(if $(WITH_CUDA),$(shell $(NVCC) --version | grep -qE 'release (1[3-9]|[2-9][0-9])\.' && echo --compress-mode=size))
NVCC_FLAGS  = -std=c++17 -O3 -lineinfo $(NVCC_PACK) -I. $(GENCODE) -Xptxas -v -Xcompiler -fno-exceptions,-fno-rtti,-fno-threadsafe-statics
# V=1 shows every command; otherwise a line per file.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $@)

sources = $(sort $(filter-out kernels/cuda/%,$(wildcard $(1)/*.c $(1)/*/*.c)))
objects = $(patsubst %.c,$(BUILD)/%.o,$(call sources,$(1)))
ROOMS     := engine kernels stats presets
ARCHIVES  := $(ROOMS:%=$(BUILD)/%.a)
TUI       := $(call objects,tui)
CUDA_C    := $(sort $(wildcard kernels/cuda/*.c))
CUDA_CU   := $(sort $(wildcard kernels/cuda/*.cu))
CUDA_OBJECTS := $(if $(WITH_CUDA),$(CUDA_C:%.c=$(BUILD)/%.o) $(CUDA_CU:%.cu=$(BUILD)/%.o))

all: config $(BUILD)/benchtop

$(BUILD)/benchtop: $(TUI) $(CUDA_OBJECTS) $(ARCHIVES)
	$(call say,link)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

define room
$$(BUILD)/$(1).a: $$(call objects,$(1))
	$$(call say,room)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(BUILD)/kernels.a: $(CUDA_OBJECTS)
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The host's part of the CUDA backend sees the toolkit's headers; kernels/kernels.c whether there is such a backend.
$(BUILD)/kernels/cuda/%.o: ALL_CFLAGS += -isystem $(CUDA_ROOT)/include
ifneq ($(WITH_CUDA),)
$(BUILD)/kernels/kernels.o: ALL_CFLAGS += -DBENCHTOP_CUDA
endif
# Another choice of CUDA or of architectures compiles again what depends on it.
$(BUILD)/cuda-choice: force
	@mkdir -p $(@D); echo '$(WITH_CUDA)' | cmp -s - $@ || echo '$(WITH_CUDA)' > $@
$(BUILD)/cuda-archs: force
	@mkdir -p $(@D); echo '$(NVCC) $(GENCODE)' | cmp -s - $@ || echo '$(NVCC) $(GENCODE)' > $@
$(BUILD)/kernels/kernels.o: $(BUILD)/cuda-choice
# Blocks of weights are the same bytes on every machine and on a GPU: no product is contracted into a sum.
$(BUILD)/kernels/blocks.o: ALL_CFLAGS += -ffp-contract=off
# What the assembler says of registers, spills and shared memory, and the PTX, stay beside the object: tests/build looks at
# both.
$(BUILD)/kernels/cuda/%.o: kernels/cuda/%.cu $(BUILD)/cuda-archs
	@rm -rf $(@:.o=.keep) && mkdir -p $(@:.o=.keep)
	$(call say,nvcc)
	$(Q)$(NVCC) $(NVCC_FLAGS) --keep --keep-dir $(@:.o=.keep) -MMD -MP -MF $(@:.o=.d) -c -o $@ $< 2>$(@:.o=.resources) || \
	  { cat $(@:.o=.resources); rm -rf $@ $(@:.o=.keep); exit 1; }
	@cat $(@:.o=.keep)/*.ptx > $(@:.o=.ptx) && rm -rf $(@:.o=.keep)

# --- the same kernels without a GPU: the tests' own binary on a stand-in for the runtime (tests/emu) -----------------------
# It says `emulated` on every screen and is neither installed nor carried away.
EMU_SOURCES := $(filter-out %_test.c,$(sort $(wildcard tests/emu/*.c tests/emu/*.cc tests/emu/*.cu)))
EMU_OBJECTS := $(patsubst %,$(BUILD)/emu/%.o,kernels/kernels.c $(CUDA_C) $(CUDA_CU) $(EMU_SOURCES))
EMU_FLAGS    = -Itests/emu/include -DBENCHTOP_CUDA -DBENCHTOP_EMULATED $(if $(SANITIZE),-DEMULATED_UNWATCHED)
# Kernels read packs of one type as words of another, as CUDA C++ allows.
EMU_CXXFLAGS = -std=gnu++17 $(CFLAGS) -fno-strict-aliasing -Wall -Wextra -Wno-unused-parameter -Wno-unknown-pragmas -I. $(EMU_FLAGS) -MMD -MP $(SANITIZE)
# The script keeps the kernels' static shared memory together; the stand-in for cuBLASLt calls back into the program. RPATH, not
# RUNPATH: under AddressSanitizer dlopen is called from its library, to which the program's RUNPATH does not apply.
EMU_LDFLAGS  = $(ALL_LDFLAGS) -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../../emu' -rdynamic -Wl,-T,tests/emu/shared.ld
EMU := $(if $(shell command -v $(CXX)),$(if $(wildcard tests/emu/emulator.cc),emu))
# Every load and store of a kernel tells tests/emu/watch.cc, by the calls the thread sanitizer would get.
EMU_WATCH := $(if $(SANITIZE),,-fsanitize=thread --param tsan-instrument-func-entry-exit=0)
emu: $(BUILD)/emu/benchtop
$(BUILD)/emu/%.c.o: %.c
	@mkdir -p $(@D)
	$(call say,emu)
	$(Q)$(CC) $(ALL_CFLAGS) $(EMU_FLAGS) -c -o $@ $<
$(BUILD)/emu/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(call say,emu)
	$(Q)$(CXX) -x c++ -fdata-sections $(EMU_WATCH) $(EMU_CXXFLAGS) -c -o $@ $<
$(BUILD)/emu/%.cc.o: %.cc
	@mkdir -p $(@D)
	$(call say,emu)
	$(Q)$(CXX) $(EMU_CXXFLAGS) -c -o $@ $<
$(BUILD)/emu/kernels.a: $(EMU_OBJECTS) $(filter-out $(BUILD)/kernels/kernels.o,$(call objects,kernels))
	$(call say,room)
	$(Q)rm -f $@ && ar rcs $@ $^
EMU_ARCHIVES := $(EMU_OBJECTS) $(BUILD)/engine.a $(BUILD)/emu/kernels.a $(BUILD)/stats.a $(BUILD)/presets.a
# Opened at run time by the product's own way, found by the binaries' rpath; they find the program's stand-in for the runtime.
EMU_LIBRARIES := $(BUILD)/emu/libcublasLt.so.13 $(BUILD)/emu/libnvidia-ml.so.1
$(BUILD)/emu/libcublasLt.so.13: tests/emu/libraries/cublaslt.cc
	@mkdir -p $(@D)
	$(call say,lib)
	$(Q)$(CXX) $(EMU_CXXFLAGS) -MF $@.d -fPIC -shared -o $@ $<
$(BUILD)/emu/libnvidia-ml.so.1: tests/emu/libraries/nvml.c
	@mkdir -p $(@D)
	$(call say,lib)
	$(Q)$(CC) $(ALL_CFLAGS) $(EMU_FLAGS) -MF $@.d -fPIC -shared -o $@ $<
# What tests/gpu.sh asks for beyond the program.
$(BUILD)/emu/attention_rate: $(BUILD)/tests/bench/attention_rate.o $(EMU_ARCHIVES)
	$(call say,link)
	$(Q)$(CXX) $(EMU_LDFLAGS) -o $@ $^ $(ALL_LIBS)
emu: $(EMU_LIBRARIES) $(BUILD)/emu/attention_rate
$(BUILD)/emu/benchtop: $(TUI) $(EMU_ARCHIVES) | $(EMU_LIBRARIES)
	$(call say,link)
	$(Q)$(CXX) $(EMU_LDFLAGS) -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/emu/%.o: ALL_CFLAGS += $(EMU_FLAGS)
$(BUILD)/tests/emu/%: $(BUILD)/tests/emu/%.o $(EMU_ARCHIVES) | $(EMU_LIBRARIES)
	$(call say,test)
	$(Q)$(CXX) $(EMU_LDFLAGS) -o $@ $^ $(ALL_LIBS)

# Only engine/version.c sees the commit, so that a commit recompiles one file.
$(BUILD)/commit: force
	@mkdir -p $(@D); echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' > $@
$(BUILD)/engine/version.o: $(BUILD)/commit
$(BUILD)/engine/version.o: CFLAGS += -DBENCHTOP_VERSION='"$(VERSION)"' -DBENCHTOP_COMMIT='"$(COMMIT)"'

config:
	@pkg-config --exists $(PKGS) || { echo 'benchtop: ncursesw, cJSON or GSL not found: run `make deps`'; exit 1; }
	@echo "compiler   $$($(CC) --version | head -1)"
	@echo "cuda       $(if $(WITH_CUDA),$(NVCC) for $(CUDA_ARCHS:%=sm_%)$(if $(PTX_ARCH), and PTX for what comes after),$(if $(NVCC),CUDA=0: the CPU backend alone,no nvcc in PATH$(,) CUDA_HOME or /usr/local/cuda: the CPU backend alone))"
	@echo "products   $(if $(ONEDNN),oneDNN's header found: opened at run time where the library is,no oneDNN header: CBLAS where found at run time, else own loops (make deps installs it))"
	@echo "arch       $$(uname -m): portable$(if $(filter x86_64,$(shell uname -m)), + AVX2 + AVX-512 + AVX512-BF16), chosen at run time"

# --- one command each -----------------------------------------------------------------------------------------------------
run: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) all 1>&2
	@if [ -t 1 ] && [ -t 0 ]; then exec $(BUILD)/benchtop; else exec $(BUILD)/benchtop run quick; fi

deps:
	@.ci/deps

TESTS         := $(sort $(filter-out $(if $(EMU),,tests/emu/%),$(wildcard tests/*/*_test.c)))
TEST_BINARIES := $(patsubst %.c,$(BUILD)/%,$(TESTS))
TEST_SCRIPTS  := $(filter-out $(if $(EMU),,tests/emu/%),$(sort $(wildcard tests/*/*_test.sh)))
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
	@$(MAKE) --no-print-directory -j$(shell nproc) all $(EMU) tests
	$(if $(EMU),,@echo 'skipped: the emulated CUDA tests: no C++ compiler ($(CXX)): make deps installs one')
	@BENCHTOP=$(BUILD)/benchtop tests/run.sh $(TEST_BINARIES) $(TEST_SCRIPTS)

# --- sanitizers: the same tests in a build of their own ---------------------------------------------------------------
# TSan does not see inside libgomp, so its run has one OpenMP thread on one core; it judges the program's own threads. Nor does
# it follow the fibers of tests/emu: those tests are left to the others.
asan asan-ubsan: export ASAN_OPTIONS = detect_leaks=1:intercept_tls_get_addr=0
asan asan-ubsan: export LSAN_OPTIONS = suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0
ubsan asan-ubsan: export UBSAN_OPTIONS = halt_on_error=1:print_stacktrace=1
tsan: export TSAN_OPTIONS = halt_on_error=1:second_deadlock_stack=1
tsan: export OMP_THREAD_LIMIT = 1
asan:  SAN = -fsanitize=address
ubsan: SAN = -fsanitize=undefined -fno-sanitize-recover=undefined
asan-ubsan: SAN = -fsanitize=address,undefined -fno-sanitize-recover=undefined
tsan:  SAN = -fsanitize=thread
asan ubsan asan-ubsan tsan:
	@$(MAKE) --no-print-directory -j$(shell nproc) BUILD=$(BUILD)/$@ CUDA=0 CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='$(SAN)' $(if $(filter tsan,$@),EMU=) all $(if $(filter tsan,$@),,$(EMU)) tests
	@SANITIZER=$@ BENCHTOP=$(BUILD)/$@/benchtop $(if $(filter tsan,$@),taskset -c 0) tests/run.sh \
	  $(patsubst $(BUILD)/%,$(BUILD)/$@/%,$(filter-out $(if $(filter tsan,$@),$(BUILD)/tests/emu/%),$(TEST_BINARIES))) \
	  $(filter-out $(if $(filter tsan,$@),tests/emu/%),$(TEST_SCRIPTS))
	$(if $(filter tsan,$@),,$(if $(EMU),@EMULATED_MULTIPROCESSORS=5 $(BUILD)/$@/emu/benchtop selftest --quiet --device cuda >$(BUILD)/$@/selftest.txt || \
	  { cat $(BUILD)/$@/selftest.txt; exit 1; }; tail -n 1 $(BUILD)/$@/selftest.txt))

# --- speed, shown as ratios in one run -----------------------------------------------------------------------------------
BENCHES := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/bench/*_bench.c)))
bench: all $(BENCHES)
	@BENCHTOP=$(BUILD)/benchtop BUILD=$(BUILD) tests/bench/run.sh

# The program's error rates on itself: thousands of sessions on the fake device in virtual time. SCALE=0.1 runs a tenth.
SCALE ?= 1
bench-statistics: $(BUILD)/tests/bench/statistics_bench $(BUILD)/tests/stats/onesample_oracle_test $(BUILD)/tests/stats/twosample_oracle_test
	@for t in onesample twosample; do ORACLE_REPORT=1 $(BUILD)/tests/stats/$${t}_oracle_test || exit 1; done
	@$< $(SCALE)

# --- everything that needs a GPU, under 8 minutes ------------------------------------------------------------------------
gpu: all $(BUILD)/tests/bench/attention_rate
	@tests/gpu.sh $(BUILD)/gpu.json

# --- fuzzing: FUZZ_SECONDS per target, clang's libFuzzer with ASan and UBSan --------------------------------------------
# One instrumented build for all targets; the kernels read no files and come from the ordinary build.
FUZZ_SECONDS ?= 60
FUZZERS      := $(patsubst tests/fuzz/%_fuzz.c,%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))
FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out tui/main.c,$(foreach r,$(filter-out kernels,$(ROOMS)) tui,$(call sources,$(r)))))
FUZZ_FLAGS    = -std=gnu17 -O1 -g -I. $(PKG_CFLAGS) -MMD -MP -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
$(BUILD)/fuzz/%.o: %.c
	@command -v clang >/dev/null || { echo 'make fuzz needs clang: apt-get install clang libclang-rt-dev'; exit 1; }
	@mkdir -p $(@D)
	$(call say,fuzz)
	$(Q)clang $(FUZZ_FLAGS) -c -o $@ $<
$(FUZZERS:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%_fuzz.o $(FUZZ_OBJECTS) $(BUILD)/kernels.a
	$(call say,link)
	$(Q)clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(ALL_LIBS) -lgomp
fuzz: $(FUZZERS:%=fuzz-%)
$(FUZZERS:%=fuzz-%): fuzz-%: $(BUILD)/fuzz/%
	@mkdir -p $(BUILD)/fuzz/$*-corpus
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=2048 $(BUILD)/fuzz/$*-corpus $(wildcard tests/data/fuzz/$*)

lint:
	@tests/lint.sh

# --- to another place -----------------------------------------------------------------------------------------------------
CATALOG := $(wildcard presets/*.json presets/models/*.json presets/implementations/*.json presets/vocabularies/* presets/texts/*)
install: all
	install -Dm755 $(BUILD)/benchtop $(DESTDIR)$(PREFIX)/bin/benchtop
	$(foreach f,$(CATALOG),install -Dm644 $(f) $(DESTDIR)$(PREFIX)/share/benchtop/$(f) &&) true
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(BUILD)/benchtop manual > $(DESTDIR)$(PREFIX)/share/man/man1/benchtop.1
	$(BUILD)/benchtop completion > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/benchtop

# A folder that runs elsewhere: the binary, every library it needs but the C library itself, the catalog.
dist: all $(if $(WITH_CUDA),$(BUILD)/tests/bench/attention_rate)
	@.ci/dist $(BUILD)/benchtop $(BUILD)/dist/benchtop-$(VERSION)

clean:
	rm -rf $(BUILD)

help:
	@echo 'make run      install what is missing, build, start (headless preset "quick" where there is no terminal)'
	@echo 'make test     the same preparation, then every test'
	@echo 'make          build only: no network, no root'
	@echo 'make install PREFIX=/usr/local DESTDIR=    binary, catalog, man page, bash completion'
	@echo 'make dist     a relocatable folder in $(BUILD)/dist'
	@echo 'make bench-statistics    measured error rates of the verdicts and intervals, against their bounds'
	@echo 'make lint | asan | ubsan | tsan | fuzz | bench | clean'
	@echo 'make gpu      what needs a GPU, under 8 minutes: every kernel, the sanitizers, the ceilings, the gates'

.PHONY: all emu gpu config run deps tests test asan ubsan asan-ubsan tsan bench bench-statistics fuzz lint install dist clean help force
.DEFAULT_GOAL := all
-include $(shell find $(BUILD) -name '*.d' -not -path '$(BUILD)/asan/*' -not -path '$(BUILD)/ubsan/*' -not -path '$(BUILD)/asan-ubsan/*' -not -path '$(BUILD)/tsan/*' 2>/dev/null)
