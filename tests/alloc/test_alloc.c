/* No allocation inside a training step: net_compile allocates once, and a run that fits in memory at its
 * first step fits at its last. The allocator's entry points are defined here, in the executable, so that
 * every library of the process uses these; they count while `counting` is set and pass on to glibc.
 *
 * One exception, which no caller of oneDNN can avoid: dnnl_primitive_execute keeps its arguments in small C++
 * objects, mostly nodes of a map. They are told by their size and by coming through C++'s operator new, which
 * nothing else here uses; all of them have to be gone at the end. */
#include "../../core/base/rng.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../must.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BATCH = 2, PIXELS = 3 * 32 * 32, WARM_UP = 2, STEPS = 6, N_CALLERS = 8, SMALL_BYTES = 256 };

static atomic_bool counting;
static atomic_int calls, small_objects, frees;
static void *callers[N_CALLERS];
static void *cxx_library; /* where operator new is */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
void *memalign(size_t alignment, size_t bytes);

static bool is_small_object(const void *caller, size_t bytes)
{
    Dl_info info;
    return bytes <= SMALL_BYTES && cxx_library && dladdr(caller, &info) && info.dli_fbase == cxx_library;
}

static void count(void *caller, size_t bytes)
{
    if (!counting) return;
    if (is_small_object(caller, bytes)) {
        small_objects++;
        return;
    }
    int i = atomic_fetch_add(&calls, 1);
    if (i < N_CALLERS) callers[i] = caller;
}
#define COUNT(bytes) count(__builtin_return_address(0), bytes)

void *malloc(size_t bytes)
{
    COUNT(bytes);
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    COUNT(n * bytes);
    return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
    COUNT(bytes);
    return __libc_realloc(p, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    COUNT(bytes);
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    COUNT(bytes);
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    COUNT(bytes);
    void *p = __libc_memalign(alignment, bytes);
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    COUNT(bytes);
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

void free(void *p)
{
    if (counting && p) frees++;
    __libc_free(p);
}

static void start_counting(void)
{
    Dl_info info;
    void *operator_new = dlsym(RTLD_DEFAULT, "_Znwm");
    cxx_library = operator_new && dladdr(operator_new, &info) ? info.dli_fbase : NULL;
    calls = small_objects = frees = 0;
    counting = true;
}

static int stop_counting(void)
{
    counting = false;
    return calls;
}

/* Which library asked, for the one who has to find out why. */
static void print_callers(int n)
{
    Dl_info info;
    for (int i = 0; i < n && i < N_CALLERS; i++)
        if (dladdr(callers[i], &info))
            print_error("allocated from %s+0x%zx (%s)\n", info.dli_fname,
                        (size_t)((char *)callers[i] - (char *)info.dli_fbase),
                        info.dli_sname ? info.dli_sname : "?");
}

/* ---- tests ---- */

/* Through volatile pointers: the compiler may drop an allocation that nobody uses. */
static void every_entry_point_is_counted(void **state)
{
    (void)state;
    void *volatile p;
    void *q = NULL;
    start_counting();
    p = malloc(1);
    p = realloc(p, 100000);
    free(p);
    p = calloc(3, 5);
    free(p);
    p = aligned_alloc(64, 64);
    free(p);
    if (posix_memalign(&q, 64, 64) == 0) free(q);
    p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(p, 4096);
    assert_int_equal(stop_counting(), 6);
    assert_int_equal(small_objects, 0);
    assert_int_equal(frees, 4);
}

/* oneDNN's allocations must pass through here too, or the zero below would mean nothing. */
static void the_libraries_are_counted(void **state)
{
    (void)state;
    backend *b;
    net *n;
    const net_case one = { BATCH, true };
    must(backend_open("cpu", 0, &b, NULL, 0));
    must(net_create(&(net_spec){ .arch = "resnet20", .classes = 10 }, &n));
    start_counting();
    must(net_compile(n, b, F32, &one, 1));
    assert_true(stop_counting() > 100);
    assert_true(small_objects > 1000);
    net_free(n);
    backend_close(b);
}

static void steps_allocate_nothing(const char *device, dtype type)
{
    static float input[BATCH * PIXELS];
    static const int32_t label[BATCH] = { 3, 9 };
    const net_case cases[] = { { BATCH, true }, { BATCH, false } };
    backend *b;
    net *n;
    must(backend_open(device, 0, &b, NULL, 0));
    must(net_create(&(net_spec){ .arch = "resnet20", .classes = 10 }, &n));
    must(net_compile(n, b, type, cases, 2));
    must(net_init(n, 1));
    for (uint64_t i = 0; i < BATCH * PIXELS; i++) input[i] = rng_normal(1, RNG_TEST, 0, i);
    for (int step = 0; step < STEPS; step++) {
        const step_scalars s = {
            .lr = 0.01f, .momentum = 0.9f, .weight_decay = 0.005f, .step = (uint64_t)step
        };
        if (step == WARM_UP) start_counting();
        must(net_input(n, 0, input, label, BATCH));
        must(net_step(n, 0, &s));
        must(net_input(n, 1, input, label, BATCH - 1)); /* an evaluation, with padding */
        must(net_forward(n, 1));
    }
    int found = stop_counting(), left = small_objects - frees;
    print_callers(found);
    net_free(n);
    backend_close(b);
    assert_int_equal(found, 0);
    assert_int_equal(left, 0);
}

static void steps_on_ref_allocate_nothing(void **state)
{
    (void)state;
    steps_allocate_nothing("ref", F32);
}

static void steps_on_cpu_allocate_nothing(void **state)
{
    (void)state;
    steps_allocate_nothing("cpu", F32);
}

static void steps_in_bf16_allocate_nothing(void **state)
{
    const op any = { .kind = OP_CONV, .type = BF16 };
    backend *b;
    (void)state;
    must(backend_open("cpu", 0, &b, NULL, 0));
    const char *why = b->unsupported(b, &any);
    backend_close(b);
    if (why) {
        print_message("SKIPPED: %s\n", why);
        skip();
    }
    steps_allocate_nothing("cpu", BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_point_is_counted),   cmocka_unit_test(the_libraries_are_counted),
        cmocka_unit_test(steps_on_ref_allocate_nothing),  cmocka_unit_test(steps_on_cpu_allocate_nothing),
        cmocka_unit_test(steps_in_bf16_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
