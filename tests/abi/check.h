/* What the programs here share: a check that says where it failed, and a model to work on. */
#ifndef CHECK_H
#define CHECK_H

#include <gabion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUL GABION_NUL_TERMINATED
#define INVALID GABION_ERROR_INVALID_ARGUMENT

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, gabion_last_error());      \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A call that must end with exactly this status. */
#define STATUS(wanted, call)                                                                                           \
    do {                                                                                                               \
        gabion_status status_ = (call);                                                                                \
        if (status_ != (wanted)) {                                                                                     \
            fprintf(stderr, "%s:%d: %s gives %d, not %s (last error: %s)\n", __FILE__, __LINE__, #call, (int)status_,  \
                    #wanted, gabion_last_error());                                                                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define OK(call) STATUS(GABION_OK, call)

static inline gabion_runtime *cpu(void) {
    gabion_runtime_options options;
    gabion_runtime *runtime = NULL;
    OK(gabion_runtime_options_init(&options, sizeof options));
    options.device = "cpu";
    OK(gabion_runtime_new(&options, &runtime));
    return runtime;
}

static inline gabion_model *load(const char *path) {
    gabion_runtime *runtime = cpu();
    gabion_model *model = NULL;
    OK(gabion_model_open(runtime, path, NUL, NULL, &model));
    gabion_runtime_free(runtime);
    return model;
}

#endif
