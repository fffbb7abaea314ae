/*
 * gabion: run GGUF language models on the CPU and on any GPU.
 *
 * Generated from bindings/c/src by `GABION_BLESS=1 cargo test -p gabion-c`: do not edit. What is not here is not API.
 *
 * Example: print a model's answer as it comes. (examples/c/chat.c is a whole program.)
 *
 *     gabion_runtime *runtime;
 *     gabion_model *model;
 *     gabion_session *session;
 *     if (gabion_runtime_new(NULL, &runtime) != GABION_OK ||
 *         gabion_model_open(runtime, "model.gguf", GABION_NUL_TERMINATED, NULL, &model) != GABION_OK ||
 *         gabion_session_new(model, NULL, &session) != GABION_OK) {
 *         fprintf(stderr, "%s\n", gabion_last_error());
 *         return 1;
 *     }
 *
 *     gabion_message message = {0};
 *     message.struct_size = sizeof message;
 *     message.role = "user";
 *     message.role_len = GABION_NUL_TERMINATED;
 *     message.content = "Why is the sky blue?";
 *     message.content_len = GABION_NUL_TERMINATED;
 *     uint32_t tokens[1024];
 *     size_t n_tokens;
 *     if (gabion_model_chat_tokens(model, &message, 1, NULL, tokens, 1024, &n_tokens) != GABION_OK) ...
 *
 *     gabion_generation *generation;
 *     gabion_piece piece = {0};
 *     piece.struct_size = sizeof piece;
 *     gabion_generation_new(session, tokens, n_tokens, NULL, &generation);
 *     while (gabion_generation_next(generation, &piece) == GABION_OK) {
 *         fputs(piece.text, stdout);
 *         fflush(stdout);
 *     }
 *     gabion_generation_free(generation);
 *     gabion_session_free(session);
 *     gabion_model_free(model);
 *     gabion_runtime_free(runtime);
 *
 * Errors. A gabion_status is 0 for success, negative for an error, positive for success with something to notice.
 * gabion_last_error() has the text of the last error on the calling thread. A call that fails gives no object and, where
 * its description does not say otherwise, changes nothing. No call aborts, exits, prints or throws.
 *
 * Objects. A runtime (a device) loads models, a model makes sessions, a session makes generations. Each is freed by its
 * own _free function, in any order: what is still needed lives on. A pointer that is neither NULL nor a living object of
 * its type is the one mistake that is not detected.
 *
 * Threads. Any thread may call anything. What is taken by `const *` may be used by several threads at once, what is taken
 * by `*` only by one at a time; a second one gets GABION_ERROR_BUSY. The last error is each thread's own. Callbacks run on
 * the thread that makes the call they were given to, except the log callback. They must not throw and not longjmp; inside
 * one, its session is busy.
 *
 * Structs. A struct that begins with `struct_size` can grow: set it to the sizeof that your header gives. The library fills
 * in the defaults of fields that you do not know, and ignores fields that it does not know. Start from the matching _init
 * function where there is one, from zeros where there is none.
 *
 * Text in: UTF-8 at a pointer, with its length in bytes, or GABION_NUL_TERMINATED.
 * Text out: into your buffer of `capacity` bytes, NUL included, cut at a whole character if it does not fit (that is
 * GABION_TRUNCATED); `*len` is always the whole length without the NUL. A NULL buffer only asks for the length. Arrays out
 * work the same, without NUL. `len` may be NULL.
 */


#ifndef GABION_H
#define GABION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && !defined(GABION_STATIC)
#define GABION_API __declspec(dllimport)
#else
#define GABION_API
#endif

/// The length of a string that ends with a NUL.
#define GABION_NUL_TERMINATED SIZE_MAX

/// The version of this interface. It grows only when programs built against an older header could no longer run.
#define GABION_ABI_VERSION 0

/// It worked.
#define GABION_OK 0

/// There is nothing more to come.
#define GABION_DONE 1

/// It worked, but the buffer holds only the start of the result.
#define GABION_TRUNCATED 2

/// There is no such thing.
#define GABION_NOT_FOUND 3

/// An argument is outside what the function documents.
#define GABION_ERROR_INVALID_ARGUMENT -1

/// Reading a file failed.
#define GABION_ERROR_IO -2

/// The file is not a GGUF file that can be trusted.
#define GABION_ERROR_GGUF -3

/// The file is sound but holds something this version cannot run.
#define GABION_ERROR_UNSUPPORTED -4

/// The model's tensors or hyperparameters contradict each other.
#define GABION_ERROR_MODEL -5

/// The tokenizer's data is missing or broken, or its kind unknown.
#define GABION_ERROR_TOKENIZER -6

/// The chat template is missing, failed or exceeded its limits.
#define GABION_ERROR_TEMPLATE -7

/// No device of that name, or it cannot be used.
#define GABION_ERROR_DEVICE -8

/// The device was lost. Make a new runtime and load the model again; a session's tokens are enough to rebuild it.
#define GABION_ERROR_DEVICE_LOST -9

/// Memory could not be had; the error text says how much.
#define GABION_ERROR_OUT_OF_MEMORY -10

/// The session's context is full.
#define GABION_ERROR_CONTEXT_FULL -11

/// Cancelled by the caller.
#define GABION_ERROR_CANCELLED -12

/// A defect in gabion itself. The object that was used refuses to work from then on; free it.
#define GABION_ERROR_INTERNAL -13

/// The object is in use: by another thread, by a generation that is not freed, or by the call this callback runs in.
#define GABION_ERROR_BUSY -14

/// No messages.
#define GABION_LOG_OFF 0

/// What went wrong.
#define GABION_LOG_ERROR 1

/// What may not be what you want.
#define GABION_LOG_WARN 2

/// What was chosen.
#define GABION_LOG_INFO 3

/// What is going on.
#define GABION_LOG_DEBUG 4

/// Everything.
#define GABION_LOG_TRACE 5

/// gabion's own CPU path.
#define GABION_DEVICE_CPU 0

/// A hardware GPU.
#define GABION_DEVICE_GPU 1

/// A GPU interface implemented on the CPU. Never chosen by "auto": the CPU path is much faster.
#define GABION_DEVICE_SOFTWARE 2

/// The form that the model's family defines.
#define GABION_GELU_DEFAULT 0

/// The tanh approximation.
#define GABION_GELU_TANH 1

/// The exact function.
#define GABION_GELU_ERF 2

/// What suits the model: f16, or f32 where it was loaded `exact`.
#define GABION_KV_DEFAULT 0

/// IEEE half.
#define GABION_KV_F16 1

/// Float32.
#define GABION_KV_F32 2

/// 8 bits with a scale for 32 elements.
#define GABION_KV_Q8_0 3

/// 4 bits with a scale for 32 elements.
#define GABION_KV_Q4_0 4

/// Generation has not ended, or a callback ended it.
#define GABION_STOP_NONE 0

/// The model ended its turn.
#define GABION_STOP_EOG 1

/// A stop string was produced.
#define GABION_STOP_STRING 2

/// `max_tokens` were generated.
#define GABION_STOP_MAX_TOKENS 3

/// The context is full.
#define GABION_STOP_CONTEXT 4

/// No token: the piece only brings text that was held back.
#define GABION_NO_TOKEN UINT32_MAX

/// What the file says, or else the mean.
#define GABION_POOLING_DEFAULT 0

/// Every token's state, one after another.
#define GABION_POOLING_NONE 1

/// The mean of all tokens' states.
#define GABION_POOLING_MEAN 2

/// The first token's state.
#define GABION_POOLING_CLS 3

/// The last token's state.
#define GABION_POOLING_LAST 4

/// A text without a prefix.
#define GABION_TEXT_PLAIN 0

/// What is searched for: with the options' query_prefix.
#define GABION_TEXT_QUERY 1

/// What is searched: with the options' document_prefix.
#define GABION_TEXT_DOCUMENT 2

/// The model's outputs are tokens' states, of which vectors are made.
#define GABION_TASK_EMBED 1

/// They are scores of texts or of pairs, one for each label.
#define GABION_TASK_SCORE 2

/// They are logits of masked tokens.
#define GABION_TASK_FILL 3

/// Runs whole texts, several in one pass. It keeps what it needs of the model.
///
/// Threads: one at a time, any thread. A call that comes while another one runs does nothing and returns GABION_ERROR_BUSY.
/// gabion_embedder_cancel may be called at any time from any thread. Freeing it while another thread uses it is an error that
/// cannot be detected.
typedef struct gabion_embedder gabion_embedder;

/// What a model file holds, and what loading it and one session would take on a device. Nothing of it is loaded.
///
/// Threads: immutable; any number of threads may use it at once.
typedef struct gabion_fit gabion_fit;

/// A running generation. It has its session to itself until it is freed; the session keeps the tokens that were generated.
///
/// Threads: one at a time, any thread; a call that comes while another one runs returns GABION_ERROR_BUSY. To stop it from
/// another thread, cancel its session.
typedef struct gabion_generation gabion_generation;

/// A loaded model.
///
/// Threads: immutable; any number of threads may use it at once. Sessions keep what they need of it, so it may be freed
/// before them.
typedef struct gabion_model gabion_model;

/// A device, with everything that models on it share.
///
/// Threads: immutable; any number of threads may use it at once. Models keep what they need of it, so it may be freed
/// before them.
typedef struct gabion_runtime gabion_runtime;

/// One timeline of tokens over a model: its cache and its logits. It keeps what it needs of the model.
///
/// Threads: one at a time, any thread. A call that comes while another one runs, or while a generation of this session is
/// not freed, does nothing and returns GABION_ERROR_BUSY. gabion_session_cancel may be called at any time from any thread.
/// Freeing it while another thread uses it is an error that cannot be detected.
typedef struct gabion_session gabion_session;

/// What a call came to: 0 is success, negative is an error, positive is success with something to notice.
typedef int32_t gabion_status;

/// Gets a message: one line without its newline, NUL-terminated, alive during the call. Comes from any thread, from
/// several at once. It must not call gabion.
typedef void (*gabion_log_fn)(int32_t level, const char *target, const char *message, void *user_data);

/// What a device is. The strings are NUL-terminated and live as long as what they were asked of.
typedef struct {
    /// sizeof(gabion_device_info); set it before the call.
    size_t struct_size;
    /// GABION_DEVICE_*
    int32_t kind;
    /// Its name.
    const char *name;
    /// "cpu", "vulkan", "metal" or "dx12".
    const char *backend;
    /// Driver, where there is one.
    const char *driver;
    /// Threads that compute; 0 on a GPU.
    size_t threads;
} gabion_device_info;

/// Gets one device; what `info` points to lives during the call. Returns false to stop.
typedef bool (*gabion_device_fn)(const gabion_device_info *info, void *user_data);

/// How to choose a device.
typedef struct {
    /// sizeof(gabion_runtime_options)
    size_t struct_size;
    /// "auto": a hardware GPU, else the CPU. "cpu". "gpu": the best adapter. Anything else: the first adapter whose name
    /// contains it, ignoring case. NULL is "auto".
    const char *device;
    /// Bytes of `device`, or GABION_NUL_TERMINATED.
    size_t device_len;
    /// Threads of the CPU device; 0 for one per core.
    size_t threads;
    /// Kernels of a GPU, e.g. "base": what every adapter can run. NULL: the best that pays on the adapter. For comparing; an
    /// adapter without what the level needs is GABION_ERROR_DEVICE, and the CPU ignores it.
    const char *level;
    /// Bytes of `level`, or GABION_NUL_TERMINATED.
    size_t level_len;
} gabion_runtime_options;

/// Called while loading, on the thread that loads. Returns false to cancel: loading then ends with
/// GABION_ERROR_CANCELLED.
typedef bool (*gabion_progress_fn)(uint64_t loaded_bytes, uint64_t total_bytes, void *user_data);

/// How to load a model.
typedef struct {
    /// sizeof(gabion_model_options)
    size_t struct_size;
    /// Not 0: keep activations in float32 and default to a float32 cache. Slower, the same on every device.
    uint32_t exact;
    /// Called while loading; may be NULL.
    gabion_progress_fn progress;
    /// Handed to `progress`.
    void *progress_user_data;
    /// Which GELU to compute with: GABION_GELU_*. A file does not tell which one its model was trained with; the default is
    /// what the models of its family define. llama.cpp computes the tanh form for all: for its numbers, take that.
    int32_t gelu;
} gabion_model_options;

/// What a model is. The strings are NUL-terminated and live as long as the model.
typedef struct {
    /// sizeof(gabion_model_info); set it before the call.
    size_t struct_size;
    /// The family, e.g. "llama".
    const char *architecture;
    /// The name its file gives it; may be "".
    const char *name;
    /// One line for people: name, family, layers and size.
    const char *description;
    /// Size of the vocabulary: the number of logits.
    size_t n_vocab;
    /// The context length it was trained for, in tokens.
    size_t n_ctx_train;
    /// Width of the residual stream.
    size_t n_embd;
    /// Blocks.
    size_t n_layer;
    /// Bytes of weights on the device.
    uint64_t weight_bytes;
    /// 1 if the file has a tokenizer, else 0: then only token ids go in and come out.
    uint32_t has_tokenizer;
    /// 1 if the file has a chat template, else 0.
    uint32_t has_chat_template;
} gabion_model_info;

/// How to turn a conversation into tokens.
typedef struct {
    /// sizeof(gabion_chat_options)
    size_t struct_size;
    /// Not 0 (the default): end with the start of the assistant's turn, ready to generate it.
    uint32_t add_generation_prompt;
} gabion_chat_options;

/// One message of a conversation.
typedef struct {
    /// sizeof(gabion_message); the same in all elements of an array.
    size_t struct_size;
    /// "system", "user", "assistant", or what else the model's template knows.
    const char *role;
    /// Bytes of `role`, or GABION_NUL_TERMINATED.
    size_t role_len;
    /// The text.
    const char *content;
    /// Bytes of `content`, or GABION_NUL_TERMINATED.
    size_t content_len;
} gabion_message;

/// How large a session is.
typedef struct {
    /// sizeof(gabion_session_options)
    size_t struct_size;
    /// Tokens that fit; 0 for the smaller of 4096 and what the model was trained for.
    size_t n_ctx;
    /// Tokens computed at once; 0 for what the device prefers.
    size_t n_batch;
    /// Element type of the cache: GABION_KV_*.
    int32_t kv_type;
} gabion_session_options;

/// How the model would be loaded and used.
typedef struct {
    /// sizeof(gabion_fit_options)
    size_t struct_size;
    /// As in gabion_model_options.
    uint32_t exact;
    /// As in gabion_session_options.
    int32_t kv_type;
    /// As in gabion_session_options.
    size_t n_ctx;
    /// As in gabion_session_options.
    size_t n_batch;
    /// Bytes that it may take; 0 for what the device says it has: Linux what is free, Vulkan all of a GPU's.
    uint64_t memory_limit;
    /// As in gabion_model_options.
    int32_t gelu;
} gabion_fit_options;

/// What a model is and takes. The strings are NUL-terminated and live as long as the gabion_fit.
typedef struct {
    /// sizeof(gabion_fit_info); set it before the call.
    size_t struct_size;
    /// The family, e.g. "llama".
    const char *architecture;
    /// The name its file gives it; may be "".
    const char *name;
    /// The kind of its tokenizer, e.g. "gpt2"; "" if it has none.
    const char *tokenizer;
    /// Why it does not fit; "" if it does.
    const char *problem;
    /// Elements of all tensors.
    uint64_t n_parameters;
    /// Bytes of all tensors in the file.
    uint64_t tensor_bytes;
    /// Bits of the file per element.
    double bits_per_weight;
    /// The context length it was trained for, in tokens.
    size_t n_ctx_train;
    /// Tokens of its vocabulary.
    size_t n_vocab;
    /// Width of the residual stream.
    size_t n_embd;
    /// Blocks.
    size_t n_layer;
    /// Bytes that its weights will take.
    uint64_t weight_bytes;
    /// Bytes of the session's cache.
    uint64_t kv_bytes;
    /// Bytes of the session's activations, logits and tables.
    uint64_t scratch_bytes;
    /// Bytes that it may take: the option's, or what the device says it has; 0 where it does not.
    uint64_t memory_limit;
    /// Most bytes of one buffer of the device; 0 where there is no such limit.
    uint64_t buffer_limit;
    /// Tokens of the session's context.
    size_t n_ctx;
    /// Most tokens computed at once.
    size_t n_batch;
    /// The longest context that fits, up to n_ctx_train or what was asked for; 0 if none does.
    size_t max_n_ctx;
    /// GABION_KV_*, of the session's cache.
    int32_t kv_type;
    /// 1 if the file has a chat template, else 0.
    uint32_t has_chat_template;
    /// 1 if it fits, else 0.
    uint32_t fits;
} gabion_fit_info;

/// A string: `len` bytes, or GABION_NUL_TERMINATED.
typedef struct {
    /// UTF-8.
    const char *data;
    /// Bytes.
    size_t len;
} gabion_string;

/// How to generate.
typedef struct {
    /// sizeof(gabion_generate_options)
    size_t struct_size;
    /// Most tokens to generate; negative (the default) until the context is full.
    int64_t max_tokens;
    /// Start of the random sequence: the same seed gives the same text. Default 0.
    uint64_t seed;
    /// Divides the logits; 0 or less picks the most likely token. Default 0.8.
    float temperature;
    /// Keeps the fewest tokens whose probabilities reach this sum; 1 or more keeps all. Default 0.95.
    float top_p;
    /// Drops tokens less likely than this times the most likely one; 0 keeps all. Default 0.05.
    float min_p;
    /// Keeps the k most likely tokens; 0 keeps all. Default 40.
    uint32_t top_k;
    /// Texts that end generation and are not part of the output; at most 64 of 1 to 4096 bytes. Default none.
    const gabion_string *stop;
    /// How many stop strings.
    size_t n_stop;
    /// Not 0: go on past end-of-generation tokens. Default 0.
    uint32_t ignore_eog;
    /// How many of the most likely tokens to report at each step; 0 (the default) reports no log-probabilities at all.
    uint32_t logprobs;
} gabion_generate_options;

/// A token and its log-probability.
typedef struct {
    /// Token id.
    uint32_t token;
    /// ln p under the model, before sampling options.
    float logprob;
} gabion_token_logprob;

/// One step of a generation. What it points to is valid until the next call that is given the generation, or until the
/// callback it was given to returns.
typedef struct {
    /// sizeof(gabion_piece); set it before the call.
    size_t struct_size;
    /// Text that is certain now: whole characters, NUL-terminated, no part of a stop string. May be empty, and may belong
    /// to earlier tokens.
    const char *text;
    /// Its bytes, without the NUL.
    size_t text_len;
    /// The token of this step, or GABION_NO_TOKEN.
    uint32_t token;
    /// Its log-probability under the model, before sampling options; NaN unless `logprobs` were asked for.
    float logprob;
    /// The most likely tokens of this step, most likely first.
    const gabion_token_logprob *top;
    /// How many.
    size_t n_top;
} gabion_piece;

/// How far a generation is.
typedef struct {
    /// sizeof(gabion_generation_info); set it before the call.
    size_t struct_size;
    /// Why it ended: GABION_STOP_*.
    int32_t stop_reason;
    /// Tokens generated so far.
    size_t n_generated;
    /// Prompt tokens that the session had already computed.
    size_t n_reused;
    /// Prompt tokens that were computed.
    size_t n_computed;
} gabion_generation_info;

/// Gets each piece, on the thread that generates. Returns false to stop. It must not use the session, which is busy, other
/// than to cancel it.
typedef bool (*gabion_piece_fn)(const gabion_piece *piece, void *user_data);

/// What an embedder makes of texts.
typedef struct {
    /// sizeof(gabion_embedder_options)
    size_t struct_size;
    /// Tokens of the longest text; 0 for the smaller of 512 and what the model was trained for.
    size_t max_tokens;
    /// Tokens that go through the model at once, of as many texts as fit; 0 for what the device prefers. At least max_tokens.
    size_t batch_tokens;
    /// Elements of a vector to keep, from the first on (models trained by Matryoshka losses allow it); 0 for all.
    size_t dimensions;
    /// How tokens' states become a vector: GABION_POOLING_*.
    int32_t pooling;
    /// Not 0 (the default): vectors have length 1.
    uint32_t normalize;
    /// Not 0: longer texts are cut, but for their last token (of a pair, its second text). 0, the default: they are
    /// GABION_ERROR_CONTEXT_FULL.
    uint32_t truncate;
    /// Put before texts of GABION_TEXT_QUERY, as the model's makers ask for; NULL for nothing. Copied.
    const char *query_prefix;
    /// Bytes of `query_prefix`, or GABION_NUL_TERMINATED.
    size_t query_prefix_len;
    /// Put before texts of GABION_TEXT_DOCUMENT; NULL for nothing. Copied.
    const char *document_prefix;
    /// Bytes of `document_prefix`, or GABION_NUL_TERMINATED.
    size_t document_prefix_len;
} gabion_embedder_options;

/// What an embedder is.
typedef struct {
    /// sizeof(gabion_embedder_info); set it before the call.
    size_t struct_size;
    /// Tokens of the longest text.
    size_t max_tokens;
    /// Most tokens that go through the model at once.
    size_t batch_tokens;
    /// Elements of a vector; with GABION_POOLING_NONE, of each token's.
    size_t dimensions;
    /// Scores of a text; 0 where the model gives none.
    size_t n_scores;
    /// Bytes of activations and tables on the device.
    uint64_t bytes;
    /// What the model is for: GABION_TASK_*.
    int32_t task;
    /// GABION_POOLING_*, of vectors.
    int32_t pooling;
} gabion_embedder_info;

/// A guess at a masked token.
typedef struct {
    /// Which mask of the text, from 0.
    uint32_t mask;
    /// The token; gabion_model_token_text has its text.
    uint32_t token;
    /// Its probability.
    float probability;
} gabion_guess;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The version of the library, "major.minor.patch". Never NULL; lives as long as the library.
GABION_API const char *gabion_version(void);

/// The interface version of the library: a program compares it with GABION_ABI_VERSION at its start.
GABION_API uint32_t gabion_abi_version(void);

/// The text of the last error on this thread, or "". Never NULL. Valid until the next call that fails on this thread.
GABION_API const char *gabion_last_error(void);

/// Sends log messages up to `level` (GABION_LOG_*) to `callback`; NULL or GABION_LOG_OFF ends that. When this returns, the
/// callback given before is no longer running, so what its `user_data` points to may be freed.
GABION_API
gabion_status gabion_set_log_callback(gabion_log_fn callback,
                                      int32_t level,
                                      void *user_data);

/// Tells every device of this machine, the CPU first.
GABION_API gabion_status gabion_devices(gabion_device_fn callback, void *user_data);

/// Writes the defaults into `options`, whose size is `struct_size`.
GABION_API gabion_status gabion_runtime_options_init(gabion_runtime_options *options, size_t struct_size);

/// Opens a device. `options` may be NULL.
GABION_API gabion_status gabion_runtime_new(const gabion_runtime_options *options, gabion_runtime **runtime);

/// Frees a runtime. NULL is a no-op.
GABION_API void gabion_runtime_free(gabion_runtime *runtime);

/// Describes the device. The strings live as long as the runtime.
GABION_API gabion_status gabion_runtime_get_info(const gabion_runtime *runtime, gabion_device_info *info);

/// Writes the defaults into `options`, whose size is `struct_size`.
GABION_API gabion_status gabion_model_options_init(gabion_model_options *options, size_t struct_size);

/// Loads the GGUF file at `path` (UTF-8; on Unix any bytes); of a split model, the first file. `options` may be NULL. The
/// file must not be shortened while the model lives: it is mapped into memory.
GABION_API
gabion_status gabion_model_open(const gabion_runtime *runtime,
                                const char *path,
                                size_t path_len,
                                const gabion_model_options *options,
                                gabion_model **model);

/// Loads a model from the `len` bytes of its whole file at `data`, which are copied. `options` may be NULL.
GABION_API
gabion_status gabion_model_from_memory(const gabion_runtime *runtime,
                                       const uint8_t *data,
                                       size_t len,
                                       const gabion_model_options *options,
                                       gabion_model **model);

/// Frees a model. NULL is a no-op.
GABION_API void gabion_model_free(gabion_model *model);

/// Describes the model.
GABION_API gabion_status gabion_model_get_info(const gabion_model *model, gabion_model_info *info);

/// The value of a key of the file as text: numbers and strings as they are, an array as its type and length. Copies up to
/// `capacity` bytes, NUL included, to `buffer`; see "Text out" above. GABION_NOT_FOUND if the file has no such key.
GABION_API
gabion_status gabion_model_metadata(const gabion_model *model,
                                    const char *key,
                                    size_t key_len,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *len);

/// The key at `index`, counted from 0 in the order of the file. Text out as for gabion_model_metadata. GABION_NOT_FOUND
/// behind the last one.
GABION_API
gabion_status gabion_model_metadata_key(const gabion_model *model,
                                        size_t index,
                                        char *buffer,
                                        size_t capacity,
                                        size_t *len);

/// Writes the defaults into `options`, whose size is `struct_size`.
GABION_API gabion_status gabion_chat_options_init(gabion_chat_options *options, size_t struct_size);

/// Turns text into token ids. `add_special` adds the tokens that the model wants at the ends of a text. `parse_special`
/// turns text such as "<|im_end|>" into control tokens: never set it for text from users. Copies up to `capacity` ids to
/// `tokens`; see "Text out" above.
GABION_API
gabion_status gabion_model_tokenize(const gabion_model *model,
                                    const char *text_data,
                                    size_t text_len,
                                    bool add_special,
                                    bool parse_special,
                                    uint32_t *tokens,
                                    size_t capacity,
                                    size_t *len);

/// Turns token ids into text; what is not UTF-8 becomes U+FFFD. `special` shows control tokens. Text out as for
/// gabion_model_metadata.
GABION_API
gabion_status gabion_model_detokenize(const gabion_model *model,
                                      const uint32_t *tokens,
                                      size_t n_tokens,
                                      bool special,
                                      char *buffer,
                                      size_t capacity,
                                      size_t *len);

/// Turns a conversation into token ids through the model's own chat template; text in messages cannot forge control
/// tokens. `options` may be NULL. Ids out as for gabion_model_tokenize.
GABION_API
gabion_status gabion_model_chat_tokens(const gabion_model *model,
                                       const gabion_message *messages,
                                       size_t n_messages,
                                       const gabion_chat_options *options,
                                       uint32_t *tokens,
                                       size_t capacity,
                                       size_t *len);

/// What one token prints as, control tokens included; U+FFFD for parts of a character. Text out as for gabion_model_metadata.
GABION_API
gabion_status gabion_model_token_text(const gabion_model *model,
                                      uint32_t token,
                                      char *buffer,
                                      size_t capacity,
                                      size_t *len);

/// Whether a token ends generation. False for tokens that do not exist and for NULL.
GABION_API bool gabion_model_is_eog(const gabion_model *model, uint32_t token);

/// Writes the defaults into `options`, whose size is `struct_size`.
GABION_API gabion_status gabion_session_options_init(gabion_session_options *options, size_t struct_size);

/// Makes a session with an empty context. `options` may be NULL.
GABION_API
gabion_status gabion_session_new(const gabion_model *model,
                                 const gabion_session_options *options,
                                 gabion_session **session);

/// Frees a session. NULL is a no-op. A generation that still has it keeps it alive.
GABION_API void gabion_session_free(gabion_session *session);

/// Stops what the session is doing: the running call returns GABION_ERROR_CANCELLED soon, or the next step of a running
/// generation does. A request that comes when nothing runs is dropped by the next sync, score or generate. May be called
/// from any thread and from a signal handler: it only sets a flag. NULL is a no-op.
GABION_API
void gabion_session_cancel(const gabion_session *session);

/// Tokens that fit into the context; 0 for NULL.
GABION_API size_t gabion_session_n_ctx(const gabion_session *session);

/// Empties the context.
GABION_API gabion_status gabion_session_clear(gabion_session *session);

/// Makes the context exactly `tokens`, at least one, and computes the logits after the last. Give the whole text every
/// time: what is already there is reused, what differs is dropped and computed anew. `n_reused` and `n_computed`, which may
/// be NULL, get how many tokens that were. After an error the context is a prefix of `tokens`.
GABION_API
gabion_status gabion_session_sync(gabion_session *session,
                                  const uint32_t *tokens,
                                  size_t n_tokens,
                                  size_t *n_reused,
                                  size_t *n_computed);

/// Appends one token and computes the logits after it. After an error the context is as it was, without logits.
GABION_API gabion_status gabion_session_step(gabion_session *session, uint32_t token);

/// The logits after the last token, as many as the vocabulary has; none (`*n_logits` is 0) before the first sync and after
/// an error. Where a generation left them on the device, the last token is computed again. `*logits` is valid
/// until the next call that is given this session.
GABION_API
gabion_status gabion_session_logits(gabion_session *session,
                                    const float **logits,
                                    size_t *n_logits);

/// The tokens in the context. `*tokens` is valid until the next call that is given this session.
GABION_API gabion_status gabion_session_tokens(gabion_session *session, const uint32_t **tokens, size_t *n_tokens);

/// Scores a text: nll[i] = -ln p(token i+1 | tokens 0..=i), one fewer than `tokens`. `capacity` is the room at `nll` in
/// elements, at least n_tokens - 1. Leaves `tokens` as the context.
GABION_API
gabion_status gabion_session_score(gabion_session *session,
                                   const uint32_t *tokens,
                                   size_t n_tokens,
                                   float *nll,
                                   size_t capacity);

/// Saves a session: its tokens, cache, recurrent states and logits, as bytes that a session of the same model takes by
/// gabion_session_restore, on any device and in any program. `*bytes` is the caller's, of `*len` bytes, to be freed by
/// gabion_bytes_free; NULL after an error.
GABION_API gabion_status gabion_session_save(gabion_session *session, uint8_t **bytes, size_t *len);

/// Frees what gabion_session_save gave. NULL is a no-op.
GABION_API void gabion_bytes_free(uint8_t *bytes, size_t len);

/// Makes the session one that was saved: of the same model, on whatever device, with whatever n_ctx. Its tokens must fit
/// (else GABION_ERROR_CONTEXT_FULL) and its cache be of the same type. What the session held before is dropped. Bytes that
/// are damaged or of another model give GABION_ERROR_INVALID_ARGUMENT and change nothing.
GABION_API
gabion_status gabion_session_restore(gabion_session *session,
                                     const uint8_t *bytes,
                                     size_t len);

/// Makes another session with the same contents and options, which goes its own way from here; its cache is copied on the
/// device.
GABION_API
gabion_status gabion_session_fork(gabion_session *session,
                                  gabion_session **fork);

/// Writes the defaults into `options`, whose size is `struct_size`.
GABION_API gabion_status gabion_fit_options_init(gabion_fit_options *options, size_t struct_size);

/// Reads the header of the GGUF file at `path` (as gabion_model_open; of a split model all headers) and says what the model
/// would take on the runtime's device. `options` may be NULL. A model that this version cannot run is the error that loading
/// would give, whose text names what is missing; one that does not fit is no error.
GABION_API
gabion_status gabion_fit_open(const gabion_runtime *runtime,
                              const char *path,
                              size_t path_len,
                              const gabion_fit_options *options,
                              gabion_fit **fit);

/// The same from the first `len` bytes of a file at `data`: all of its header, and as much more as there is. So a header can
/// be fetched from anywhere; GABION_ERROR_GGUF whose text says how many bytes are needed asks for more.
GABION_API
gabion_status gabion_fit_from_memory(const gabion_runtime *runtime,
                                     const uint8_t *data,
                                     size_t len,
                                     const gabion_fit_options *options,
                                     gabion_fit **fit);

/// Frees it. NULL is a no-op.
GABION_API void gabion_fit_free(gabion_fit *fit);

/// Says what the model is and takes.
GABION_API gabion_status gabion_fit_get_info(const gabion_fit *fit, gabion_fit_info *info);

/// Writes the defaults into `options`, whose size is `struct_size`.
GABION_API gabion_status gabion_generate_options_init(gabion_generate_options *options, size_t struct_size);

/// Makes the session's context `tokens` and starts to generate after them; a model with an encoder before its decoder (T5) reads
/// them by that and starts an answer. `options` may be NULL. The session is busy until
/// the generation is freed.
GABION_API
gabion_status gabion_generation_new(gabion_session *session,
                                    const uint32_t *tokens,
                                    size_t n_tokens,
                                    const gabion_generate_options *options,
                                    gabion_generation **generation);

/// The next piece: GABION_OK with one, GABION_DONE at the end. After an error generation is over.
GABION_API gabion_status gabion_generation_next(gabion_generation *generation, gabion_piece *piece);

/// How far a generation is, and why it ended.
GABION_API gabion_status gabion_generation_get_info(gabion_generation *generation, gabion_generation_info *info);

/// Frees a generation, wherever it is, and gives its session back. NULL is a no-op.
GABION_API void gabion_generation_free(gabion_generation *generation);

/// Generates in one call: makes the session's context `tokens`, then hands every piece to `callback`, until it returns
/// false or generation ends. `options`, `callback` and `info` may be NULL.
GABION_API
gabion_status gabion_session_generate(gabion_session *session,
                                      const uint32_t *tokens,
                                      size_t n_tokens,
                                      const gabion_generate_options *options,
                                      gabion_piece_fn callback,
                                      void *user_data,
                                      gabion_generation_info *info);

/// Writes the defaults into `options`, whose size is `struct_size`.
GABION_API gabion_status gabion_embedder_options_init(gabion_embedder_options *options, size_t struct_size);

/// Makes an embedder of a model that is no generator: an encoder, a reranker, or a decoder whose file names a pooling.
/// `options` may be NULL.
GABION_API
gabion_status gabion_embedder_new(const gabion_model *model,
                                  const gabion_embedder_options *options,
                                  gabion_embedder **embedder);

/// Frees an embedder. NULL is a no-op.
GABION_API void gabion_embedder_free(gabion_embedder *embedder);

/// Stops the running call, which returns GABION_ERROR_CANCELLED soon. A request that comes when nothing runs is dropped by the
/// next call. May be called from any thread and from a signal handler: it only sets a flag. NULL is a no-op.
GABION_API
void gabion_embedder_cancel(const gabion_embedder *embedder);

/// Says what the embedder is.
GABION_API gabion_status gabion_embedder_get_info(const gabion_embedder *embedder, gabion_embedder_info *info);

/// The name of a classifier's score `i`; GABION_NOT_FOUND where the file names none. Text out as for gabion_model_metadata.
GABION_API
gabion_status gabion_embedder_label(const gabion_embedder *embedder,
                                    size_t i,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *len);

/// Makes a vector of each of `n_texts` texts, at least one: float32, `dimensions` of each one after another, in the texts'
/// order; with GABION_POOLING_NONE as many of each token. `kind` is one of GABION_TEXT_*. `capacity` is the room at `vectors` in
/// elements; where it is too small for what is known beforehand (that is, not with GABION_POOLING_NONE), or `vectors` is NULL,
/// nothing is computed, and `*len` says how much is needed. Arrays out as above.
GABION_API
gabion_status gabion_embedder_embed(gabion_embedder *embedder,
                                    const gabion_string *texts,
                                    size_t n_texts,
                                    int32_t kind,
                                    float *vectors,
                                    size_t capacity,
                                    size_t *len);

/// As gabion_embedder_embed for one text that is given as tokens, special ones included.
GABION_API
gabion_status gabion_embedder_embed_tokens(gabion_embedder *embedder,
                                           const uint32_t *tokens,
                                           size_t n_tokens,
                                           float *vector,
                                           size_t capacity,
                                           size_t *len);

/// Says how well each of `n_documents` documents answers the query: `scores[i]`, of which there must be room for n_documents, is
/// the model's number for document i; higher is better. It is a logit, or of a model that says yes or no (Qwen3-Reranker) the
/// probability of yes. A classifier of several labels is GABION_ERROR_UNSUPPORTED: gabion_embedder_classify has its scores.
GABION_API
gabion_status gabion_embedder_rerank(gabion_embedder *embedder,
                                     const char *query,
                                     size_t query_len,
                                     const gabion_string *documents,
                                     size_t n_documents,
                                     float *scores);

/// Says what a classifier makes of each of `n_texts` texts, or of each pair where `seconds` is not NULL: n_scores logits of each,
/// one after another. Room and length as for gabion_embedder_embed.
GABION_API
gabion_status gabion_embedder_classify(gabion_embedder *embedder,
                                       const gabion_string *texts,
                                       const gabion_string *seconds,
                                       size_t n_texts,
                                       float *scores,
                                       size_t capacity,
                                       size_t *len);

/// Guesses the tokens that a text has as masks (`[MASK]`): of each mask the `top` likeliest, best first, mask after mask. Arrays
/// out as above.
GABION_API
gabion_status gabion_embedder_fill_mask(gabion_embedder *embedder,
                                        const char *text_data,
                                        size_t text_len,
                                        size_t top,
                                        gabion_guess *guesses,
                                        size_t capacity,
                                        size_t *len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GABION_H */
