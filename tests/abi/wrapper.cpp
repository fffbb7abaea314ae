// gabion.hpp: objects that move, errors that are thrown, callbacks that throw. Usage: wrapper MODEL
#include <gabion.hpp>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <type_traits>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::cerr << __FILE__ << ":" << __LINE__ << ": " << #condition << std::endl;                               \
            std::exit(1);                                                                                              \
        }                                                                                                              \
    } while (0)

namespace {

static_assert(!std::is_copy_constructible<gabion::Runtime>::value, "handles have one owner");
static_assert(!std::is_copy_constructible<gabion::Model>::value, "handles have one owner");
static_assert(!std::is_copy_constructible<gabion::Session>::value, "handles have one owner");
static_assert(!std::is_copy_constructible<gabion::Generation>::value, "handles have one owner");
static_assert(std::is_nothrow_move_constructible<gabion::Model>::value, "handles move");
static_assert(std::is_nothrow_move_constructible<gabion::Session>::value, "handles move");

struct Mine {};

/// The code of the gabion::Error that `body` throws; 0 if it throws none.
template <class Body> gabion_status thrown(Body body) {
    try {
        body();
    } catch (const gabion::Error &error) {
        CHECK(*error.what());
        return error.code();
    }
    return 0;
}

template <class Body> bool throws_mine(Body body) {
    try {
        body();
    } catch (const Mine &) {
        return true;
    }
    return false;
}

void errors(const gabion::Runtime &runtime, const std::string &path) {
    CHECK(thrown([] { gabion::Runtime("no such adapter"); }) == GABION_ERROR_DEVICE);
    CHECK(thrown([] { gabion::Runtime("gpu", 0, "no such level"); }) == GABION_ERROR_INVALID_ARGUMENT);
    CHECK(thrown([&] { gabion::Model(runtime, "missing"); }) == GABION_ERROR_IO);
    CHECK(thrown([&] { gabion::Model::from_memory(runtime, nullptr, 0); }) == GABION_ERROR_GGUF);
    CHECK(thrown([&] { gabion::fit(runtime, "missing"); }) == GABION_ERROR_IO);
    CHECK(thrown([&] { gabion::fit(runtime, nullptr, 0); }) == GABION_ERROR_GGUF);
    gabion::ModelOptions unknown;
    unknown.gelu = 9;
    CHECK(thrown([&] { gabion::Model(runtime, path, unknown); }) == GABION_ERROR_INVALID_ARGUMENT);
    gabion::FitOptions unfit;
    unfit.gelu = 9;
    CHECK(thrown([&] { gabion::fit(runtime, path, unfit); }) == GABION_ERROR_INVALID_ARGUMENT);
    gabion::ModelOptions options;
    options.on_progress = [](uint64_t, uint64_t) { return false; };
    CHECK(thrown([&] { gabion::Model(runtime, path, options); }) == GABION_ERROR_CANCELLED);
    options.on_progress = [](uint64_t, uint64_t) -> bool { throw Mine(); };
    CHECK(throws_mine([&] { gabion::Model(runtime, path, options); }));
}

void text(const gabion::Model &model) {
    const std::string text("the thing\0 \xc3\xa9", 13);
    CHECK(model.detokenize(model.tokenize(text)) == text);
    CHECK(model.tokenize("").empty() && model.detokenize({}).empty());
    CHECK(model.tokenize("<|im_end|>", false, true).size() == 1);
    CHECK(model.is_eog(257) && model.token_text(257) == "<|im_end|>");
    CHECK(thrown([&] { model.tokenize("\xff"); }) == GABION_ERROR_INVALID_ARGUMENT);
    CHECK(model.chat_tokens({{"user", "Hi"}}).size() > model.chat_tokens({{"user", "Hi"}}, false).size());
    CHECK(model.chat_tokens({{"user", std::string(5000, 'x')}}).size() > 5000);
    std::string value;
    CHECK(model.metadata("general.architecture", value) && value == "llama");
    CHECK(!model.metadata("nothing", value));
    CHECK(model.metadata_keys().size() > 10 && model.metadata_keys()[0] == "general.architecture");
}

void low_level(gabion::Session &session) {
    const gabion::Synced synced = session.sync({1, 2, 3});
    CHECK(synced.reused == 0 && synced.computed == 3);
    session.step(4);
    CHECK(session.tokens() == (std::vector<uint32_t>{1, 2, 3, 4}));
    CHECK(session.logits().size() == 264 && session.n_ctx() == 64);
    CHECK(session.score({1, 2, 3}).size() == 2);
    CHECK(thrown([&] { session.sync({}); }) == GABION_ERROR_INVALID_ARGUMENT);
    CHECK(thrown([&] { session.sync(std::vector<uint32_t>(65)); }) == GABION_ERROR_CONTEXT_FULL);
    const std::vector<uint8_t> saved = session.save();
    gabion::Session fork = session.fork();
    session.clear();
    session.restore(saved);
    CHECK(session.tokens() == fork.tokens() && session.logits() == fork.logits());
    CHECK(thrown([&] { session.restore({1, 2, 3}); }) == GABION_ERROR_INVALID_ARGUMENT);
    session.clear();
    CHECK(session.tokens().empty());
}

void generating(gabion::Session &session) {
    gabion::GenerateOptions options;
    options.temperature = 0;
    options.max_tokens = 8;
    options.ignore_eog = 1;
    options.logprobs = 2;
    std::vector<uint32_t> first, second;
    const gabion_generation_info info = session.generate({1, 2, 3}, options, [&](const gabion::Piece &piece) {
        if (piece.token != GABION_NO_TOKEN) first.push_back(piece.token);
        CHECK(piece.token == GABION_NO_TOKEN || (piece.top.size() == 2 && piece.top[0].token == piece.token));
        return true;
    });
    CHECK(info.stop_reason == GABION_STOP_MAX_TOKENS && first.size() == 8);

    gabion::Generation generation = session.start({1, 2, 3}, options);
    gabion::Generation moved = std::move(generation);
    CHECK(thrown([&] { session.clear(); }) == GABION_ERROR_BUSY);
    gabion::Piece piece;
    while (moved.next(piece))
        if (piece.token != GABION_NO_TOKEN) second.push_back(piece.token);
    CHECK(first == second && moved.info().n_generated == 8);
    {
        const gabion::Generation end = std::move(moved);
    }
    session.clear();
    CHECK(throws_mine([&] {
        session.generate({1}, options, [](const gabion::Piece &) -> bool { throw Mine(); });
    }));
    options.stop_strings.push_back("");
    CHECK(thrown([&] { session.start({1}, options); }) == GABION_ERROR_INVALID_ARGUMENT);
    options.stop_strings[0] = "never";
    CHECK(session.generate({1}, options, nullptr).n_generated == 8);
}

void cancelling(gabion::Session &session) {
    gabion::GenerateOptions options;
    options.ignore_eog = 1;
    const auto cancel = [&](const gabion::Piece &) {
        session.cancel();
        return true;
    };
    CHECK(thrown([&] { session.generate({1}, options, cancel); }) == GABION_ERROR_CANCELLED);
    CHECK(session.sync({1, 2}).computed > 0);
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    CHECK(gabion::Runtime::devices().at(0).kind == GABION_DEVICE_CPU);
    const gabion::Runtime runtime("cpu", 2);
    CHECK(runtime.info().threads == 2 && runtime.info().backend == "cpu");
    errors(runtime, argv[1]);

    std::ifstream file(argv[1], std::ios::binary);
    const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    gabion::Model loaded = gabion::Model::from_memory(runtime, reinterpret_cast<const uint8_t *>(data.data()), data.size());
    const gabion::Model model = std::move(loaded);
    CHECK(model.info().architecture == "llama" && model.info().has_chat_template);
    gabion::FitOptions fitting;
    fitting.n_ctx = 64;
    const gabion::Fit fit = gabion::fit(runtime, argv[1], fitting);
    CHECK(fit.architecture == "llama" && fit.n_ctx == 64 && fit.fits && fit.problem.empty());
    CHECK(fit.weight_bytes == model.info().weight_bytes && fit.kv_bytes > 0 && fit.buffer_limit == 0);
    CHECK(gabion::fit(runtime, reinterpret_cast<const uint8_t *>(data.data()), data.size()).kv_type == GABION_KV_F16);
    text(model);

    gabion::SessionOptions options;
    options.n_ctx = 64;
    gabion::Session session(model, options);
    low_level(session);
    generating(session);
    cancelling(session);
    std::cout << "wrapper: ok" << std::endl;
    return 0;
}
