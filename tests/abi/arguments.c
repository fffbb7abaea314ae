/* Every function with NULL, wrong sizes, broken text: an error with a text, never a crash. Usage: arguments MODEL */
#include "check.h"

static const float NAN_VALUE_BITS = 0.0f;

static bool no_piece(const gabion_piece *piece, void *user_data) {
    (void)piece;
    (void)user_data;
    return false;
}

static bool any_device(const gabion_device_info *info, void *user_data) {
    CHECK(info->struct_size == sizeof *info && info->name && info->backend && info->driver);
    ++*(int *)user_data;
    return false;
}

static void versions(void) {
    CHECK(gabion_abi_version() == GABION_ABI_VERSION);
    CHECK(strchr(gabion_version(), '.'));
    CHECK(gabion_last_error() && *gabion_last_error() == 0);
}

static void nulls_without_objects(void) {
    gabion_runtime *runtime = (gabion_runtime *)&runtime;
    gabion_device_info device = {0};
    int devices = 0;

    gabion_runtime_free(NULL);
    gabion_model_free(NULL);
    gabion_session_free(NULL);
    gabion_generation_free(NULL);
    gabion_session_cancel(NULL);
    CHECK(gabion_session_n_ctx(NULL) == 0);
    CHECK(!gabion_model_is_eog(NULL, 0));

    STATUS(INVALID, gabion_devices(NULL, NULL));
    CHECK(*gabion_last_error());
    OK(gabion_devices(any_device, &devices));
    CHECK(devices == 1);
    STATUS(INVALID, gabion_set_log_callback(NULL, 6, NULL));
    STATUS(INVALID, gabion_set_log_callback(NULL, -1, NULL));
    OK(gabion_set_log_callback(NULL, GABION_LOG_TRACE, NULL));
    STATUS(INVALID, gabion_runtime_new(NULL, NULL));
    STATUS(INVALID, gabion_runtime_get_info(NULL, &device));
}

static void nulls_without_a_model(const gabion_runtime *runtime, const char *path) {
    gabion_model *model = (gabion_model *)&model;
    gabion_model_info info = {0};
    char text[8];
    uint32_t ids[8];
    size_t len;

    STATUS(INVALID, gabion_model_open(NULL, path, NUL, NULL, &model));
    CHECK(model == NULL); /* a failure never leaves garbage behind */
    STATUS(INVALID, gabion_model_open(runtime, path, NUL, NULL, NULL));
    STATUS(INVALID, gabion_model_open(runtime, NULL, NUL, NULL, &model));
    STATUS(INVALID, gabion_model_open(runtime, NULL, 3, NULL, &model));
    STATUS(GABION_ERROR_IO, gabion_model_open(runtime, NULL, 0, NULL, &model));
    STATUS(GABION_ERROR_IO, gabion_model_open(runtime, "no/such/file", NUL, NULL, &model));
    CHECK(strstr(gabion_last_error(), "no/such/file"));
    STATUS(INVALID, gabion_model_from_memory(NULL, NULL, 0, NULL, &model));
    STATUS(INVALID, gabion_model_from_memory(runtime, NULL, 9, NULL, &model));
    STATUS(INVALID, gabion_model_from_memory(runtime, (const uint8_t *)path, SIZE_MAX, NULL, &model));
    STATUS(GABION_ERROR_GGUF, gabion_model_from_memory(runtime, NULL, 0, NULL, &model));
    STATUS(INVALID, gabion_model_get_info(NULL, &info));
    STATUS(INVALID, gabion_model_metadata(NULL, "a", 1, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_metadata_key(NULL, 0, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_tokenize(NULL, "a", 1, false, false, ids, 8, &len));
    STATUS(INVALID, gabion_model_detokenize(NULL, ids, 0, false, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_chat_tokens(NULL, NULL, 0, NULL, ids, 8, &len));
    STATUS(INVALID, gabion_model_token_text(NULL, 0, text, sizeof text, &len));
}

static void nulls_with_a_model(const gabion_model *model) {
    gabion_session *session = (gabion_session *)&session;
    gabion_message message = {0};
    uint32_t ids[8] = {0};
    char text[8];
    size_t len = 77;

    STATUS(INVALID, gabion_model_get_info(model, NULL));
    STATUS(INVALID, gabion_model_metadata(model, NULL, NUL, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_metadata(model, NULL, 1, text, sizeof text, &len));
    STATUS(GABION_NOT_FOUND, gabion_model_metadata(model, NULL, 0, text, sizeof text, &len));
    STATUS(GABION_NOT_FOUND, gabion_model_metadata_key(model, SIZE_MAX, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_tokenize(model, NULL, 1, false, false, ids, 8, &len));
    STATUS(INVALID, gabion_model_tokenize(model, "\xff\xfe", 2, false, false, ids, 8, &len));
    CHECK(strstr(gabion_last_error(), "UTF-8"));
    STATUS(INVALID, gabion_model_tokenize(model, "a", SIZE_MAX / 2 + 2, false, false, ids, 8, &len));
    OK(gabion_model_tokenize(model, NULL, 0, false, false, NULL, 0, NULL));
    STATUS(INVALID, gabion_model_detokenize(model, NULL, 1, false, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_detokenize(model, (const uint32_t *)(const void *)((const char *)ids + 1), 1, false, text,
                                            sizeof text, &len));
    STATUS(INVALID, gabion_model_detokenize(model, ids, SIZE_MAX / 4, false, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_token_text(model, 1u << 30, text, sizeof text, &len));
    STATUS(INVALID, gabion_model_chat_tokens(model, NULL, 1, NULL, ids, 8, &len));
    STATUS(INVALID, gabion_model_chat_tokens(model, &message, 1, NULL, ids, 8, &len)); /* struct_size 0 */
    message.struct_size = sizeof message;
    message.role = "user";
    message.role_len = NUL;
    message.content = "\xc3";
    message.content_len = 1;
    STATUS(INVALID, gabion_model_chat_tokens(model, &message, 1, NULL, ids, 8, &len));
    STATUS(INVALID, gabion_model_chat_tokens(model, &message, SIZE_MAX, NULL, ids, 8, &len));
    STATUS(INVALID, gabion_session_new(NULL, NULL, &session));
    CHECK(session == NULL);
    STATUS(INVALID, gabion_session_new(model, NULL, NULL));
}

static void nulls_with_a_session(gabion_session *session) {
    const uint32_t ids[3] = {1, 2, 3}, wrong[1] = {1u << 30};
    gabion_generation *generation = (gabion_generation *)&generation;
    gabion_generation_info info = {0};
    gabion_piece piece = {0};
    const float *logits;
    const uint32_t *tokens;
    float nll[2];
    gabion_session *fork = session;
    uint8_t *saved = (uint8_t *)&saved;
    size_t n;

    STATUS(INVALID, gabion_session_clear(NULL));
    STATUS(INVALID, gabion_session_step(NULL, 0));
    STATUS(INVALID, gabion_session_step(session, 1u << 30));
    STATUS(INVALID, gabion_session_sync(NULL, ids, 3, NULL, NULL));
    STATUS(INVALID, gabion_session_sync(session, NULL, 3, NULL, NULL));
    STATUS(INVALID, gabion_session_sync(session, NULL, 0, NULL, NULL));
    STATUS(INVALID, gabion_session_sync(session, ids, 0, NULL, NULL));
    STATUS(INVALID, gabion_session_sync(session, wrong, 1, NULL, NULL));
    OK(gabion_session_sync(session, ids, 3, NULL, NULL));
    STATUS(INVALID, gabion_session_logits(NULL, &logits, &n));
    STATUS(INVALID, gabion_session_logits(session, NULL, &n));
    STATUS(INVALID, gabion_session_logits(session, &logits, NULL));
    STATUS(INVALID, gabion_session_tokens(NULL, &tokens, &n));
    STATUS(INVALID, gabion_session_tokens(session, NULL, NULL));
    STATUS(INVALID, gabion_session_score(NULL, ids, 3, nll, 2));
    STATUS(INVALID, gabion_session_score(session, ids, 3, nll, 1));
    STATUS(INVALID, gabion_session_score(session, ids, 3, NULL, 2));
    STATUS(INVALID, gabion_session_score(session, NULL, 3, nll, 2));
    STATUS(INVALID, gabion_session_save(NULL, &saved, &n));
    CHECK(saved == NULL && n == 0);
    STATUS(INVALID, gabion_session_save(session, NULL, &n));
    STATUS(INVALID, gabion_session_save(session, &saved, NULL));
    gabion_bytes_free(NULL, 9);
    STATUS(INVALID, gabion_session_restore(NULL, (const uint8_t *)ids, 4));
    STATUS(INVALID, gabion_session_restore(session, NULL, 4));
    STATUS(INVALID, gabion_session_restore(session, NULL, 0));
    STATUS(INVALID, gabion_session_restore(session, (const uint8_t *)ids, sizeof ids));
    STATUS(INVALID, gabion_session_fork(NULL, &fork));
    CHECK(fork == NULL);
    STATUS(INVALID, gabion_session_fork(session, NULL));
    STATUS(INVALID, gabion_session_generate(NULL, ids, 3, NULL, no_piece, NULL, NULL));
    STATUS(INVALID, gabion_session_generate(session, NULL, 3, NULL, no_piece, NULL, NULL));
    STATUS(INVALID, gabion_session_generate(session, ids, 3, NULL, no_piece, NULL, &info)); /* struct_size 0 */
    OK(gabion_session_generate(session, ids, 3, NULL, no_piece, NULL, NULL));
    STATUS(INVALID, gabion_generation_new(NULL, ids, 3, NULL, &generation));
    CHECK(generation == NULL);
    STATUS(INVALID, gabion_generation_new(session, ids, 3, NULL, NULL));
    STATUS(INVALID, gabion_generation_new(session, NULL, 3, NULL, &generation));
    STATUS(INVALID, gabion_generation_next(NULL, &piece));
    STATUS(INVALID, gabion_generation_get_info(NULL, &info));
    OK(gabion_generation_new(session, ids, 3, NULL, &generation));
    STATUS(INVALID, gabion_generation_next(generation, NULL));
    STATUS(INVALID, gabion_generation_next(generation, &piece)); /* struct_size 0 */
    STATUS(INVALID, gabion_generation_get_info(generation, NULL));
    STATUS(INVALID, gabion_generation_get_info(generation, &info));
    /* none of that has spent a token */
    info.struct_size = sizeof info;
    OK(gabion_generation_get_info(generation, &info));
    CHECK(info.n_generated == 0 && info.stop_reason == GABION_STOP_NONE);
    gabion_generation_free(generation);
}

/* Sizes that no caller's struct has. `options` is any such struct; `call` uses it. */
#define WRONG_SIZES(options, call)                                                                                     \
    do {                                                                                                               \
        const size_t sizes_[] = {0, 1, sizeof(size_t), sizeof options - 1, sizeof options + 1, 1 << 20, SIZE_MAX};     \
        size_t i_;                                                                                                     \
        for (i_ = 0; i_ < sizeof sizes_ / sizeof *sizes_; ++i_) {                                                      \
            options.struct_size = sizes_[i_];                                                                          \
            STATUS(INVALID, call);                                                                                     \
        }                                                                                                              \
    } while (0)

static void wrong_sizes(const gabion_runtime *runtime, const gabion_model *model, gabion_session *session,
                        const char *path) {
    const uint32_t ids[1] = {1};
    gabion_runtime_options runtime_options = {0};
    gabion_model_options model_options = {0};
    gabion_session_options session_options = {0};
    gabion_generate_options generate_options = {0};
    gabion_chat_options chat_options = {0};
    gabion_device_info device = {0};
    gabion_model_info info = {0};
    gabion_message message = {0};
    gabion_runtime *new_runtime;
    gabion_model *new_model;
    gabion_session *new_session;
    gabion_generation *generation;
    size_t len;

    WRONG_SIZES(runtime_options, gabion_runtime_new(&runtime_options, &new_runtime));
    WRONG_SIZES(model_options, gabion_model_open(runtime, path, NUL, &model_options, &new_model));
    WRONG_SIZES(session_options, gabion_session_new(model, &session_options, &new_session));
    WRONG_SIZES(generate_options, gabion_generation_new(session, ids, 1, &generate_options, &generation));
    WRONG_SIZES(chat_options, gabion_model_chat_tokens(model, NULL, 0, &chat_options, NULL, 0, &len));
    WRONG_SIZES(message, gabion_model_chat_tokens(model, &message, 1, NULL, NULL, 0, &len));
    WRONG_SIZES(device, gabion_runtime_get_info(runtime, &device));
    WRONG_SIZES(info, gabion_model_get_info(model, &info));
    STATUS(INVALID, gabion_runtime_options_init(&runtime_options, 3));
    STATUS(INVALID, gabion_model_options_init(NULL, sizeof model_options));
    STATUS(INVALID, gabion_session_options_init(&session_options, 0));
    STATUS(INVALID, gabion_generate_options_init(NULL, 0));
    STATUS(INVALID, gabion_chat_options_init(&chat_options, SIZE_MAX));
}

/* A program built against a later header, whose structs are longer. */
static void later_sizes(const gabion_model *model) {
    struct {
        gabion_session_options known;
        size_t more[4];
    } later;
    struct {
        gabion_model_info known;
        size_t more[2];
    } info;
    gabion_session *session;

    memset(&later, 0xab, sizeof later);
    OK(gabion_session_options_init(&later.known, sizeof later));
    CHECK(later.known.struct_size == sizeof later && later.more[0] == 0 && later.more[3] == 0);
    later.known.n_ctx = 32;
    OK(gabion_session_new(model, &later.known, &session));
    CHECK(gabion_session_n_ctx(session) == 32);
    gabion_session_free(session);

    memset(&info, 0xab, sizeof info);
    info.known.struct_size = sizeof info;
    OK(gabion_model_get_info(model, &info.known));
    CHECK(info.known.struct_size == sizeof info && info.more[0] == 0 && info.more[1] == 0);
}

/* A program built against the first header, whose structs end before what came since: what lies there is not read. */
static void earlier_sizes(const gabion_runtime *runtime, const char *path) {
    gabion_model_options model_options;
    gabion_fit_options fit_options;
    gabion_model *model;
    gabion_fit *fit;

    OK(gabion_model_options_init(&model_options, sizeof model_options));
    model_options.struct_size = offsetof(gabion_model_options, gelu);
    model_options.gelu = 77;
    OK(gabion_model_open(runtime, path, NUL, &model_options, &model));
    gabion_model_free(model);
    OK(gabion_fit_options_init(&fit_options, sizeof fit_options));
    fit_options.struct_size = offsetof(gabion_fit_options, gelu);
    fit_options.gelu = 77;
    OK(gabion_fit_open(runtime, path, NUL, &fit_options, &fit));
    gabion_fit_free(fit);
}

static void wrong_values(const gabion_runtime *runtime, const gabion_model *model, gabion_session *session,
                         const char *path) {
    const uint32_t ids[1] = {1};
    gabion_model_options model_options;
    gabion_runtime_options runtime_options;
    gabion_session_options session_options;
    gabion_generate_options options;
    gabion_string stop = {NULL, 4};
    gabion_runtime *new_runtime;
    gabion_model *new_model;
    gabion_session *new_session;
    gabion_generation *generation;

    OK(gabion_model_options_init(&model_options, sizeof model_options));
    CHECK(model_options.gelu == GABION_GELU_DEFAULT);
    model_options.gelu = 3;
    STATUS(INVALID, gabion_model_open(runtime, path, NUL, &model_options, &new_model));
    CHECK(strstr(gabion_last_error(), "gelu 3"));
    model_options.gelu = -1;
    STATUS(INVALID, gabion_model_open(runtime, path, NUL, &model_options, &new_model));
    model_options.gelu = GABION_GELU_ERF;
    OK(gabion_model_open(runtime, path, NUL, &model_options, &new_model));
    gabion_model_free(new_model);

    OK(gabion_runtime_options_init(&runtime_options, sizeof runtime_options));
    runtime_options.device = "\xff";
    STATUS(INVALID, gabion_runtime_new(&runtime_options, &new_runtime));
    runtime_options.device = "no such adapter";
    STATUS(GABION_ERROR_DEVICE, gabion_runtime_new(&runtime_options, &new_runtime));
    runtime_options.device = "gpu";
    runtime_options.level = "no such level";
    STATUS(INVALID, gabion_runtime_new(&runtime_options, &new_runtime));
    runtime_options.level = NULL;
    runtime_options.device = "cpu";
    runtime_options.threads = SIZE_MAX;
    STATUS(INVALID, gabion_runtime_new(&runtime_options, &new_runtime));

    OK(gabion_session_options_init(&session_options, sizeof session_options));
    session_options.kv_type = 99;
    STATUS(INVALID, gabion_session_new(model, &session_options, &new_session));
    session_options.kv_type = GABION_KV_Q4_0;
    OK(gabion_session_new(model, &session_options, &new_session));
    gabion_session_free(new_session);
    session_options.kv_type = GABION_KV_F32;
    session_options.n_ctx = SIZE_MAX;
    STATUS(INVALID, gabion_session_new(model, &session_options, &new_session));

    OK(gabion_generate_options_init(&options, sizeof options));
    options.stop = &stop;
    options.n_stop = 1;
    STATUS(INVALID, gabion_generation_new(session, ids, 1, &options, &generation));
    stop.data = "";
    stop.len = NUL; /* an empty stop string */
    STATUS(INVALID, gabion_generation_new(session, ids, 1, &options, &generation));
    options.stop = NULL;
    STATUS(INVALID, gabion_generation_new(session, ids, 1, &options, &generation));
    options.n_stop = 0;
    options.temperature = NAN_VALUE_BITS / NAN_VALUE_BITS;
    STATUS(INVALID, gabion_generation_new(session, ids, 1, &options, &generation));
}

int main(int argc, char **argv) {
    gabion_runtime *runtime;
    gabion_model *model;
    gabion_session *session;

    CHECK(argc == 2);
    versions();
    nulls_without_objects();
    runtime = cpu();
    nulls_without_a_model(runtime, argv[1]);
    model = load(argv[1]);
    nulls_with_a_model(model);
    OK(gabion_session_new(model, NULL, &session));
    nulls_with_a_session(session);
    wrong_sizes(runtime, model, session, argv[1]);
    later_sizes(model);
    earlier_sizes(runtime, argv[1]);
    wrong_values(runtime, model, session, argv[1]);
    gabion_session_free(session);
    gabion_model_free(model);
    gabion_runtime_free(runtime);
    puts("arguments: ok");
    return 0;
}
