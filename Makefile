# Cleave. `make list` explains the targets.
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

CC      ?= gcc
OPT     ?= -O3 -march=native -fno-math-errno -ffp-contract=off
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-missing-field-initializers
ifdef CI
WARN    += -Werror
endif
PKGS    := libcyaml yaml-0.1 libcjson cairo
CFLAGS  ?= -g $(OPT)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -fopenmp -MMD -MP $(PKG_CFLAGS)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -ldnnl -lpthread -lm -ldl
B       ?= build
BIN     ?= bin

# The layers of the architecture, from the top down: the order of linking.
MODULES := prune graph nets data layers core/cpu core/ref core
LIBS    := $(foreach m,$(MODULES),$(B)/lib$(subst /,-,$(m)).a)
TOOLS   := $(patsubst tools/%.c,%,$(filter-out tools/cli.c,$(wildcard tools/*.c)))
TESTS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/*/test_*.c))
TEST_HELP := $(patsubst %.c,$(B)/%.o,$(wildcard tests/*.c))

define archive
$(B)/lib$(subst /,-,$(1)).a: $(patsubst %.c,$(B)/%.o,$(wildcard $(1)/*.c))
	@rm -f $$@; ar rcs $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call archive,$(m))))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BIN)/%: $(B)/tools/%.o $(B)/tools/cli.o $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $^ -o $@ $(LDLIBS)

$(B)/tests/%: $(B)/tests/%.o $(TEST_HELP) $(B)/tools/cli.o $(LIBS)
	$(CC) $(ALL_CFLAGS) $^ -o $@ -lcmocka $(LDLIBS)

.SECONDARY:
.PHONY: all list
all: $(addprefix $(BIN)/,$(TOOLS))     ## build every tool into bin/

list:                                  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

-include $(shell find $(B) -name '*.d' 2>/dev/null)
