/* What a model takes, told before it is loaded. Usage: fit MODEL */
#include "check.h"

static gabion_fit_info told(const gabion_fit *fit) {
    gabion_fit_info info = {0};
    info.struct_size = sizeof info;
    OK(gabion_fit_get_info(fit, &info));
    return info;
}

static gabion_fit *of_file(const gabion_runtime *runtime, const char *path, const gabion_fit_options *options) {
    gabion_fit *fit = NULL;
    OK(gabion_fit_open(runtime, path, NUL, options, &fit));
    return fit;
}

/* The first half of a file, at least its header. */
static uint8_t *start_of(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    CHECK(size > 0 && fseek(file, 0, SEEK_SET) == 0);
    *len = (size_t)size / 2;
    uint8_t *data = malloc(*len);
    CHECK(data && fread(data, 1, *len, file) == *len);
    fclose(file);
    return data;
}

static void foretold(const gabion_runtime *runtime, const char *path) {
    gabion_fit *fit = of_file(runtime, path, NULL);
    const gabion_fit_info info = told(fit);
    gabion_model *model = load(path);
    gabion_model_info loaded = {0};
    gabion_session *session = NULL;

    loaded.struct_size = sizeof loaded;
    OK(gabion_model_get_info(model, &loaded));
    OK(gabion_session_new(model, NULL, &session));
    CHECK(info.weight_bytes == loaded.weight_bytes && info.n_vocab == loaded.n_vocab);
    CHECK(info.n_layer == loaded.n_layer && info.n_embd == loaded.n_embd && info.n_ctx_train == loaded.n_ctx_train);
    CHECK(info.n_ctx == gabion_session_n_ctx(session) && info.kv_type == GABION_KV_F16);
    CHECK(strcmp(info.architecture, loaded.architecture) == 0 && strcmp(info.name, loaded.name) == 0);
    CHECK(*info.tokenizer && info.has_chat_template == loaded.has_chat_template);
    CHECK(info.kv_bytes > 0 && info.scratch_bytes > 0 && info.bits_per_weight > 1 && info.n_parameters > 0);
    CHECK(info.buffer_limit == 0 && info.fits == 1 && *info.problem == 0 && info.max_n_ctx == info.n_ctx_train);
    gabion_session_free(session);
    gabion_model_free(model);
    gabion_fit_free(fit);
}

static void too_little(const gabion_runtime *runtime, const char *path) {
    gabion_fit_options options;
    OK(gabion_fit_options_init(&options, sizeof options));
    options.n_ctx = 100;
    options.n_batch = 8;
    options.kv_type = GABION_KV_F32;
    options.exact = 1;
    gabion_fit *fit = of_file(runtime, path, &options);
    const gabion_fit_info all = told(fit);
    CHECK(all.n_ctx == 100 && all.n_batch == 8 && all.kv_type == GABION_KV_F32);
    gabion_fit_free(fit);

    options.memory_limit = all.weight_bytes + all.kv_bytes + all.scratch_bytes - 1;
    fit = of_file(runtime, path, &options);
    const gabion_fit_info less = told(fit);
    CHECK(less.fits == 0 && strstr(less.problem, "may be taken") && less.memory_limit == options.memory_limit);
    CHECK(less.max_n_ctx > 0 && less.max_n_ctx < 100);
    gabion_fit_free(fit);
}

static void from_its_start(const gabion_runtime *runtime, const char *path) {
    size_t len;
    uint8_t *data = start_of(path, &len);
    gabion_fit *fit = NULL, *whole = of_file(runtime, path, NULL);
    OK(gabion_fit_from_memory(runtime, data, len, NULL, &fit));
    CHECK(told(fit).weight_bytes == told(whole).weight_bytes);
    gabion_fit_free(fit);
    gabion_fit_free(whole);
    STATUS(GABION_ERROR_GGUF, gabion_fit_from_memory(runtime, data, 100, NULL, &fit));
    CHECK(fit == NULL && strstr(gabion_last_error(), "bytes"));
    free(data);
}

static void wrong(const gabion_runtime *runtime, const char *path) {
    gabion_fit *fit = (gabion_fit *)&fit;
    gabion_fit_info info = {0};
    gabion_fit_options options;

    gabion_fit_free(NULL);
    STATUS(INVALID, gabion_fit_open(NULL, path, NUL, NULL, &fit));
    CHECK(fit == NULL);
    STATUS(INVALID, gabion_fit_open(runtime, NULL, NUL, NULL, &fit));
    STATUS(INVALID, gabion_fit_open(runtime, path, NUL, NULL, NULL));
    STATUS(GABION_ERROR_IO, gabion_fit_open(runtime, "no/such/file", NUL, NULL, &fit));
    STATUS(INVALID, gabion_fit_from_memory(NULL, NULL, 0, NULL, &fit));
    STATUS(INVALID, gabion_fit_from_memory(runtime, NULL, 9, NULL, &fit));
    STATUS(GABION_ERROR_GGUF, gabion_fit_from_memory(runtime, NULL, 0, NULL, &fit));
    STATUS(INVALID, gabion_fit_get_info(NULL, &info));
    STATUS(INVALID, gabion_fit_options_init(NULL, sizeof options));
    STATUS(INVALID, gabion_fit_options_init(&options, 8));
    OK(gabion_fit_options_init(&options, sizeof options));
    options.kv_type = 77;
    STATUS(INVALID, gabion_fit_open(runtime, path, NUL, &options, &fit));
    options.kv_type = GABION_KV_DEFAULT;
    options.gelu = 77;
    STATUS(INVALID, gabion_fit_open(runtime, path, NUL, &options, &fit));
    CHECK(strstr(gabion_last_error(), "gelu 77"));
    options.gelu = GABION_GELU_TANH;
    OK(gabion_fit_open(runtime, path, NUL, &options, &fit));
    gabion_fit_free(fit);
    options.n_ctx = SIZE_MAX;
    STATUS(INVALID, gabion_fit_open(runtime, path, NUL, &options, &fit));
    options.struct_size = 0;
    STATUS(INVALID, gabion_fit_open(runtime, path, NUL, &options, &fit));
    OK(gabion_fit_open(runtime, path, NUL, NULL, &fit));
    STATUS(INVALID, gabion_fit_get_info(fit, NULL));
    STATUS(INVALID, gabion_fit_get_info(fit, &info)); /* struct_size 0 */
    gabion_fit_free(fit);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    gabion_runtime *runtime = cpu();
    foretold(runtime, argv[1]);
    too_little(runtime, argv[1]);
    from_its_start(runtime, argv[1]);
    wrong(runtime, argv[1]);
    gabion_runtime_free(runtime);
    puts("fit: ok");
    return 0;
}
