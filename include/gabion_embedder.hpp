// gabion::Embedder: a part of gabion.hpp, which includes it.
#ifndef GABION_EMBEDDER_HPP
#define GABION_EMBEDDER_HPP

#include "gabion.hpp"

namespace gabion {

/// Runs whole texts through an encoder, several in one pass. One thread at a time; `cancel` from any.
class Embedder {
  public:
    explicit Embedder(const Model &model, const EmbedderOptions &options = EmbedderOptions()) {
        gabion_embedder_options c = options;
        const std::string &query = options.query_prefix_text, &document = options.document_prefix_text;
        c.query_prefix = query.data(), c.query_prefix_len = query.size();
        c.document_prefix = document.data(), c.document_prefix_len = document.size();
        gabion_embedder *made = nullptr;
        detail::check(gabion_embedder_new(model.get(), &c, &made));
        handle_.reset(made);
    }

    /// Stops the running call; see gabion_embedder_cancel.
    void cancel() const noexcept { gabion_embedder_cancel(get()); }
    gabion_embedder_info info() const {
        gabion_embedder_info info = detail::sized<gabion_embedder_info>();
        detail::check(gabion_embedder_get_info(get(), &info));
        return info;
    }

    /// The names of a classifier's scores; empty where the file has none.
    std::vector<std::string> labels() const {
        std::vector<std::string> all;
        size_t len = 0;
        while (detail::check(gabion_embedder_label(get(), all.size(), nullptr, 0, &len)) == GABION_OK) {
            std::string label(len + 1, '\0');
            detail::check(gabion_embedder_label(get(), all.size(), &label[0], label.size(), nullptr));
            all.push_back(label.substr(0, len));
        }
        return all;
    }

    /// A vector for each text, in order. `kind` is GABION_TEXT_*.
    std::vector<std::vector<float>> embed(const std::vector<std::string> &texts, int32_t kind = GABION_TEXT_PLAIN) {
        const std::vector<gabion_string> list = detail::views(texts);
        const gabion_embedder_info it = info();
        if (it.pooling == GABION_POOLING_NONE && !list.empty()) { // as many vectors as tokens: each text by itself
            std::vector<std::vector<float>> all;
            const size_t most = it.max_tokens * it.dimensions;
            for (const gabion_string &text : list) all.push_back(floats(most, [&](float *to, size_t room, size_t *len) {
                return gabion_embedder_embed(get(), &text, 1, kind, to, room, len);
            }));
            return all;
        }
        return rows(texts.size(), it.dimensions, [&](float *to, size_t room, size_t *len) {
            return gabion_embedder_embed(get(), list.data(), list.size(), kind, to, room, len);
        });
    }

    /// How well each document answers the query; see gabion_embedder_rerank.
    std::vector<float> rerank(const std::string &query, const std::vector<std::string> &documents) {
        const std::vector<gabion_string> list = detail::views(documents);
        return floats(list.size(), [&](float *to, size_t room, size_t *len) {
            return *len = room, gabion_embedder_rerank(get(), query.data(), query.size(), list.data(), room, to);
        });
    }

    /// A classifier's scores of each text; of each pair where `seconds` are as many.
    std::vector<std::vector<float>> classify(const std::vector<std::string> &texts,
                                             const std::vector<std::string> &seconds = std::vector<std::string>()) {
        const std::vector<gabion_string> first = detail::views(texts), second = detail::views(seconds);
        if (!second.empty() && second.size() != first.size())
            throw Error(GABION_ERROR_INVALID_ARGUMENT, "as many seconds as texts, or none");
        const gabion_string *const pairs = second.empty() ? nullptr : second.data();
        return rows(texts.size(), info().n_scores, [&](float *to, size_t room, size_t *len) {
            return gabion_embedder_classify(get(), first.data(), pairs, first.size(), to, room, len);
        });
    }

    /// The `top` likeliest tokens in each masked place, best first.
    std::vector<gabion_guess> fill_mask(const std::string &text, size_t top) {
        std::vector<gabion_guess> guesses(256);
        size_t len = 0;
        const auto call = [&] {
            return gabion_embedder_fill_mask(get(), text.data(), text.size(), top, guesses.data(), guesses.size(), &len);
        };
        while (detail::check(call()) == GABION_TRUNCATED) guesses.resize(len);
        guesses.resize(len);
        return guesses;
    }

    gabion_embedder *get() const noexcept { return handle_.get(); }

  private:
    template <class Call> std::vector<float> floats(size_t room, Call call) {
        std::vector<float> all(room + 1); // never without a place to write to
        size_t len = 0;
        detail::check(call(all.data(), room, &len));
        all.resize(len);
        return all;
    }

    template <class Call> std::vector<std::vector<float>> rows(size_t n, size_t width, Call call) {
        const std::vector<float> all = floats(n * width, call);
        std::vector<std::vector<float>> each;
        for (size_t i = 0; i < n; ++i) each.emplace_back(all.begin() + i * width, all.begin() + (i + 1) * width);
        return each;
    }

    detail::Handle<gabion_embedder> handle_;
};

} // namespace gabion

#endif // GABION_EMBEDDER_HPP
