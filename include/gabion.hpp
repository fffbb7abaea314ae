// gabion for C++11: the C interface with owning, move-only classes, exceptions for errors and std::function for callbacks.
//
//     gabion::Runtime runtime;
//     gabion::Model model(runtime, "model.gguf");
//     gabion::Session session(model);
//     session.generate(model.chat_tokens({{"user", "Why is the sky blue?"}}), gabion::GenerateOptions(),
//                      [](const gabion::Piece &piece) {
//                          std::cout << piece.text << std::flush;
//                          return true;
//                      });
//
// Everything else (what fields and functions mean, threads, lifetimes) is as gabion.h says. Options derive from the C
// structs and start from their defaults. Callbacks may throw: the exception comes out of the call that they were given to.
#ifndef GABION_HPP
#define GABION_HPP

#include "gabion.h"

#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gabion {

/// What a call that failed throws: GABION_ERROR_* and its text.
class Error : public std::runtime_error {
  public:
    Error(gabion_status code, const std::string &text) : std::runtime_error(text), code_(code) {}
    gabion_status code() const noexcept { return code_; }

  private:
    gabion_status code_;
};

struct Message {
    std::string role;
    std::string content;
};

struct DeviceInfo {
    int32_t kind; ///< GABION_DEVICE_*
    std::string name, backend, driver;
    size_t threads;
};

struct ModelInfo {
    std::string architecture, name, description;
    size_t n_vocab, n_ctx_train, n_embd, n_layer;
    uint64_t weight_bytes;
    bool has_tokenizer, has_chat_template;
};

/// What a model is and takes; see gabion_fit_info.
struct Fit {
    std::string architecture, name, tokenizer, problem;
    uint64_t n_parameters, tensor_bytes;
    double bits_per_weight;
    size_t n_ctx_train, n_vocab, n_embd, n_layer;
    uint64_t weight_bytes, kv_bytes, scratch_bytes, memory_limit, buffer_limit;
    size_t n_ctx, n_batch, max_n_ctx;
    int32_t kv_type; ///< GABION_KV_*
    bool has_chat_template, fits;
};

/// One step of a generation; see gabion_piece.
struct Piece {
    std::string text;
    uint32_t token;
    float logprob;
    std::vector<gabion_token_logprob> top;
};

/// Prompt tokens that were reused and computed.
struct Synced {
    size_t reused, computed;
};

struct ModelOptions : gabion_model_options {
    /// Gets (loaded bytes, total bytes); returns false to cancel.
    std::function<bool(uint64_t, uint64_t)> on_progress;
    ModelOptions() : gabion_model_options() { gabion_model_options_init(this, sizeof(gabion_model_options)); }
};

struct SessionOptions : gabion_session_options {
    SessionOptions() : gabion_session_options() { gabion_session_options_init(this, sizeof(gabion_session_options)); }
};

struct FitOptions : gabion_fit_options {
    FitOptions() : gabion_fit_options() { gabion_fit_options_init(this, sizeof(gabion_fit_options)); }
};

struct GenerateOptions : gabion_generate_options {
    /// Take the place of `stop` and `n_stop`.
    std::vector<std::string> stop_strings;
    GenerateOptions() : gabion_generate_options() {
        gabion_generate_options_init(this, sizeof(gabion_generate_options));
    }
};

/// Owns its prefixes, which take the place of the C struct's.
struct EmbedderOptions : gabion_embedder_options {
    std::string query_prefix_text, document_prefix_text;
    EmbedderOptions() : gabion_embedder_options() { gabion_embedder_options_init(this, sizeof(gabion_embedder_options)); }
};

namespace detail {

/// Throws where `status` is an error; returns it otherwise.
inline gabion_status check(gabion_status status) {
    if (status < 0) throw Error(status, gabion_last_error());
    return status;
}

struct Free {
    void operator()(gabion_runtime *it) const noexcept { gabion_runtime_free(it); }
    void operator()(gabion_model *it) const noexcept { gabion_model_free(it); }
    void operator()(gabion_fit *it) const noexcept { gabion_fit_free(it); }
    void operator()(gabion_session *it) const noexcept { gabion_session_free(it); }
    void operator()(gabion_generation *it) const noexcept { gabion_generation_free(it); }
    void operator()(gabion_embedder *it) const noexcept { gabion_embedder_free(it); }
};

template <class T> using Handle = std::unique_ptr<T, Free>;

/// A C struct of zeros that knows its size.
template <class T> T sized() {
    T it = T();
    it.struct_size = sizeof(T);
    return it;
}

inline std::vector<gabion_string> views(const std::vector<std::string> &texts) {
    std::vector<gabion_string> list;
    for (const std::string &text : texts) list.push_back(gabion_string{text.data(), text.size()});
    return list;
}

inline DeviceInfo device_info(const gabion_device_info &info) {
    return DeviceInfo{info.kind, info.name, info.backend, info.driver, info.threads};
}

inline Piece piece(const gabion_piece &it) {
    return Piece{std::string(it.text, it.text_len), it.token, it.logprob,
                 std::vector<gabion_token_logprob>(it.top, it.top + it.n_top)};
}

/// The two calls of "Text out": one for the length, one for the text. False where there is no such thing.
template <class Call> bool text_out(std::string &text, Call call) {
    size_t len = 0;
    if (check(call(nullptr, size_t(0), &len)) == GABION_NOT_FOUND) return false;
    std::vector<char> buffer(len + 1);
    check(call(buffer.data(), buffer.size(), &len));
    text.assign(buffer.data(), len);
    return true;
}

/// The same for token ids, where `guess` elements are tried first.
template <class Call> std::vector<uint32_t> ids_out(size_t guess, Call call) {
    std::vector<uint32_t> ids(guess);
    size_t len = 0;
    if (check(call(ids.data(), ids.size(), &len)) == GABION_TRUNCATED) {
        ids.resize(len);
        check(call(ids.data(), ids.size(), &len));
    }
    ids.resize(len);
    return ids;
}

/// Carries a callback through C: an exception stops the call and is kept until it returns.
template <class Function> struct Callback {
    const Function &function;
    std::exception_ptr thrown;

    explicit Callback(const Function &f) : function(f), thrown() {}
    template <class... Args> bool operator()(Args &&...args) noexcept {
        try {
            return !function || function(std::forward<Args>(args)...);
        } catch (...) {
            thrown = std::current_exception();
            return false;
        }
    }
    /// What the call came to, with the callback's own exception first.
    gabion_status finish(gabion_status status) const {
        if (thrown) std::rethrow_exception(thrown);
        return check(status);
    }
};

} // namespace detail

/// A device to load models on.
class Runtime {
  public:
    /// `device`: "auto", "cpu", "gpu", or part of an adapter's name. `threads` of the CPU device; 0 for one per core. `level`:
    /// kernels of a GPU, e.g. "base"; "" for the best that pays on the adapter.
    explicit Runtime(const std::string &device = "auto", size_t threads = 0, const std::string &level = "") {
        gabion_runtime_options options;
        detail::check(gabion_runtime_options_init(&options, sizeof options));
        options.device = device.data();
        options.device_len = device.size();
        options.threads = threads;
        if (!level.empty()) {
            options.level = level.data();
            options.level_len = level.size();
        }
        gabion_runtime *made = nullptr;
        detail::check(gabion_runtime_new(&options, &made));
        handle_.reset(made);
    }

    DeviceInfo info() const {
        gabion_device_info info = detail::sized<gabion_device_info>();
        detail::check(gabion_runtime_get_info(get(), &info));
        return detail::device_info(info);
    }

    /// Every device of this machine, the CPU first.
    static std::vector<DeviceInfo> devices() {
        typedef std::function<bool(const gabion_device_info &)> Each;
        std::vector<DeviceInfo> all;
        const Each each = [&all](const gabion_device_info &info) {
            all.push_back(detail::device_info(info));
            return true;
        };
        detail::Callback<Each> callback(each);
        callback.finish(gabion_devices(
            [](const gabion_device_info *info, void *data) {
                return (*static_cast<detail::Callback<Each> *>(data))(*info);
            },
            &callback));
        return all;
    }

    const gabion_runtime *get() const noexcept { return handle_.get(); }

  private:
    detail::Handle<gabion_runtime> handle_;
};

namespace detail {

template <class Call> Fit fit(Call call) {
    gabion_fit *made = nullptr;
    check(call(&made));
    const Handle<gabion_fit> handle(made);
    gabion_fit_info c = sized<gabion_fit_info>();
    check(gabion_fit_get_info(made, &c));
    return Fit{c.architecture, c.name,         c.tokenizer,    c.problem,     c.n_parameters,
               c.tensor_bytes, c.bits_per_weight, c.n_ctx_train, c.n_vocab,   c.n_embd,
               c.n_layer,      c.weight_bytes, c.kv_bytes,     c.scratch_bytes, c.memory_limit,
               c.buffer_limit, c.n_ctx,        c.n_batch,      c.max_n_ctx,   c.kv_type,
               c.has_chat_template != 0,       c.fits != 0};
}

} // namespace detail

/// What the model at `path` would take on the runtime's device, from its header alone.
inline Fit fit(const Runtime &runtime, const std::string &path, const FitOptions &options = FitOptions()) {
    return detail::fit([&](gabion_fit **made) {
        return gabion_fit_open(runtime.get(), path.data(), path.size(), &options, made);
    });
}

/// The same from the first bytes of a file, which hold at least its header.
inline Fit fit(const Runtime &runtime, const uint8_t *data, size_t len, const FitOptions &options = FitOptions()) {
    return detail::fit([&](gabion_fit **made) {
        return gabion_fit_from_memory(runtime.get(), data, len, &options, made);
    });
}

/// A loaded model. Any number of threads may use it at once.
class Model {
  public:
    Model(const Runtime &runtime, const std::string &path, const ModelOptions &options = ModelOptions()) {
        load(options, [&](const gabion_model_options *c, gabion_model **made) {
            return gabion_model_open(runtime.get(), path.data(), path.size(), c, made);
        });
    }

    /// From the bytes of a whole file, which are copied.
    static Model from_memory(const Runtime &runtime, const uint8_t *data, size_t len,
                             const ModelOptions &options = ModelOptions()) {
        Model model;
        model.load(options, [&](const gabion_model_options *c, gabion_model **made) {
            return gabion_model_from_memory(runtime.get(), data, len, c, made);
        });
        return model;
    }

    ModelInfo info() const {
        gabion_model_info c = detail::sized<gabion_model_info>();
        detail::check(gabion_model_get_info(get(), &c));
        return ModelInfo{c.architecture, c.name,    c.description,  c.n_vocab,
                         c.n_ctx_train,  c.n_embd,  c.n_layer,      c.weight_bytes,
                         c.has_tokenizer != 0,      c.has_chat_template != 0};
    }

    /// A key of the file as text; false if it has no such key.
    bool metadata(const std::string &key, std::string &value) const {
        return detail::text_out(value, [&](char *buffer, size_t capacity, size_t *len) {
            return gabion_model_metadata(get(), key.data(), key.size(), buffer, capacity, len);
        });
    }

    std::vector<std::string> metadata_keys() const {
        std::vector<std::string> keys;
        std::string key;
        while (detail::text_out(key, [&](char *buffer, size_t capacity, size_t *len) {
            return gabion_model_metadata_key(get(), keys.size(), buffer, capacity, len);
        })) {
            keys.push_back(key);
        }
        return keys;
    }

    std::vector<uint32_t> tokenize(const std::string &text, bool add_special = true, bool parse_special = false) const {
        return detail::ids_out(text.size() + 2, [&](uint32_t *ids, size_t capacity, size_t *len) {
            return gabion_model_tokenize(get(), text.data(), text.size(), add_special, parse_special, ids, capacity, len);
        });
    }

    std::string detokenize(const std::vector<uint32_t> &tokens, bool special = false) const {
        std::string text;
        detail::text_out(text, [&](char *buffer, size_t capacity, size_t *len) {
            return gabion_model_detokenize(get(), tokens.data(), tokens.size(), special, buffer, capacity, len);
        });
        return text;
    }

    std::string token_text(uint32_t token) const {
        std::string text;
        detail::text_out(text, [&](char *buffer, size_t capacity, size_t *len) {
            return gabion_model_token_text(get(), token, buffer, capacity, len);
        });
        return text;
    }

    bool is_eog(uint32_t token) const noexcept { return gabion_model_is_eog(get(), token); }

    std::vector<uint32_t> chat_tokens(const std::vector<Message> &messages, bool add_generation_prompt = true) const {
        std::vector<gabion_message> list;
        for (const Message &message : messages) {
            gabion_message c = detail::sized<gabion_message>();
            c.role = message.role.data();
            c.role_len = message.role.size();
            c.content = message.content.data();
            c.content_len = message.content.size();
            list.push_back(c);
        }
        gabion_chat_options options;
        detail::check(gabion_chat_options_init(&options, sizeof options));
        options.add_generation_prompt = add_generation_prompt;
        return detail::ids_out(1024, [&](uint32_t *ids, size_t capacity, size_t *len) {
            return gabion_model_chat_tokens(get(), list.data(), list.size(), &options, ids, capacity, len);
        });
    }

    const gabion_model *get() const noexcept { return handle_.get(); }

  private:
    Model() {}

    template <class Call> void load(const ModelOptions &options, Call call) {
        typedef detail::Callback<std::function<bool(uint64_t, uint64_t)>> Progress;
        Progress progress(options.on_progress);
        gabion_model_options c = options;
        if (options.on_progress) {
            c.progress_user_data = &progress;
            c.progress = [](uint64_t loaded, uint64_t total, void *data) {
                return (*static_cast<Progress *>(data))(loaded, total);
            };
        }
        gabion_model *made = nullptr;
        progress.finish(call(&c, &made));
        handle_.reset(made);
    }

    detail::Handle<gabion_model> handle_;
};

/// A running generation, token by token. Its session is busy until it is destroyed.
class Generation {
  public:
    /// The next piece; false at the end.
    bool next(Piece &piece) {
        gabion_piece c = detail::sized<gabion_piece>();
        if (detail::check(gabion_generation_next(handle_.get(), &c)) == GABION_DONE) return false;
        piece = detail::piece(c);
        return true;
    }

    gabion_generation_info info() {
        gabion_generation_info info = detail::sized<gabion_generation_info>();
        detail::check(gabion_generation_get_info(handle_.get(), &info));
        return info;
    }

  private:
    friend class Session;
    explicit Generation(gabion_generation *made) : handle_(made) {}
    detail::Handle<gabion_generation> handle_;
};

/// One timeline of tokens over a model. One thread at a time; `cancel` from any.
class Session {
  public:
    explicit Session(const Model &model, const SessionOptions &options = SessionOptions()) {
        gabion_session *made = nullptr;
        detail::check(gabion_session_new(model.get(), &options, &made));
        handle_.reset(made);
    }

    /// Stops what the session is doing. May be called from any thread and from a signal handler.
    void cancel() const noexcept { gabion_session_cancel(get()); }
    size_t n_ctx() const noexcept { return gabion_session_n_ctx(get()); }
    void clear() { detail::check(gabion_session_clear(get())); }
    void step(uint32_t token) { detail::check(gabion_session_step(get(), token)); }

    Synced sync(const std::vector<uint32_t> &tokens) {
        Synced synced = Synced();
        detail::check(gabion_session_sync(get(), tokens.data(), tokens.size(), &synced.reused, &synced.computed));
        return synced;
    }

    std::vector<float> logits() {
        const float *data = nullptr;
        size_t len = 0;
        detail::check(gabion_session_logits(get(), &data, &len));
        return std::vector<float>(data, data + len);
    }

    std::vector<uint32_t> tokens() {
        const uint32_t *data = nullptr;
        size_t len = 0;
        detail::check(gabion_session_tokens(get(), &data, &len));
        return std::vector<uint32_t>(data, data + len);
    }

    /// -ln p(token i+1 | tokens 0..=i), one fewer than `tokens`.
    std::vector<float> score(const std::vector<uint32_t> &tokens) {
        std::vector<float> nll(tokens.empty() ? 0 : tokens.size() - 1);
        detail::check(gabion_session_score(get(), tokens.data(), tokens.size(), nll.data(), nll.size()));
        return nll;
    }

    /// The session as bytes, for `restore` of the same model on any device.
    std::vector<uint8_t> save() {
        uint8_t *data = nullptr;
        size_t len = 0;
        detail::check(gabion_session_save(get(), &data, &len));
        const auto free = [len](uint8_t *bytes) { gabion_bytes_free(bytes, len); };
        const std::unique_ptr<uint8_t, decltype(free)> owner(data, free);
        return std::vector<uint8_t>(data, data + len);
    }

    /// Makes the session one that was saved; of damaged bytes or another model's it throws and changes nothing.
    void restore(const std::vector<uint8_t> &saved) {
        detail::check(gabion_session_restore(get(), saved.data(), saved.size()));
    }

    /// Another session with the same contents, which goes its own way from here.
    Session fork() {
        gabion_session *made = nullptr;
        detail::check(gabion_session_fork(get(), &made));
        return Session(made);
    }

    /// Generates after `tokens`, handing every piece to `on_piece` until it returns false.
    gabion_generation_info generate(const std::vector<uint32_t> &tokens, const GenerateOptions &options,
                                    const std::function<bool(const Piece &)> &on_piece) {
        typedef detail::Callback<std::function<bool(const gabion_piece &)>> Callback;
        const std::function<bool(const gabion_piece &)> each = [&](const gabion_piece &c) {
            return !on_piece || on_piece(detail::piece(c));
        };
        Callback callback(each);
        const Stops stops(options);
        gabion_generation_info info = detail::sized<gabion_generation_info>();
        callback.finish(gabion_session_generate(
            get(), tokens.data(), tokens.size(), &stops.c,
            [](const gabion_piece *piece, void *data) { return (*static_cast<Callback *>(data))(*piece); }, &callback,
            &info));
        return info;
    }

    /// Generates after `tokens`, piece by piece.
    Generation start(const std::vector<uint32_t> &tokens, const GenerateOptions &options = GenerateOptions()) {
        const Stops stops(options);
        gabion_generation *made = nullptr;
        detail::check(gabion_generation_new(get(), tokens.data(), tokens.size(), &stops.c, &made));
        return Generation(made);
    }

    gabion_session *get() const noexcept { return handle_.get(); }

  private:
    explicit Session(gabion_session *made) : handle_(made) {}

    /// The C options, with views of the stop strings.
    struct Stops {
        std::vector<gabion_string> list;
        gabion_generate_options c;

        explicit Stops(const GenerateOptions &options) : list(detail::views(options.stop_strings)), c(options) {
            c.stop = list.data();
            c.n_stop = list.size();
        }
        Stops(const Stops &) = delete;
        Stops &operator=(const Stops &) = delete;
    };

    detail::Handle<gabion_session> handle_;
};

} // namespace gabion

#include "gabion_embedder.hpp"

#endif // GABION_HPP
