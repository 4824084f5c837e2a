# tools/report/report.mk -- part of the Makefile: report, a program beside the engine, and the page that it fills.
.PHONY: report test-report
REPORT_NEEDS := $(addprefix $(BIN)/,report train analyze prune) $(PLUGINS)
REPORT_TESTS := $(filter $(B)/tests/report/%,$(TESTS))

report: deps                           ## build report
	@$(MAKE) --no-print-directory $(BIN)/report $(PLUGINS)

test-report: deps-test                 ## build and test report alone, the page in a browser if there is one
	@$(MAKE) --no-print-directory $(REPORT_NEEDS) $(REPORT_TESTS)
	@BIN=$(BIN) B=$(B) tests/run $(REPORT_TESTS) $(wildcard tests/report/*.bats)

# The page: bundled by esbuild from tools/report/page/ with the npm packages of its lock file. Without Node or the packages it is an
# empty file, `report` writes still pictures, and the next make tries again.
PAGE       = $(if $(filter build/%,$(B)),build,$(B))/page
PAGE_PARTS = $(wildcard tools/report/page/*.* tools/report/page/src/*)

$(PAGE)/npm.done: tools/report/page/package.json tools/report/page/package-lock.json
	@mkdir -p $(@D); cp $^ $(@D)/; echo "  NPM  tools/report/page"
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
	    echo "report: still pictures only: Node.js and npm are not installed" >&2; \
	elif ! npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --fetch-retries=1 >$(@D)/npm.log 2>&1; then \
	    tail -n 3 $(@D)/npm.log >&2; echo "report: still pictures only: npm cannot get the page's packages" >&2; \
	else touch $@; fi

$(PAGE)/page.html: $(PAGE)/npm.done $(PAGE_PARTS)
	@echo "  PAGE $@"
	@if [ -e $< ]; then NODE_PATH=$(@D)/node_modules node tools/report/page/build.mjs $@; else : >$@; fi

$(B)/tools/report/page.o: $(PAGE)/page.html
$(B)/tools/report/page.o: ALL_CFLAGS += -DCLEAVE_REPORT_PAGE='"$(PAGE)/page.html"'
