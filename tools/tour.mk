# tools/tour.mk -- part of the Makefile: the small programs of docs/tour, and the test of the commands in the documentation.
TOUR := $(patsubst docs/%.c,$(B)/%,$(wildcard docs/tour/*.c))

.PHONY: tour test-docs
tour: build                            ## build the small programs of docs/tour into build/tour
	@$(MAKE) --no-print-directory $(TOUR)

test-docs: deps-test tour              ## run every command in README.md and docs, and compare its output
	@BIN=$(BIN) B=$(B) tools/test_docs.py README.md $(sort $(wildcard docs/*.md docs/tour/*.md))

$(B)/tour/%: $(B)/docs/tour/%.o $(LIBS)
	$(call link)
