# tools/cuda.mk -- part of the Makefile: the CUDA backend.
# A file of its own, made where nvcc and cuDNN are found (tools/find_cuda.sh; `make clean` looks again).
ifeq ($(filter clean list fmt lint cifar10,$(MAKECMDGOALS)),)
-include build/cuda.mk
endif
PLUGINS   := $(if $(NVCC),$(BIN)/libcleave_cuda.so)
CUDA_OBJS := $(patsubst core/cuda/%,$(B)/cuda/%.o,$(basename $(wildcard core/cuda/*.c core/cuda/*.cu))) $(B)/cuda/file.o
empty     :=
space     := $(empty) $(empty)
comma     := ,
CUDA_CODE  = $(subst $(space),$(comma),$(addprefix sm_,$(CUDA_ARCHS)) compute_80)
NVCCFLAGS ?= -O3
CUDA_FLAGS = -std=c++17 -Werror all-warnings -Xcompiler -fPIC,-Wall,-Wextra,-fvisibility=hidden \
             -gencode 'arch=compute_80,code=[$(CUDA_CODE)]' $(NVCCFLAGS)

# ---- rules ----

build/cuda.mk: tools/find_cuda.sh
	@mkdir -p $(@D); tools/find_cuda.sh >$@; sed -n 's/^CUDA_FOUND := //p' $@

$(B)/cuda/%.o: core/cuda/%.cu
	@mkdir -p $(@D); echo "  NVCC $<"
	$(Q)$(NVCC) $(CUDA_FLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

$(B)/cuda/%.o: core/cuda/%.c
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden $(CUDA_INCLUDES) -c $< -o $@

$(B)/cuda/file.o: core/file.c
	@mkdir -p $(@D); echo "  CC   $< (for the plugin)"
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -c $< -o $@

# What it takes from the program (status_set, status_message) is left open.
$(BIN)/libcleave_cuda.so: $(CUDA_OBJS)
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) -shared $^ -o $@ $(CUDA_LIBS) -lstdc++ -lm

# --- the backend on an emulated device: tests/cuda/ ---

ifdef NVCC
EMULATED := $(patsubst core/cuda/%.cu,$(B)/emulated/%.o,$(wildcard core/cuda/*.cu)) \
            $(patsubst core/cuda/%.c,$(B)/cuda/%.o,$(filter-out %/engine.c %/graph.c,$(wildcard core/cuda/*.c))) \
            $(addprefix $(B)/emulated/,emulate.o libraries.o engine_fake.o)
$(B)/tests/cuda/%.o: ALL_CFLAGS += -DCLEAVE_CUDA $(CUDA_INCLUDES)
$(B)/tests/cuda/test_emulated: $(EMULATED) $(B)/tests/cuda/device_check.o
$(B)/tests/cuda/test_emulated: LDLIBS += -lstdc++

# cuDNN without a device: engines that are compiled at run time want to see a libcuda; the toolkit's stub will do.
$(B)/tests/cuda/test_planning: $(filter-out %/file.o,$(CUDA_OBJS))
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
