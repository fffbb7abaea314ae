/* Models made of broken bytes: always an error code, never a crash. Usage: hostile MODEL */
#include "check.h"

static uint8_t *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    uint8_t *data;

    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    *len = (size_t)ftell(file);
    rewind(file);
    data = malloc(*len);
    CHECK(data && fread(data, 1, *len, file) == *len);
    fclose(file);
    return data;
}

/* Loads, and if the bytes still make a model, uses it: a flip may well leave one. Returns 1 if it loaded. */
static int use(const gabion_runtime *runtime, const uint8_t *data, size_t len) {
    const uint32_t ids[2] = {1, 2};
    gabion_model *model = NULL;
    gabion_session *session = NULL;
    gabion_status status = gabion_model_from_memory(runtime, data, len, NULL, &model);

    CHECK((status == GABION_OK) == (model != NULL));
    CHECK(status == GABION_OK || (status < 0 && status != GABION_ERROR_INTERNAL && *gabion_last_error()));
    if (!model) return 0;
    if (gabion_session_new(model, NULL, &session) == GABION_OK)
        CHECK(gabion_session_sync(session, ids, 2, NULL, NULL) != GABION_ERROR_INTERNAL);
    gabion_session_free(session);
    gabion_model_free(model);
    return 1;
}

int main(int argc, char **argv) {
    gabion_runtime *runtime = cpu();
    uint8_t *data, *copy;
    size_t len, i, step, refused = 0, tried = 0;
    uint32_t state = 1;

    CHECK(argc == 2);
    data = read_file(argv[1], &len);
    CHECK(use(runtime, data, len));
    /* truncations, every one in the first part of the header */
    for (i = 0; i < len; i += i < 600 ? 1 : 997) {
        CHECK(!use(runtime, data, i));
    }
    /* flips, most of them in the header */
    copy = malloc(len);
    step = len / 300 + 1;
    for (i = 0; i < len; i += i < 1200 ? 3 : step) {
        memcpy(copy, data, len);
        state = state * 1664525u + 1013904223u;
        copy[i] ^= (uint8_t)(state >> 24 | 1);
        refused += !use(runtime, copy, len);
        ++tried;
    }
    CHECK(refused > 0 && refused < tried);
    printf("hostile: ok, %u of %u changed files refused\n", (unsigned)refused, (unsigned)tried);
    free(copy);
    free(data);
    gabion_runtime_free(runtime);
    return 0;
}
