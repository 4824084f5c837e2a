/* tests/fuzz/fuzz.h -- fuzz targets for the parsers of files from elsewhere, in the form that libFuzzer expects.
 *
 * A target takes any bytes. It must not crash, leak or read beyond them, and it checks what must hold for an input
 * that the parser accepts. tests/fuzz/test_fuzz.c feeds the targets fixed mutations under any compiler. With clang:
 *
 *     clang -DLIBFUZZER -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *         tests/fuzz/fuzz_config.c core/config/{config,keys,read,write}.c core/base/{file,status,text}.c \
 *         -lcyaml -lyaml -o fuzz_config
 *     clang -DLIBFUZZER -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *         tests/fuzz/fuzz_safetensors.c core/format/safetensors.c core/base/{file,json,status,text}.c -lcjson -lm \
 *         -o fuzz_safetensors
 *     clang -DLIBFUZZER -std=gnu11 -D_GNU_SOURCE -g -O1 -fwrapv -ftrivial-auto-var-init=pattern \
 *         -fsanitize=fuzzer,address,undefined -fno-sanitize=shift \
 *         tests/fuzz/fuzz_picture.c data/{picture,jpeg,png,bmp,decode}.c core/base/{file,path,status,text}.c -lm \
 *         -o fuzz_picture */
#ifndef CLEAVE_FUZZ_H
#define CLEAVE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* True if the input was accepted. */
bool fuzz_safetensors(const uint8_t *data, size_t bytes);
bool fuzz_config(const uint8_t *data, size_t bytes);
bool fuzz_picture(const uint8_t *data, size_t bytes);

/* An assertion for every build; a failure ends the process, as a fuzzer expects. */
#define FUZZ_CHECK(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#ifdef LIBFUZZER
#define FUZZ_TARGET(f)                                                                                       \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);                                           \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)                                            \
    {                                                                                                        \
        f(data, bytes);                                                                                      \
        return 0;                                                                                            \
    }
#else
#define FUZZ_TARGET(f) /* the test links all targets into one program */
#endif

#endif
