/* Vectorscan over a file: `vectorscan PATTERNS FILE PASSES end|start` prints bytes per second of CPU time and matches as JSON.
 *
 * PATTERNS has `name<TAB>expression` lines. `start` asks for start offsets (HS_FLAG_SOM_LEFTMOST), which redaction needs;
 * `end` does not, and reports every possible end. Block mode, one database. Compiled by the scenario `matcher`. */
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PATTERNS_MAX = 128, LINE_BYTES_MAX = 4096 };

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *count) {
    (void)id, (void)from, (void)to, (void)flags;
    ++*(unsigned long long *)count;
    return 0;
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static char *whole_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(2); }
    fseek(file, 0, SEEK_END);
    *length = ftell(file);
    rewind(file);
    char *bytes = malloc(*length + 1);
    if (!bytes || fread(bytes, 1, *length, file) != *length) { fprintf(stderr, "%s: short read\n", path); exit(2); }
    bytes[*length] = 0;
    fclose(file);
    return bytes;
}

int main(int argc, char **argv) {
    if (argc != 5) { fprintf(stderr, "usage: vectorscan PATTERNS FILE PASSES end|start\n"); return 2; }
    const char *expressions[PATTERNS_MAX];
    unsigned flags[PATTERNS_MAX], ids[PATTERNS_MAX], count = 0;
    int with_start = strcmp(argv[4], "start") == 0;
    size_t length;
    char *patterns = whole_file(argv[1], &length);
    for (char *line = strtok(patterns, "\n"); line && count < PATTERNS_MAX; line = strtok(NULL, "\n")) {
        char *expression = strchr(line, '\t');
        if (*line == '#' || !expression) continue;
        expressions[count] = strdup(expression + 1);
        flags[count] = with_start ? HS_FLAG_SOM_LEFTMOST : 0;
        ids[count] = count;
        count++;
    }
    hs_database_t *database;
    hs_compile_error_t *error;
    if (hs_compile_multi(expressions, flags, ids, count, HS_MODE_BLOCK, NULL, &database, &error) != HS_SUCCESS) {
        fprintf(stderr, "does not compile: %s (expression %d)\n", error->message, error->expression);
        return 3;
    }
    hs_scratch_t *scratch = NULL;
    if (hs_alloc_scratch(database, &scratch) != HS_SUCCESS) { fprintf(stderr, "no scratch\n"); return 3; }
    char *text = whole_file(argv[2], &length);
    int passes = atoi(argv[3]);
    unsigned long long found = 0;
    hs_scan(database, text, length, 0, scratch, on_match, &found);
    found = 0;
    double begun = cpu_seconds();
    for (int pass = 0; pass < passes; pass++) hs_scan(database, text, length, 0, scratch, on_match, &found);
    double spent = cpu_seconds() - begun;
    char *info = NULL;
    hs_database_info(database, &info);
    printf("{\"mb_per_second\": %.3f, \"matches\": %llu, \"patterns\": %u, \"info\": \"%s\"}\n",
           length * (double)passes / spent / 1e6, found / passes, count, info ? info : "");
    return 0;
}
