# benchtop: `make run` installs what is missing, builds and starts; `make test` the same, then all tests.
# Small on purpose: one rule compiles every room; header dependencies are tracked by the compiler (-MMD).

BUILD   ?= build
CC      ?= gcc
CFLAGS  ?= -O3 -g
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(WERROR)
PKGS    := ncursesw libcjson gsl
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ALL_CFLAGS := -std=gnu17 $(CFLAGS) $(WARN) -fopenmp -fno-math-errno -I. $(PKG_CFLAGS) -MMD -MP $(SANITIZE)
ALL_LIBS   := $(PKG_LIBS) -lm -ldl -lpthread $(SANITIZE)

ROOMS := stats kernels presets engine tui
sources = $(sort $(wildcard $(1)/*.c $(1)/*/*.c))
objects = $(patsubst %.c,$(BUILD)/%.o,$(call sources,$(1)))
archive = $(BUILD)/$(1).a
# Link order: who includes comes before what is included.
ARCHIVES := $(call archive,engine) $(call archive,kernels) $(call archive,stats) $(call archive,presets)

all: $(BUILD)/benchtop

$(BUILD)/benchtop: $(call objects,tui) $(ARCHIVES)
	$(CC) -fopenmp -o $@ $^ $(ALL_LIBS)

define room_archive
$$(call archive,$(1)): $$(call objects,$(1))
	rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach r,stats kernels presets engine,$(eval $(call room_archive,$(r))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# One test program per module: tests/ROOM/MODULE_test.c. Tests of the tui link its objects without main.
TESTS := $(sort $(wildcard tests/*/*_test.c))
TEST_BINARIES := $(patsubst %.c,$(BUILD)/%,$(TESTS))
tests: $(TEST_BINARIES)
$(BUILD)/tests/stats/%: $(BUILD)/tests/stats/%.o $(call archive,stats) $(call archive,presets)
	$(CC) -fopenmp -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/kernels/%: $(BUILD)/tests/kernels/%.o $(call archive,kernels)
	$(CC) -fopenmp -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/presets/%: $(BUILD)/tests/presets/%.o $(call archive,presets)
	$(CC) -fopenmp -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/engine/%: $(BUILD)/tests/engine/%.o $(ARCHIVES)
	$(CC) -fopenmp -o $@ $^ $(ALL_LIBS)
$(BUILD)/tests/tui/%: $(BUILD)/tests/tui/%.o $(filter-out $(BUILD)/tui/main.o,$(call objects,tui)) $(ARCHIVES)
	$(CC) -fopenmp -o $@ $^ $(ALL_LIBS)
.PRECIOUS: $(BUILD)/tests/%.o

clean:
	rm -rf $(BUILD)

.PHONY: all tests clean
.DEFAULT_GOAL := all
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
