# tests/fuzz/fuzz.mk -- part of the Makefile: the fuzz targets tests/*/fuzz_*.c (tests/fuzz/fuzz.h).
.PHONY: fuzz
FUZZ_SECONDS ?= 60
FUZZ         ?=

fuzz: deps-test                        ## feed broken files to every reader, FUZZ_SECONDS=60 each; FUZZ="picture config": only these
	@tools/deps.sh fuzz
	@$(MAKE) --no-print-directory B=build/fuzz CC=clang LIBFUZZER=-fsanitize=fuzzer CFLAGS="$(FUZZ_CFLAGS)" fuzzers
	@B=build/fuzz tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ)

# Clang tells of loops that it does not vectorise at -O1.
FUZZ_CFLAGS = -g -O1 -march=native -fno-omit-frame-pointer -Wno-pass-failed -fno-sanitize-recover=all \
              -fsanitize=fuzzer-no-link,address,undefined
.PHONY: fuzzers
fuzzers: $(FUZZERS)

# libFuzzer has a main of its own.
$(FUZZERS): $(B)/tests/fuzz/fuzz.o $(if $(LIBFUZZER),,$(B)/tests/fuzz/driver.o)
$(FUZZERS): LDLIBS += $(LIBFUZZER)
