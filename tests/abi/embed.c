/* Embedders: vectors, scores, masks, and every wrong argument. Usage: embed DECODER ENCODER CLASSIFIER MASKED */
#include "check.h"

#include <pthread.h>

#define N 32 /* elements of a vector */

static gabion_string string(const char *text) {
    gabion_string it;
    it.data = text;
    it.len = NUL;
    return it;
}

static gabion_embedder *embedder(const char *path, const gabion_embedder_options *options) {
    gabion_model *model = load(path);
    gabion_embedder *made = NULL;
    OK(gabion_embedder_new(model, options, &made));
    gabion_model_free(model); /* the embedder keeps what it needs */
    return made;
}

static gabion_embedder_options defaults(void) {
    gabion_embedder_options options;
    OK(gabion_embedder_options_init(&options, sizeof options));
    return options;
}

static double square(const float *vector, size_t n) {
    double sum = 0;
    while (n--) sum += (double)vector[n] * vector[n];
    return sum;
}

static int near(const float *a, const float *b, size_t n) {
    while (n--)
        if (a[n] - b[n] > 1e-4f || b[n] - a[n] > 1e-4f) return 0;
    return 1;
}

static void vectors(const char *path) {
    gabion_embedder *it = embedder(path, NULL);
    gabion_embedder_info info = {0};
    gabion_string texts[3];
    const uint32_t ids[4] = {2, 5, 6, 3}; /* [CLS] the cat [SEP] */
    float made[3 * N], one[N];
    size_t len = 0;

    texts[0] = string("the cat");
    texts[1] = string("a dog sat");
    texts[2] = string("");
    info.struct_size = sizeof info;
    OK(gabion_embedder_get_info(it, &info));
    CHECK(info.dimensions == N && info.max_tokens == 64 && info.batch_tokens >= 64 && info.bytes > 0);
    CHECK(info.task == GABION_TASK_EMBED && info.pooling == GABION_POOLING_MEAN && info.n_scores == 0);
    OK(gabion_embedder_embed(it, texts, 3, GABION_TEXT_PLAIN, NULL, 0, &len));
    CHECK(len == 3 * N);
    STATUS(GABION_TRUNCATED, gabion_embedder_embed(it, texts, 3, GABION_TEXT_PLAIN, made, 3 * N - 1, &len));
    CHECK(len == 3 * N);
    OK(gabion_embedder_embed(it, texts, 3, GABION_TEXT_PLAIN, made, 3 * N, &len));
    CHECK(len == 3 * N && square(made + N, N) > 0.9999 && square(made + N, N) < 1.0001 && !near(made, made + N, N));
    OK(gabion_embedder_embed_tokens(it, ids, 4, one, N, NULL));
    CHECK(near(made, one, N));
    gabion_embedder_cancel(it); /* nothing runs: dropped */
    OK(gabion_embedder_embed(it, texts, 1, GABION_TEXT_QUERY, one, N, NULL));
    CHECK(near(made, one, N));
    gabion_embedder_free(it);
}

static void choices(const char *path) {
    gabion_embedder_options options = defaults();
    gabion_embedder *it;
    gabion_string text = string("the cat sat"), prefixed = string("a the cat sat");
    float states[64 * N], one[N], other[N];
    size_t len = 0;

    options.pooling = GABION_POOLING_NONE;
    options.normalize = 0;
    it = embedder(path, &options);
    OK(gabion_embedder_embed(it, &text, 1, GABION_TEXT_PLAIN, states, 64 * N, &len));
    CHECK(len == 5 * N);
    gabion_embedder_free(it);

    options.pooling = GABION_POOLING_CLS;
    options.dimensions = 8;
    options.truncate = 1;
    options.max_tokens = 4;
    options.query_prefix = "a then what is not read";
    options.query_prefix_len = 2;
    it = embedder(path, &options);
    OK(gabion_embedder_embed(it, &text, 1, GABION_TEXT_QUERY, one, N, &len));
    OK(gabion_embedder_embed(it, &prefixed, 1, GABION_TEXT_DOCUMENT, other, N, NULL));
    CHECK(len == 8 && near(one, other, 8));
    OK(gabion_embedder_embed(it, &text, 1, GABION_TEXT_PLAIN, other, N, NULL));
    CHECK(!near(one, other, 8));
    gabion_embedder_free(it);
}

static void scores(const char *path) {
    gabion_embedder *it = embedder(path, NULL);
    gabion_embedder_info info = {0};
    gabion_string texts[2], seconds[2];
    float single[4], pairs[4], vectors[2 * N];
    char label[8];
    size_t len = 0;

    texts[0] = texts[1] = string("the cat");
    seconds[0] = string("a mat");
    seconds[1] = string("a dog");
    info.struct_size = sizeof info;
    OK(gabion_embedder_get_info(it, &info));
    CHECK(info.task == GABION_TASK_SCORE && info.n_scores == 2);
    OK(gabion_embedder_label(it, 1, label, sizeof label, &len));
    CHECK(len == 4 && !strcmp(label, "good"));
    STATUS(GABION_NOT_FOUND, gabion_embedder_label(it, 2, label, sizeof label, &len));
    OK(gabion_embedder_classify(it, texts, NULL, 2, single, 4, &len));
    CHECK(len == 4 && near(single, single + 2, 2));
    OK(gabion_embedder_classify(it, texts, seconds, 2, pairs, 4, NULL));
    CHECK(!near(pairs, pairs + 2, 2) && !near(single, pairs, 2));
    STATUS(GABION_TRUNCATED, gabion_embedder_classify(it, texts, seconds, 2, pairs, 3, &len));
    CHECK(len == 4);
    STATUS(GABION_ERROR_UNSUPPORTED, gabion_embedder_rerank(it, "the cat", NUL, seconds, 2, pairs));
    CHECK(strstr(gabion_last_error(), "2 labels"));
    STATUS(GABION_ERROR_UNSUPPORTED, gabion_embedder_embed(it, texts, 2, GABION_TEXT_PLAIN, vectors, 2 * N, NULL));
    gabion_embedder_free(it);
}

static void masks(const char *path) {
    gabion_embedder *it = embedder(path, NULL);
    gabion_guess guesses[6];
    size_t len = 0;

    OK(gabion_embedder_fill_mask(it, "the [MASK] on [MASK]", NUL, 3, guesses, 6, &len));
    CHECK(len == 6 && guesses[2].mask == 0 && guesses[3].mask == 1);
    CHECK(guesses[0].probability >= guesses[1].probability && guesses[0].probability <= 1 && guesses[0].token < 16);
    STATUS(GABION_TRUNCATED, gabion_embedder_fill_mask(it, "[MASK] [MASK]", NUL, 3, guesses, 5, &len));
    STATUS(INVALID, gabion_embedder_fill_mask(it, "no mask", NUL, 3, guesses, 6, &len));
    STATUS(INVALID, gabion_embedder_fill_mask(it, NULL, NUL, 3, guesses, 6, &len));
    STATUS(INVALID, gabion_embedder_fill_mask(NULL, "[MASK]", NUL, 3, guesses, 6, &len));
    gabion_embedder_free(it);
}

static void wrong(const char *decoder, const char *encoder) {
    gabion_embedder *it = (gabion_embedder *)&it;
    gabion_embedder_options options = defaults();
    gabion_embedder_info info = {0};
    gabion_session *session = NULL;
    gabion_model *model = load(decoder);
    gabion_string text = string("the cat sat on the mat"), broken = string("\xff");
    const uint32_t far = 99;
    float made[N];
    size_t len;

    gabion_embedder_free(NULL);
    gabion_embedder_cancel(NULL);
    STATUS(GABION_ERROR_UNSUPPORTED, gabion_embedder_new(model, NULL, &it));
    CHECK(it == NULL && strstr(gabion_last_error(), "llama.pooling_type"));
    gabion_model_free(model);
    model = load(encoder);
    STATUS(GABION_ERROR_UNSUPPORTED, gabion_session_new(model, NULL, &session));
    STATUS(INVALID, gabion_embedder_new(NULL, NULL, &it));
    STATUS(INVALID, gabion_embedder_new(model, NULL, NULL));
    STATUS(INVALID, gabion_embedder_options_init(NULL, sizeof options));
    STATUS(INVALID, gabion_embedder_options_init(&options, 8));
    options.pooling = 77;
    STATUS(INVALID, gabion_embedder_new(model, &options, &it));
    options = defaults();
    options.dimensions = N + 1;
    STATUS(INVALID, gabion_embedder_new(model, &options, &it));
    options = defaults();
    options.max_tokens = SIZE_MAX;
    STATUS(INVALID, gabion_embedder_new(model, &options, &it));
    options = defaults();
    options.query_prefix = "\xff";
    options.query_prefix_len = NUL;
    STATUS(INVALID, gabion_embedder_new(model, &options, &it));
    options = defaults();
    options.max_tokens = 4;
    OK(gabion_embedder_new(model, &options, &it));
    STATUS(INVALID, gabion_embedder_get_info(it, NULL));
    STATUS(INVALID, gabion_embedder_get_info(NULL, &info));
    STATUS(INVALID, gabion_embedder_get_info(it, &info)); /* struct_size 0 */
    STATUS(GABION_ERROR_CONTEXT_FULL, gabion_embedder_embed(it, &text, 1, GABION_TEXT_PLAIN, made, N, &len));
    STATUS(INVALID, gabion_embedder_embed(it, &broken, 1, GABION_TEXT_PLAIN, made, N, &len));
    STATUS(INVALID, gabion_embedder_embed(it, &text, 1, 77, made, N, &len));
    STATUS(INVALID, gabion_embedder_embed(it, NULL, 1, GABION_TEXT_PLAIN, made, N, &len));
    STATUS(INVALID, gabion_embedder_embed(it, NULL, 0, GABION_TEXT_PLAIN, made, N, &len));
    STATUS(INVALID, gabion_embedder_embed(NULL, &text, 1, GABION_TEXT_PLAIN, made, N, &len));
    STATUS(INVALID, gabion_embedder_embed_tokens(it, &far, 1, made, N, &len));
    STATUS(INVALID, gabion_embedder_embed_tokens(it, NULL, 0, made, N, &len));
    STATUS(INVALID, gabion_embedder_label(NULL, 0, NULL, 0, NULL));
    STATUS(GABION_ERROR_UNSUPPORTED, gabion_embedder_rerank(it, "the", NUL, &text, 1, made));
    STATUS(INVALID, gabion_embedder_rerank(it, "the", NUL, &text, 1, NULL));
    STATUS(GABION_ERROR_UNSUPPORTED, gabion_embedder_classify(it, &text, NULL, 1, made, N, &len));
    STATUS(GABION_ERROR_UNSUPPORTED, gabion_embedder_fill_mask(it, "[MASK]", NUL, 1, NULL, 0, &len));
    CHECK(strstr(gabion_last_error(), "mlm.dense.weight"));
    gabion_embedder_free(it);
    gabion_model_free(model);
}

/* Many texts, until another thread stops them or they are done. */
static void *canceller(void *it) {
    int i;
    for (i = 0; i < 1000; ++i) gabion_embedder_cancel(it);
    return NULL;
}

static void threads(const char *path) {
    enum { MANY = 500 };
    gabion_embedder *it = embedder(path, NULL);
    static gabion_string texts[MANY];
    static float made[MANY * N];
    pthread_t thread;
    gabion_status status;
    int i;

    for (i = 0; i < MANY; ++i) texts[i] = string("the cat sat on the mat on the dog");
    CHECK(pthread_create(&thread, NULL, canceller, it) == 0);
    status = gabion_embedder_embed(it, texts, MANY, GABION_TEXT_PLAIN, made, MANY * N, NULL);
    CHECK(status == GABION_OK || status == GABION_ERROR_CANCELLED);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(gabion_embedder_embed(it, texts, 1, GABION_TEXT_PLAIN, made, N, NULL));
    gabion_embedder_free(it);
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    vectors(argv[2]);
    choices(argv[2]);
    scores(argv[3]);
    masks(argv[4]);
    wrong(argv[1], argv[2]);
    threads(argv[2]);
    puts("embed: ok");
    return 0;
}
