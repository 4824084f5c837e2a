/* core/config/depth.c -- see depth.h. */
#include "depth.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

static int change_of_depth(yaml_event_type_t type)
{
    switch (type) {
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return 1;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return -1;
    default: return 0;
    }
}

/* Events come one by one, so no more is scanned than the first YAML_MAX_DEPTH levels. */
status yaml_check_depth(const char *label, const char *yaml)
{
    status st = OK;
    yaml_parser_t parser;
    yaml_event_t event;
    int depth = 0;
    bool end = false;
    if (!yaml_parser_initialize(&parser)) return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, strlen(yaml));
    while (!end && yaml_parser_parse(&parser, &event)) {
        const size_t line = event.start_mark.line + 1;
        depth += change_of_depth(event.type);
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (depth > YAML_MAX_DEPTH)
            FAIL(ERR_USAGE, "%.200s:%zu: lists and mappings nest deeper than %d levels", label, line,
                 YAML_MAX_DEPTH);
    }
    if (parser.error == YAML_MEMORY_ERROR) FAIL_OUT_OF_MEMORY();
out:
    yaml_parser_delete(&parser);
    return st;
}
