# tools/cuda.mk -- part of the Makefile: the CUDA backend.
# It is a file of its own, built if nvcc and cuDNN are found (tools/find_cuda.sh; after `make clean` it looks again).
ifeq ($(filter clean list fmt lint cifar10,$(MAKECMDGOALS)),)
-include build/cuda.mk
endif
PLUGINS   := $(if $(NVCC),$(BIN)/libcleave_cuda.so)
# A fuzz target has no way to say that it was skipped; tests/cuda/test_engine does.
ifndef NVCC
FUZZERS   := $(filter-out $(B)/tests/cuda/%,$(FUZZERS))
TESTS     := $(filter-out $(B)/tests/cuda/fuzz_%,$(TESTS))
endif
CUDA_OBJS := $(patsubst core/cuda/%,$(B)/cuda/%.o,$(basename $(wildcard core/cuda/*.c core/cuda/*.cu)))
# It has its own copies of these; from the program it uses only core/base/status.h (core/device/plugin.h).
PLUGIN_BASE := $(addprefix $(B)/cuda/base/,file.o path.o text.o)
empty     :=
space     := $(empty) $(empty)
comma     := ,
CUDA_CODE  = $(subst $(space),$(comma),$(addprefix sm_,$(CUDA_ARCHS)) compute_80)
NVCCFLAGS ?= -O3
# A new warning of another compiler must not stop make test-cuda or bench-cuda on other machines.
CUDA_WERROR = -Werror all-warnings
CUDA_FLAGS = -std=c++17 $(CUDA_WERROR) -Xcompiler -fPIC,-Wall,-Wextra,-fvisibility=hidden \
             -gencode 'arch=compute_80,code=[$(CUDA_CODE)]' $(NVCCFLAGS)

# Without pkg-config, because these are also built on machines that have little more than a GPU.
PLAIN_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -fopenmp -MMD -MP

.PHONY: test-cuda bench-cuda gpu
test-cuda: gpu                         ## on a GPU: every layer and net against ref, repeatability, compute-sanitizer
	@B=$(B) BIN=$(BIN) tools/cuda_run.sh test

bench-cuda: gpu                        ## on a GPU: images/s, compared with PyTorch if python3 has it
	@B=$(B) BIN=$(BIN) tools/cuda_run.sh bench

# The parts of Cleave that need no library.
GPU_PARTS := $(addprefix core/base/,status.c rng.c log.c progress.c clock.c text.c path.c file.c threads.c) $(addprefix core/device/,arena.c plugin.c) $(wildcard layers/*.c tools/check/opcheck*.c) \
             tools/check/problem.c $(addprefix tests/cuda/,device_check.c net_check.c similarity_check.c image_check.c engine_check.c) data/augment.c \
             $(addprefix graph/,similarity.c histogram.c edges.c resident.c) \
             $(shell grep -LE 'cJSON|json\.h|core/format/|safetensors|checkpoint\.h|loader\.h|rundir|config_load' nets/*.c)
gpu:
	@[ -n "$(NVCC)" ] || { tools/find_cuda.sh | sed -n 's/^CUDA_FOUND := /make: /p' >&2; exit 1; }
	@$(MAKE) --no-print-directory CUDA_WERROR= $(PLUGINS) $(B)/gpu/gpu

# ---- rules ----

# An archive, from which the linker takes only what is needed.
$(B)/gpu/libparts.a: $(GPU_PARTS:%.c=$(B)/gpu/%.o) tools/cuda.mk
	@rm -f $@; ar rcs $@ $(filter %.o,$^)

$(B)/gpu/tests/cuda/kernel_time.o: PLAIN_CFLAGS += $(CUPTI_FLAGS)
$(B)/gpu/gpu: $(addprefix $(B)/gpu/tests/cuda/,gpu.o kernel_time.o) $(B)/gpu/libparts.a
	@echo "  LINK $@"
	$(Q)$(CC) $(PLAIN_CFLAGS) $^ -o $@ -rdynamic $(CUPTI_LIBS) -lpthread -ldl -lm

$(B)/gpu/%.o: %.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(PLAIN_CFLAGS) -c $< -o $@

build/cuda.mk: tools/find_cuda.sh
	@mkdir -p $(@D); tools/find_cuda.sh >$@; sed -n 's/^CUDA_FOUND := //p' $@

$(B)/cuda/%.o: core/cuda/%.cu
	@mkdir -p $(@D); echo "  NVCC $<"
	$(Q)$(NVCC) $(CUDA_FLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

$(B)/cuda/%.o: core/cuda/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(PLAIN_CFLAGS) -fPIC -fvisibility=hidden $(CUDA_INCLUDES) -c $< -o $@

$(B)/cuda/base/%.o: core/base/%.c
	@mkdir -p $(@D); echo "  CC   $< (for the plugin)"
	$(Q)$(CC) $(PLAIN_CFLAGS) -fPIC -fvisibility=hidden -c $< -o $@

# The functions of status.h are left undefined; the program that opens the plugin has them.
$(BIN)/libcleave_cuda.so: $(CUDA_OBJS) $(PLUGIN_BASE)
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) -shared $^ -o $@ $(CUDA_LIBS) -lstdc++ -lm

# --- the backend on an emulated device: tests/cuda/ ---

ifdef NVCC
EMULATED := $(patsubst core/cuda/%.cu,$(B)/emulated/%.o,$(wildcard core/cuda/*.cu)) \
            $(patsubst core/cuda/%.c,$(B)/cuda/%.o,$(filter-out %/engine.c %/engine_choose.c %/cudnn_graph.c,$(wildcard core/cuda/*.c))) \
            $(addprefix $(B)/emulated/,emulate.o libraries.o engine_fake.o)
$(B)/tests/cuda/%.o: ALL_CFLAGS += -DCLEAVE_CUDA $(CUDA_INCLUDES)
$(B)/tests/cuda/test_emulated: $(EMULATED) $(addprefix $(B)/tests/cuda/,device_check.o net_check.o similarity_check.o image_check.o engine_check.o analysis_check.o training_check.o)
$(B)/tests/cuda/test_emulated: LDLIBS += -lstdc++

$(B)/tests/cuda/test_engine $(B)/tests/cuda/fuzz_plans: $(B)/cuda/engine.o

# cuDNN without a device: engines that are compiled at run time need a libcuda; the toolkit's stub is enough.
$(B)/tests/cuda/test_planning: $(CUDA_OBJS)
# Built here so that a change that breaks the program for GPU machines is noticed.
$(B)/tests/cuda/test_planning: | $(B)/gpu/gpu
$(B)/tests/cuda/test_planning: LDLIBS += $(CUDA_LIBS) -lstdc++
endif

CXX_FLAGS = -std=c++17 $(filter-out -Wstrict-prototypes -Wmissing-prototypes -Wno-missing-field-initializers,$(WARN)) \
            $(CFLAGS) -MMD -MP -Itests/cuda $(CUDA_INCLUDES)

$(B)/emulated/%.o: core/cuda/%.cu
	@mkdir -p $(@D); echo "  CXX  $< (emulated)"
	$(Q)g++ $(CXX_FLAGS) -x c++ -c $< -o $@

$(B)/emulated/%.o: tests/cuda/%.cpp
	@mkdir -p $(@D); echo "  CXX  $<"
	$(Q)g++ $(CXX_FLAGS) -c $< -o $@

$(B)/emulated/%.o: tests/cuda/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(CUDA_INCLUDES) -c $< -o $@
