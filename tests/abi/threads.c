/* Threads within the contract and against it. Usage: threads MODEL */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>

enum { THREADS = 4, CALLS = 50 };

static const uint32_t PROMPT[3] = {1, 2, 3};

static gabion_session *new_session(const gabion_model *model) {
    gabion_session *session = NULL;
    OK(gabion_session_new(model, NULL, &session));
    return session;
}

/* A generation whose callback stops at the second piece, until another thread has done its work. */
typedef struct {
    gabion_session *session;
    pthread_barrier_t reached, go_on;
    int pieces;
} meeting;

static bool meet(const gabion_piece *piece, void *user_data) {
    meeting *it = user_data;
    (void)piece;
    if (++it->pieces == 2) {
        pthread_barrier_wait(&it->reached);
        pthread_barrier_wait(&it->go_on);
    }
    return it->pieces < 6;
}

static void *generate(void *arg) {
    meeting *it = arg;
    gabion_generate_options options;
    OK(gabion_generate_options_init(&options, sizeof options));
    options.ignore_eog = 1;
    return (void *)(intptr_t)gabion_session_generate(it->session, PROMPT, 3, &options, meet, it, NULL);
}

/* Runs `during` while a generation is in the middle of its callback; the status the generation ended with. */
static gabion_status while_generating(gabion_session *session, void (*during)(gabion_session *)) {
    meeting it = {0};
    pthread_t thread;
    void *status;

    it.session = session;
    pthread_barrier_init(&it.reached, NULL, 2);
    pthread_barrier_init(&it.go_on, NULL, 2);
    CHECK(pthread_create(&thread, NULL, generate, &it) == 0);
    pthread_barrier_wait(&it.reached);
    during(session);
    pthread_barrier_wait(&it.go_on);
    pthread_join(thread, &status);
    pthread_barrier_destroy(&it.reached);
    pthread_barrier_destroy(&it.go_on);
    return (gabion_status)(intptr_t)status;
}

static void everything_is_busy(gabion_session *session) {
    gabion_generation *generation;
    gabion_session *fork;
    const uint32_t *tokens;
    const float *logits;
    uint8_t *saved;
    float nll[2];
    size_t n;

    STATUS(GABION_ERROR_BUSY, gabion_session_sync(session, PROMPT, 3, NULL, NULL));
    STATUS(GABION_ERROR_BUSY, gabion_session_step(session, 1));
    STATUS(GABION_ERROR_BUSY, gabion_session_clear(session));
    STATUS(GABION_ERROR_BUSY, gabion_session_save(session, &saved, &n));
    STATUS(GABION_ERROR_BUSY, gabion_session_restore(session, (const uint8_t *)PROMPT, 4));
    STATUS(GABION_ERROR_BUSY, gabion_session_fork(session, &fork));
    STATUS(GABION_ERROR_BUSY, gabion_session_score(session, PROMPT, 3, nll, 2));
    STATUS(GABION_ERROR_BUSY, gabion_session_tokens(session, &tokens, &n));
    STATUS(GABION_ERROR_BUSY, gabion_session_logits(session, &logits, &n));
    STATUS(GABION_ERROR_BUSY, gabion_generation_new(session, PROMPT, 3, NULL, &generation));
    STATUS(GABION_ERROR_BUSY, gabion_session_generate(session, PROMPT, 3, NULL, NULL, NULL, NULL));
    CHECK(gabion_session_n_ctx(session) > 0);
}

static void cancel(gabion_session *session) { gabion_session_cancel(session); }

/* Many threads at one session without any order: each call works or is told that it is busy. */
typedef struct {
    gabion_session *session;
    int ok, busy;
} collision;

static void *collide(void *arg) {
    collision *it = arg;
    int i;
    for (i = 0; i < CALLS; ++i) {
        gabion_status status = i % 3 == 0   ? gabion_session_clear(it->session)
                               : i % 3 == 1 ? gabion_session_sync(it->session, PROMPT, 3, NULL, NULL)
                                            : gabion_session_step(it->session, 4);
        if (i % 7 == 0) gabion_session_cancel(it->session);
        if (status == GABION_OK || status == GABION_ERROR_CANCELLED || status == GABION_ERROR_CONTEXT_FULL)
            ++it->ok;
        else {
            CHECK(status == GABION_ERROR_BUSY && strstr(gabion_last_error(), "busy"));
            ++it->busy;
        }
    }
    return NULL;
}

static void collisions(const gabion_model *model) {
    gabion_session *session = new_session(model);
    pthread_t threads[THREADS];
    collision each[THREADS];
    int i, ok = 0, busy = 0;

    for (i = 0; i < THREADS; ++i) {
        each[i].session = session;
        each[i].ok = each[i].busy = 0;
        CHECK(pthread_create(&threads[i], NULL, collide, &each[i]) == 0);
    }
    for (i = 0; i < THREADS; ++i) {
        pthread_join(threads[i], NULL);
        ok += each[i].ok;
        busy += each[i].busy;
    }
    CHECK(ok > 0 && ok + busy == THREADS * CALLS);
    OK(gabion_session_clear(session));
    OK(gabion_session_sync(session, PROMPT, 3, NULL, NULL));
    gabion_session_free(session);
}

/* One model, a session for each thread: all get the same. */
typedef struct {
    const gabion_model *model;
    uint32_t tokens[32];
    size_t n;
} parallel;

static bool keep(const gabion_piece *piece, void *user_data) {
    parallel *it = user_data;
    if (piece->token != GABION_NO_TOKEN) it->tokens[it->n++] = piece->token;
    return it->n < 32;
}

static void *run_alone(void *arg) {
    parallel *it = arg;
    gabion_session *session = new_session(it->model);
    gabion_generate_options options;
    OK(gabion_generate_options_init(&options, sizeof options));
    options.ignore_eog = 1;
    options.seed = 5;
    OK(gabion_session_generate(session, PROMPT, 3, &options, keep, it, NULL));
    gabion_session_free(session);
    return NULL;
}

static void in_parallel(const gabion_model *model) {
    static parallel each[THREADS];
    pthread_t threads[THREADS];
    int i;

    for (i = 0; i < THREADS; ++i) {
        each[i].model = model;
        CHECK(pthread_create(&threads[i], NULL, run_alone, &each[i]) == 0);
    }
    for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
    for (i = 0; i < THREADS; ++i)
        CHECK(each[i].n == 32 && memcmp(each[i].tokens, each[0].tokens, sizeof each[0].tokens) == 0);
}

/* Errors belong to the thread that made them. */
static void *fail(void *arg) {
    (void)arg;
    CHECK(!*gabion_last_error());
    STATUS(INVALID, gabion_session_step(NULL, 1));
    CHECK(strstr(gabion_last_error(), "session"));
    return NULL;
}

/* An object may move between threads, one at a time. */
static void *next(void *arg) {
    gabion_piece piece = {0};
    piece.struct_size = sizeof piece;
    OK(gabion_generation_next(arg, &piece));
    return NULL;
}

static void *end(void *arg) {
    gabion_generation_free(arg);
    return NULL;
}

static void elsewhere(void *(*body)(void *), void *arg) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, arg) == 0);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    gabion_model *model;
    gabion_session *session;
    gabion_generation *generation;

    CHECK(argc == 2);
    model = load(argv[1]);
    session = new_session(model);
    STATUS(GABION_OK, while_generating(session, everything_is_busy));
    STATUS(GABION_ERROR_CANCELLED, while_generating(session, cancel));
    OK(gabion_session_sync(session, PROMPT, 3, NULL, NULL));

    OK(gabion_generation_new(session, PROMPT, 3, NULL, &generation));
    elsewhere(next, generation);
    elsewhere(end, generation);
    OK(gabion_session_clear(session));
    gabion_session_free(session);

    collisions(model);
    in_parallel(model);
    STATUS(INVALID, gabion_model_get_info(model, NULL));
    elsewhere(fail, NULL);
    CHECK(strstr(gabion_last_error(), "info"));
    gabion_model_free(model);
    puts("threads: ok");
    return 0;
}
