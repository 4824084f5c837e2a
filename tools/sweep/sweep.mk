# tools/sweep/sweep.mk -- part of the Makefile: sweep, a program beside the engine. It starts the tools train, analyze and prune.
.PHONY: sweep test-sweep deps-sweep
SWEEP_NEEDS := $(addprefix $(BIN)/,sweep train analyze prune) $(PLUGINS)
SWEEP_TESTS := $(filter $(B)/tests/sweep/%,$(TESTS))

sweep: deps                            ## build sweep, and the tools that it starts
	@$(MAKE) --no-print-directory $(SWEEP_NEEDS)

deps-sweep: ; @tools/deps.sh sweep

test-sweep: deps-test deps-sweep       ## build and test sweep alone
	@$(MAKE) --no-print-directory $(SWEEP_NEEDS) $(SWEEP_TESTS)
	@BIN=$(BIN) B=$(B) tests/run $(SWEEP_TESTS) $(wildcard tests/sweep/*.bats)
