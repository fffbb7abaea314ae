/* Answers one question with a model's chat template, streaming; Ctrl-C ends the answer.
 *
 *     cc -std=c99 chat.c -o chat $(pkg-config --cflags --libs gabion)
 *     ./chat model.gguf "Why is the sky blue?" [DEVICE [MAX_TOKENS]]
 */
#include <gabion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static gabion_session *session;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    gabion_session_cancel(session);
}

static bool on_progress(uint64_t loaded, uint64_t total, void *user_data) {
    (void)user_data;
    fprintf(stderr, "\rloading %3.0f %%", total ? 100.0 * (double)loaded / (double)total : 100.0);
    return true;
}

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, gabion_last_error());
    return 1;
}

static gabion_model *load(const char *path, const char *device) {
    gabion_runtime_options runtime_options;
    gabion_model_options model_options;
    gabion_runtime *runtime = NULL;
    gabion_model *model = NULL;

    gabion_runtime_options_init(&runtime_options, sizeof runtime_options);
    runtime_options.device = device;
    gabion_model_options_init(&model_options, sizeof model_options);
    model_options.progress = on_progress;
    if (gabion_runtime_new(&runtime_options, &runtime) == GABION_OK)
        gabion_model_open(runtime, path, GABION_NUL_TERMINATED, &model_options, &model);
    gabion_runtime_free(runtime); /* the model keeps what it needs of it */
    return model;
}

/* Writes the prompt's tokens: through the chat template, or as plain text where the model has none. */
static gabion_status prompt_tokens(const gabion_model *model, const char *text, uint32_t *tokens, size_t capacity,
                                   size_t *n_tokens) {
    gabion_model_info info = {0};
    gabion_message message = {0};

    info.struct_size = sizeof info;
    gabion_model_get_info(model, &info);
    fprintf(stderr, "\r%s\n", info.description);
    if (!info.has_chat_template)
        return gabion_model_tokenize(model, text, GABION_NUL_TERMINATED, true, false, tokens, capacity, n_tokens);
    message.struct_size = sizeof message;
    message.role = "user";
    message.role_len = GABION_NUL_TERMINATED;
    message.content = text;
    message.content_len = GABION_NUL_TERMINATED;
    return gabion_model_chat_tokens(model, &message, 1, NULL, tokens, capacity, n_tokens);
}

static int answer(const uint32_t *tokens, size_t n_tokens, int64_t max_tokens) {
    gabion_generate_options options;
    gabion_generation *generation;
    gabion_piece piece = {0};
    gabion_status status;

    gabion_generate_options_init(&options, sizeof options);
    options.max_tokens = max_tokens;
    status = gabion_generation_new(session, tokens, n_tokens, &options, &generation);
    piece.struct_size = sizeof piece;
    while (status == GABION_OK && (status = gabion_generation_next(generation, &piece)) == GABION_OK) {
        fwrite(piece.text, 1, piece.text_len, stdout);
        fflush(stdout);
    }
    gabion_generation_free(generation);
    puts(status == GABION_ERROR_CANCELLED ? " [cancelled]" : "");
    return status < 0 && status != GABION_ERROR_CANCELLED ? failed("generating") : 0;
}

int main(int argc, char **argv) {
    uint32_t tokens[4096];
    size_t n_tokens;
    gabion_model *model;
    int result;

    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.gguf PROMPT [DEVICE [MAX_TOKENS]]\n", argv[0]);
        return 2;
    }
    model = load(argv[1], argc > 3 ? argv[3] : "auto");
    if (!model) return failed(argv[1]);
    if (gabion_session_new(model, NULL, &session) != GABION_OK)
        result = failed("session");
    else if (prompt_tokens(model, argv[2], tokens, sizeof tokens / sizeof *tokens, &n_tokens) != GABION_OK)
        result = failed("prompt");
    else {
        signal(SIGINT, on_interrupt);
        result = answer(tokens, n_tokens, argc > 4 ? atol(argv[4]) : -1);
        signal(SIGINT, SIG_DFL);
    }
    gabion_session_free(session);
    gabion_model_free(model);
    return result;
}
