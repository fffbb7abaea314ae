/* A model's whole life through the C interface, every function used as it is meant. Usage: life MODEL */
#include "check.h"

static int log_lines;

static void on_log(int32_t level, const char *target, const char *message, void *user_data) {
    CHECK(level >= GABION_LOG_ERROR && level <= GABION_LOG_TRACE && *target && message);
    CHECK(user_data == &log_lines);
    /* changing the callback from inside would wait for itself: it is refused */
    CHECK(gabion_set_log_callback(NULL, GABION_LOG_OFF, NULL) == GABION_ERROR_BUSY);
    ++log_lines;
}

static bool on_progress(uint64_t loaded, uint64_t total, void *user_data) {
    uint64_t *last = user_data;
    CHECK(loaded >= *last && loaded <= total);
    *last = loaded;
    return true;
}

static bool cancel_progress(uint64_t loaded, uint64_t total, void *user_data) {
    (void)loaded, (void)total, (void)user_data;
    return false;
}

static gabion_model *loading(const char *path) {
    gabion_runtime *runtime = cpu();
    gabion_device_info device = {0};
    gabion_model_options options;
    gabion_model *model = NULL;
    uint64_t last = 0;

    device.struct_size = sizeof device;
    OK(gabion_runtime_get_info(runtime, &device));
    CHECK(device.kind == GABION_DEVICE_CPU && strcmp(device.backend, "cpu") == 0 && device.threads > 0);
    OK(gabion_model_options_init(&options, sizeof options));
    options.progress = cancel_progress;
    STATUS(GABION_ERROR_CANCELLED, gabion_model_open(runtime, path, NUL, &options, &model));
    options.progress = on_progress;
    options.progress_user_data = &last;
    options.exact = 1;
    OK(gabion_model_open(runtime, path, strlen(path), &options, &model));
    CHECK(last > 0);
    gabion_runtime_free(runtime);
    return model;
}

static void describing(const gabion_model *model) {
    gabion_model_info info = {0};
    char key[128], value[128];
    size_t len, i = 0;

    info.struct_size = sizeof info;
    OK(gabion_model_get_info(model, &info));
    CHECK(strcmp(info.architecture, "llama") == 0 && strstr(info.description, "llama"));
    CHECK(info.n_vocab == 264 && info.n_ctx_train == 256 && info.n_layer == 2 && info.n_embd == 32);
    CHECK(info.weight_bytes > 0 && info.has_tokenizer == 1 && info.has_chat_template == 1);
    CHECK(info.name && !*info.name);

    OK(gabion_model_metadata(model, "general.architecture", NUL, NULL, 0, &len));
    CHECK(len == 5);
    OK(gabion_model_metadata(model, "general.architecture", NUL, value, 6, &len));
    CHECK(strcmp(value, "llama") == 0);
    STATUS(GABION_TRUNCATED, gabion_model_metadata(model, "general.architecture", 20, value, 5, &len));
    CHECK(strcmp(value, "llam") == 0 && len == 5);
    OK(gabion_model_metadata(model, "llama.block_count", NUL, value, sizeof value, NULL));
    CHECK(strcmp(value, "2") == 0);
    STATUS(GABION_NOT_FOUND, gabion_model_metadata(model, "llama", NUL, value, sizeof value, &len));
    while (gabion_model_metadata_key(model, i, key, sizeof key, &len) == GABION_OK) {
        CHECK(len == strlen(key));
        CHECK(gabion_model_metadata(model, key, NUL, NULL, 0, &len) == GABION_OK);
        ++i;
    }
    CHECK(i > 10);
}

static void reading_and_writing(const gabion_model *model) {
    const char *text = "the thing\xc3\xa9";
    uint32_t ids[32], few[2];
    char back[64];
    size_t n, len, i, ends = 0;

    OK(gabion_model_tokenize(model, text, NUL, true, false, ids, 32, &n));
    CHECK(n > 2 && n < strlen(text));
    STATUS(GABION_TRUNCATED, gabion_model_tokenize(model, text, NUL, true, false, few, 2, &len));
    CHECK(len == n && few[0] == ids[0] && few[1] == ids[1]);
    OK(gabion_model_detokenize(model, ids, n, false, back, sizeof back, &len));
    CHECK(strcmp(back, text) == 0 && len == strlen(text));
    /* cut within the last character: it goes as a whole */
    STATUS(GABION_TRUNCATED, gabion_model_detokenize(model, ids, n, false, back, len, NULL));
    CHECK(strcmp(back, "the thing") == 0);

    OK(gabion_model_tokenize(model, "<|im_end|>", NUL, false, true, ids, 32, &n));
    CHECK(n == 1 && gabion_model_is_eog(model, ids[0]));
    OK(gabion_model_token_text(model, ids[0], back, sizeof back, &len));
    CHECK(strcmp(back, "<|im_end|>") == 0 && len == 10);
    OK(gabion_model_detokenize(model, ids, 1, false, back, sizeof back, &len));
    CHECK(len == 0);
    OK(gabion_model_tokenize(model, "<|im_end|>", NUL, false, false, ids, 32, &n));
    CHECK(n > 1);
    for (i = 0; i < 300; ++i) ends += gabion_model_is_eog(model, (uint32_t)i);
    CHECK(ends == 1);
}

static size_t conversation(const gabion_model *model, uint32_t *ids, size_t capacity) {
    gabion_message messages[2];
    gabion_chat_options options;
    size_t n, without, i;

    memset(messages, 0, sizeof messages);
    for (i = 0; i < 2; ++i) {
        messages[i].struct_size = sizeof messages[i];
        messages[i].role = i ? "user" : "system";
        messages[i].role_len = NUL;
        messages[i].content = i ? "Hi <|im_end|>" : "Be kind.";
        messages[i].content_len = NUL;
    }
    OK(gabion_chat_options_init(&options, sizeof options));
    CHECK(options.add_generation_prompt == 1);
    options.add_generation_prompt = 0;
    OK(gabion_model_chat_tokens(model, messages, 2, &options, NULL, 0, &without));
    OK(gabion_model_chat_tokens(model, messages, 2, NULL, ids, capacity, &n));
    CHECK(n > without);
    for (i = 0, without = 0; i < n; ++i) without += gabion_model_is_eog(model, ids[i]);
    CHECK(without == 2); /* one for each message: the user's own is only text */
    return n;
}

static void low_level(gabion_session *session) {
    const uint32_t ids[4] = {10, 20, 30, 40};
    const uint32_t *tokens;
    const float *logits;
    float nll[3], before;
    size_t n, reused, computed;

    OK(gabion_session_logits(session, &logits, &n));
    CHECK(n == 0);
    OK(gabion_session_sync(session, ids, 4, &reused, &computed));
    CHECK(reused == 0 && computed == 4);
    OK(gabion_session_sync(session, ids, 3, &reused, &computed));
    CHECK(reused == 2 && computed == 1);
    OK(gabion_session_logits(session, &logits, &n));
    CHECK(n == 264);
    before = logits[7];
    OK(gabion_session_step(session, 40));
    OK(gabion_session_tokens(session, &tokens, &n));
    CHECK(n == 4 && memcmp(tokens, ids, sizeof ids) == 0);
    OK(gabion_session_logits(session, &logits, &n));
    CHECK(logits[7] != before);
    OK(gabion_session_score(session, ids, 4, nll, 3));
    CHECK(nll[0] > 0 && nll[1] > 0 && nll[2] > 0);
    OK(gabion_session_clear(session));
    OK(gabion_session_tokens(session, &tokens, &n));
    CHECK(n == 0);
}

/* Saved bytes and forks go on like the session that they are of. */
static void saving(const gabion_model *model, gabion_session *session) {
    const uint32_t ids[4] = {10, 20, 30, 40};
    gabion_session *other, *fork;
    const float *logits, *same;
    uint8_t *bytes;
    size_t n, len;
    int i;

    OK(gabion_session_sync(session, ids, 4, NULL, NULL));
    OK(gabion_session_save(session, &bytes, &len));
    OK(gabion_session_fork(session, &fork));
    OK(gabion_session_new(model, NULL, &other));
    OK(gabion_session_restore(other, bytes, len));
    OK(gabion_session_step(session, 50));
    OK(gabion_session_logits(session, &logits, &n));
    for (i = 0; i < 2; ++i) {
        gabion_session *twin = i ? fork : other;
        OK(gabion_session_step(twin, 50));
        OK(gabion_session_logits(twin, &same, &n));
        CHECK(n == 264 && memcmp(logits, same, n * sizeof *same) == 0);
    }
    OK(gabion_session_sync(other, ids, 2, NULL, NULL));
    bytes[len / 2] ^= 1;
    STATUS(INVALID, gabion_session_restore(other, bytes, len));
    OK(gabion_session_tokens(other, (const uint32_t **)&logits, &n));
    CHECK(n == 2);
    gabion_bytes_free(bytes, len);
    gabion_session_free(session == other ? NULL : other);
    gabion_session_free(fork);
    OK(gabion_session_clear(session));
}

static void stepping(gabion_session *session, const uint32_t *ids, size_t n_ids, char *text, size_t capacity) {
    gabion_generate_options options;
    gabion_generation *generation, *second;
    gabion_generation_info info = {0};
    gabion_piece piece = {0};
    size_t used = 0, steps = 0;

    OK(gabion_generate_options_init(&options, sizeof options));
    CHECK(options.max_tokens == -1 && options.temperature > 0.79f && options.top_k == 40);
    options.max_tokens = 20;
    options.temperature = 0;
    options.logprobs = 3;
    options.ignore_eog = 1;
    OK(gabion_generation_new(session, ids, n_ids, &options, &generation));
    /* it has the session to itself */
    STATUS(GABION_ERROR_BUSY, gabion_session_clear(session));
    STATUS(GABION_ERROR_BUSY, gabion_generation_new(session, ids, n_ids, &options, &second));
    CHECK(second == NULL && gabion_session_n_ctx(session) == 256);
    piece.struct_size = sizeof piece;
    text[0] = 0;
    while (gabion_generation_next(generation, &piece) == GABION_OK) {
        CHECK(strlen(piece.text) == piece.text_len && used + piece.text_len < capacity);
        memcpy(text + used, piece.text, piece.text_len + 1);
        used += piece.text_len;
        if (piece.token == GABION_NO_TOKEN) continue;
        ++steps;
        CHECK(piece.n_top == 3 && piece.top[0].token == piece.token && piece.top[0].logprob == piece.logprob);
    }
    STATUS(GABION_DONE, gabion_generation_next(generation, &piece));
    info.struct_size = sizeof info;
    OK(gabion_generation_get_info(generation, &info));
    CHECK(steps == 20 && info.n_generated == 20 && info.stop_reason == GABION_STOP_MAX_TOKENS);
    CHECK(info.n_reused + info.n_computed == n_ids);
    gabion_generation_free(generation);
    OK(gabion_session_clear(session));
}

typedef struct {
    gabion_session *session;
    char text[2048];
    size_t used, pieces, stop_after;
} collected;

static bool collect(const gabion_piece *piece, void *user_data) {
    collected *to = user_data;
    const float *logits;
    size_t n;
    memcpy(to->text + to->used, piece->text, piece->text_len + 1);
    to->used += piece->text_len;
    /* inside a callback its session is busy */
    CHECK(gabion_session_logits(to->session, &logits, &n) == GABION_ERROR_BUSY);
    return ++to->pieces != to->stop_after;
}

static void with_a_callback(gabion_session *session, const uint32_t *ids, size_t n_ids, const char *same) {
    gabion_generate_options options;
    gabion_generation_info info = {0};
    gabion_string stops[2] = {{"no such text", 12}, {NULL, 0}};
    collected got;

    memset(&got, 0, sizeof got);
    got.session = session;
    info.struct_size = sizeof info;
    OK(gabion_generate_options_init(&options, sizeof options));
    options.max_tokens = 20;
    options.temperature = 0;
    options.ignore_eog = 1;
    OK(gabion_session_generate(session, ids, n_ids, &options, collect, &got, &info));
    CHECK(strcmp(got.text, same) == 0 && info.stop_reason == GABION_STOP_MAX_TOKENS);

    memset(&got, 0, sizeof got);
    got.session = session;
    got.stop_after = 3;
    OK(gabion_session_generate(session, ids, n_ids, &options, collect, &got, &info));
    CHECK(got.pieces == 3 && info.n_generated == 3 && info.stop_reason == GABION_STOP_NONE);
    CHECK(info.n_reused > 0);

    stops[1].data = same;
    stops[1].len = 1;
    if ((unsigned char)same[0] < 0x80 && same[0]) {
        options.stop = stops;
        options.n_stop = 2;
        OK(gabion_session_generate(session, ids, n_ids, &options, NULL, NULL, &info));
        CHECK(info.stop_reason == GABION_STOP_STRING);
    }
}

/* A context longer than the model was trained for is worth a line. */
static void logging(const gabion_model *model) {
    gabion_session_options options;
    gabion_session *session;
    int before;

    OK(gabion_set_log_callback(on_log, GABION_LOG_WARN, &log_lines));
    OK(gabion_session_options_init(&options, sizeof options));
    options.n_ctx = 512;
    before = log_lines;
    OK(gabion_session_new(model, &options, &session));
    CHECK(log_lines == before + 1);
    gabion_session_free(session);
    OK(gabion_set_log_callback(NULL, GABION_LOG_OFF, NULL));
    OK(gabion_session_new(model, &options, &session));
    CHECK(log_lines == before + 1);
    gabion_session_free(session);
}

static void frees_in_any_order(const char *path) {
    const uint32_t ids[2] = {1, 2};
    gabion_model *model = load(path);
    gabion_session *session;
    gabion_generation *generation;
    gabion_piece piece = {0};

    OK(gabion_session_new(model, NULL, &session));
    gabion_model_free(model);
    OK(gabion_generation_new(session, ids, 2, NULL, &generation));
    gabion_session_cancel(session);
    piece.struct_size = sizeof piece;
    OK(gabion_generation_next(generation, &piece)); /* the prompt's logits are there already */
    gabion_session_free(session);
    STATUS(GABION_ERROR_CANCELLED, gabion_generation_next(generation, &piece));
    gabion_generation_free(generation);
}

int main(int argc, char **argv) {
    gabion_model *model;
    gabion_session *session;
    uint32_t ids[256];
    char text[2048];
    size_t n;

    CHECK(argc == 2);
    OK(gabion_set_log_callback(on_log, GABION_LOG_TRACE, &log_lines));
    model = loading(argv[1]);
    describing(model);
    reading_and_writing(model);
    n = conversation(model, ids, 256);
    OK(gabion_session_new(model, NULL, &session));
    CHECK(gabion_session_n_ctx(session) == 256);
    low_level(session);
    saving(model, session);
    stepping(session, ids, n, text, sizeof text);
    with_a_callback(session, ids, n, text);
    gabion_session_free(session);
    logging(model);
    gabion_model_free(model);
    frees_in_any_order(argv[1]);
    puts("life: ok");
    return 0;
}
