/* tests/fuzz/fuzz_config.c -- the input is YAML text and, after a NUL byte, one key=value. */
#include "fuzz.h"

#include "../../core/config/config.h"

/* An accepted configuration can be written, and reads back the same. */
static void check_round_trip(const config *c)
{
    char *yaml = NULL, *again = NULL, hash[9], hash_again[9];
    config *back = NULL;
    FUZZ_CHECK(config_yaml(c, &yaml) == OK);
    FUZZ_CHECK(config_parse("again", yaml, NULL, 0, &back) == OK);
    FUZZ_CHECK(config_yaml(back, &again) == OK);
    FUZZ_CHECK(strcmp(yaml, again) == 0);
    FUZZ_CHECK(config_hash(c, hash) == OK && config_hash(back, hash_again) == OK);
    FUZZ_CHECK(strcmp(hash, hash_again) == 0);
    config_free(back);
    free(yaml);
    free(again);
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    char *text = malloc(bytes + 2);
    FUZZ_CHECK(text);
    memcpy(text, data, bytes);
    text[bytes] = text[bytes + 1] = '\0';
    char *override = text + strlen(text) + 1; /* within the block: it ends with two NUL bytes */
    config *c = NULL;
    status st = config_parse("fuzz", text, &override, *override ? 1 : 0, &c);
    free(text);
    if (!fuzz_accepted(st, ERR_USAGE)) {
        FUZZ_CHECK(!c);
        return false;
    }
    check_round_trip(c);
    config_free(c);
    return true;
}
