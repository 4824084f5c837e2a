# tools/install.mk -- make install, make uninstall: what goes where. tools/install.sh does the work.
#
#   make install PREFIX=/usr/local DESTDIR=            programs are called cleave-train, cleave-analyze, ...
#   make install PROGRAM_PREFIX=                       ... without "cleave-"
#
# Manual pages and completions are generated from the programs, so a new tool has them, too, and so does a new
# tools/NAME.py with a Command (tools/command.py).
# libcleave.a is the engine in one archive; PUBLIC_HEADERS are the interface that other programs may use (`pkg-config --cflags --libs cleave`). The other headers may change at any time.
VERSION        := 0.1.0
PREFIX         ?= /usr/local
BINDIR         ?= $(PREFIX)/bin
LIBDIR         ?= $(PREFIX)/lib
INCLUDEDIR     ?= $(PREFIX)/include
DATADIR        ?= $(PREFIX)/share
PROGRAM_PREFIX ?= cleave-

PUBLIC_HEADERS := \
    $(addprefix core/base/,status.h host_device.h path.h text.h clock.h log.h progress.h stop.h file.h json.h philox.h rng.h) core/config/config.h $(addprefix core/format/,safetensors.h events.h) \
    $(addprefix core/device/,tensor.h op.h image.h tile.h backend.h products.h) \
    layers/layer.h \
    $(addprefix nets/,device.h schedule.h rundir.h net.h run.h tap.h checkpoint.h experiment.h fit.h) \
    $(addprefix data/,dataset.h augment.h loader.h) \
    $(addprefix graph/,analysis.h features.h similarity.h histogram.h edges.h modularity.h pictures.h) \
    $(addprefix prune/,accuracy.h criterion.h metric.h choose.h cost.h curve.h surgery.h finetune.h result.h)

SCRIPTS        := $(patsubst tools/%.py,%,$(shell grep -l '^from command import' tools/*.py))
PYTHON_FILES   := $(filter-out tools/test_docs.py,$(wildcard tools/*.py))

.PHONY: install uninstall
install: build                         ## install programs, manual pages, completions, the library (PREFIX, DESTDIR)
	@$(MAKE) --no-print-directory $(B)/libcleave.a
	@tools/deps.sh install
	@$(INSTALL_ENV) tools/install.sh install $(TOOLS)

uninstall:                             ## remove what `make install` with the same PREFIX and DESTDIR has installed
	@$(INSTALL_ENV) tools/install.sh uninstall

INSTALL_ENV = BIN="$(BIN)" B="$(B)" VERSION="$(VERSION)" DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" BINDIR="$(BINDIR)" \
    LIBDIR="$(LIBDIR)" INCLUDEDIR="$(INCLUDEDIR)" DATADIR="$(DATADIR)" PROGRAM_PREFIX="$(PROGRAM_PREFIX)" \
    PUBLIC_HEADERS="$(PUBLIC_HEADERS)" SCRIPTS="$(SCRIPTS)" PYTHON_FILES="$(PYTHON_FILES)" PKGS="$(PKGS)" LINK_LIBS="$(filter-out $(shell pkg-config --libs $(PKGS)),$(LDLIBS))"

# One archive of all rooms. ar's script, since members of different parts have the same names.
$(B)/libcleave.a: $(LIBS)
	@rm -f $@; { echo "create $@"; printf 'addlib %s\n' $^; echo save; echo end; } | ar -M
