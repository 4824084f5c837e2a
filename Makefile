# Cleave. `make list` explains the targets; a newcomer needs only `make demo` and `make test`.
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules $(if $(V),,--silent)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
SHELL     := /bin/bash

CC        ?= gcc
ifeq ($(origin CC),default)
CC        := gcc
endif
OPT       ?= -O3 -march=native -fno-math-errno
WARN      := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-missing-field-initializers
ifdef CI
WARN      += -Werror
endif
B         ?= build
BIN       ?= bin

# `make V=1` prints the commands.
Q         := $(if $(V),,@)

# Expanded only when used, so that packages are found that `deps` installs in the same run.
PKGS       = libcyaml yaml-0.1 libcjson cairo libprotobuf-c
CFLAGS    ?= -g $(OPT)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -fopenmp -MMD -MP -I$(B) $(shell pkg-config --cflags $(PKGS))
LDLIBS     = $(shell pkg-config --libs $(PKGS)) -ldnnl -lz -lpthread -lm -ldl -rdynamic

# The folders, from the top down. The linker reads them once, in this order, so a call upwards does not link.
MODULES   := tools/bench tools/check prune graph nets data layers core/cpu core/device core/format core/config core/base
PROTO     := $(wildcard core/format/*.proto)
PROTO_H   := $(patsubst %.proto,$(B)/%.pb-c.h,$(PROTO))
LIBS      := $(foreach m,$(MODULES),$(B)/lib$(subst /,-,$(m)).a)
ENGINE    := $(patsubst tools/%.c,%,$(filter-out tools/cli%,$(wildcard tools/*.c)))
# Programs that the engine does not need: tools/NAME/main.c, tests/NAME/, and tools/NAME/NAME.mk with their goals.
PROGRAMS  := $(patsubst tools/%/main.c,%,$(wildcard tools/*/main.c))
TOOLS     := $(ENGINE) $(PROGRAMS)
CLI       := $(patsubst %.c,$(B)/%.o,$(wildcard tools/cli*.c))
FUZZERS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/*/fuzz_*.c))
TESTS     := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/*/test_*.c)) $(FUZZERS)
UNIT_DIRS ?= unit fuzz grad
UNIT      := $(filter $(foreach d,$(UNIT_DIRS),$(B)/tests/$(d)/%),$(TESTS))

include tools/cuda.mk

.PHONY: all deps deps-test build engine demo bench bench-analyze test unit asan ubsan sanitize tsan cifar10 mnist fmt lint clean list FORCE
.SECONDARY:

# Each goal starts a make of its own; two at a time would build the same files.
ifneq ($(filter-out $(B)/% $(BIN)/%,$(MAKECMDGOALS)),)
ifneq ($(word 2,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
endif

all: build
build: deps                            ## build every tool into bin/ (the default)
	@$(MAKE) --no-print-directory $(addprefix $(BIN)/,$(TOOLS)) $(PLUGINS)

deps:                                  ## install the Debian packages that are missing
	@tools/deps.sh build

deps-test: deps
	@tools/deps.sh test

engine: deps                           ## build the engine's tools into bin/: all but sweep and report
	@$(MAKE) --no-print-directory $(addprefix $(BIN)/,$(ENGINE)) $(PLUGINS)

demo: build                            ## train, analyze, prune and fine-tune on generated images (4 minutes with installing and building)
	@BIN=$(BIN) tools/demo.sh

bench: build                           ## images/s of the nets, compared with their convolutions alone and with PyTorch
	@BIN=$(BIN) tools/bench.sh

bench-analyze: build                   ## analyze of resnet18 with 10,000 images, compared with PyTorch (15 minutes; ARGS="--images 1000": less)
	@BIN=$(BIN) tests/peer/bench_analyze.py $(ARGS)

test: deps-test deps-sweep             ## build and run every test
	@$(MAKE) --no-print-directory $(addprefix $(BIN)/,$(TOOLS)) $(PLUGINS) $(TESTS)
	@BIN=$(BIN) B=$(B) tests/run $(TESTS) $(wildcard tests/*/*.bats)

unit: deps-test                        ## the engine's unit tests and gradient checks only
	@$(MAKE) --no-print-directory $(UNIT)
	@BIN=$(BIN) B=$(B) tests/run $(UNIT)

asan ubsan sanitize: %: deps-test      ## all unit tests under the address sanitizer, the undefined-behaviour sanitizer, or both
	@UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) --no-print-directory unit UNIT_DIRS="$(UNIT_DIRS) $(PROGRAMS)" B=$(B)/$@ \
	    CFLAGS="-g -O1 -march=native -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize=$(SANITIZER_$@)"
SANITIZER_asan     := address
SANITIZER_ubsan    := undefined
SANITIZER_sanitize := address,undefined

tsan: deps-test                        ## the loader's threads under the thread sanitizer
	@$(MAKE) --no-print-directory $(B)/$@/tests/unit/test_loader B=$(B)/$@ CFLAGS="-g -O1 -march=native -fsanitize=thread"
	@tests/run $(B)/$@/tests/unit/test_loader

mnist: ; @tools/mnist.sh               ## download MNIST into datasets/ (MIRROR=URL for another source)
cifar10: ; @tools/cifar10.sh           ## download CIFAR-10 into datasets/ (MIRROR=URL for another source)

fmt: ; @git ls-files '*.c' '*.h' '*.cu' | xargs clang-format -i   ## format the C files

lint:                                  ## cppcheck over the C files
	@cppcheck --enable=warning,performance,portability --std=c11 --inline-suppr --error-exitcode=1 --quiet \
	    --suppress=missingIncludeSystem --suppress=arrayIndexThenCheck --suppress=uninitvar:core/cpu/vec.h --suppress=uninitvar:core/cpu/winograd_tile.h --suppress=invalidPointerCast:core/cpu/* --suppress=invalidFunctionArg:core/*/loss.c core layers nets data graph prune tools

clean: ; rm -rf $(B) $(BIN)            ## remove everything that was built

list:                                  ## this list
	@grep -hE '^[a-z0-9 -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 24

include $(wildcard tools/*/*.mk)
include tests/fuzz/fuzz.mk
include tools/install.mk
include tools/tour.mk

# ---- rules ----

define archive
$(B)/lib$(subst /,-,$(1)).a: $(patsubst %.c,$(B)/%.o,$(wildcard $(1)/*.c))
	@rm -f $$@; ar rcs $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call archive,$(m))))

# Protocol buffers: build/core/format/NAME.pb-c.{c,h} from core/format/NAME.proto, made before any object.
$(B)/libcore-format.a: $(patsubst %.proto,$(B)/%.pb-c.o,$(PROTO))

$(B)/core/format/%.pb-c.c $(B)/core/format/%.pb-c.h &: core/format/%.proto
	@mkdir -p $(@D); echo "  PROTO $<"
	$(Q)protoc-c --proto_path=core/format --c_out=$(B)/core/format $<

$(B)/core/format/%.pb-c.o: $(B)/core/format/%.pb-c.c
	@echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(B)/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

# A program's own archive comes before the engine's.
define link
@mkdir -p $(@D); echo "  LINK $@"
$(Q)$(CC) $(ALL_CFLAGS) $(filter %.o,$^) -o $@ $(filter-out $(LIBS),$(filter %.a,$^)) $(LIBS) $(1) $(LDLIBS)
endef

$(BIN)/%: $(B)/tools/%.o $(CLI) $(LIBS)
	$(call link)

$(B)/tests/%: $(B)/tests/%.o $(CLI) $(LIBS)
	$(call link,-lcmocka)

define program
$(BIN)/$(1): $(B)/tools/$(1)/main.o $(B)/libtools-$(1).a $(CLI) $(LIBS)
	$$(call link)

$(B)/libtools-$(1).a: $(patsubst %.c,$(B)/%.o,$(filter-out %/main.c,$(wildcard tools/$(1)/*.c)))
	@rm -f $$@; ar rcs $$@ $$^

$(filter $(B)/tests/$(1)/%,$(TESTS)): $(B)/libtools-$(1).a
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# Plugins for tests/unit/test_plugin.c.
$(B)/tests/unit/test_plugin: $(patsubst tests/plugins/%.c,$(B)/tests/plugins/%/libcleave_cuda.so,$(wildcard tests/plugins/*.c))
$(B)/tests/plugins/%/libcleave_cuda.so: tests/plugins/%.c core/device/plugin.h core/device/backend.h core/device/op.h
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -g -shared -fPIC $< -o $@

# The commit is written to env.json; only rundir.o depends on it.
$(B)/commit: FORCE
	@mkdir -p $(@D); c=$$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown); \
	    [ "$$c" = "$$(cat $@ 2>/dev/null)" ] || echo "$$c" >$@
# stb_image counts on wrapping integers; what a broken picture leaves out is zero, not what was on the stack.
$(B)/data/decode.o: ALL_CFLAGS += -fwrapv -fno-sanitize=shift $(shell $(CC) -ftrivial-auto-var-init=zero -E -x c /dev/null >/dev/null 2>&1 && echo -ftrivial-auto-var-init=zero)
$(B)/nets/rundir.o: $(B)/commit
$(B)/nets/rundir.o: ALL_CFLAGS += -DCLEAVE_COMMIT='"$(shell cat $(B)/commit)"'

-include $(shell find $(B) -name '*.d' 2>/dev/null)
