// gabion::Embedder. Usage: embedder DECODER ENCODER CLASSIFIER MASKED
#include <gabion.hpp>

#include <cstdlib>
#include <iostream>
#include <type_traits>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::cerr << __FILE__ << ":" << __LINE__ << ": " << #condition << std::endl;                               \
            std::exit(1);                                                                                              \
        }                                                                                                              \
    } while (0)

namespace {

static_assert(!std::is_copy_constructible<gabion::Embedder>::value, "handles have one owner");
static_assert(std::is_nothrow_move_constructible<gabion::Embedder>::value, "handles move");

/// The code of the gabion::Error that `body` throws; 0 if it throws none.
template <class Body> gabion_status thrown(Body body) {
    try {
        body();
    } catch (const gabion::Error &error) {
        return error.code();
    }
    return 0;
}

void vectors(const gabion::Model &model) {
    gabion::EmbedderOptions options;
    options.query_prefix_text = "a ";
    gabion::Embedder made(model, options), embedder(std::move(made));
    const std::vector<std::vector<float>> all = embedder.embed({"the cat", "a dog", ""});
    CHECK(all.size() == 3 && all[1].size() == 32 && all[0] != all[1]);
    CHECK(embedder.embed({"dog"}, GABION_TEXT_QUERY) == embedder.embed({"a dog"}));
    CHECK(embedder.info().task == GABION_TASK_EMBED && embedder.labels().empty());
    embedder.cancel();
    CHECK(thrown([&] { embedder.embed({}); }) == GABION_ERROR_INVALID_ARGUMENT);
    CHECK(thrown([&] { embedder.embed({std::string(1000, 'x') + " " + std::string(5000, '.')}); }) ==
          GABION_ERROR_CONTEXT_FULL);
    CHECK(thrown([&] { embedder.rerank("the", {"cat"}); }) == GABION_ERROR_UNSUPPORTED);
    CHECK(thrown([&] { embedder.classify({"the"}); }) == GABION_ERROR_UNSUPPORTED);
    CHECK(thrown([&] { embedder.fill_mask("[MASK]", 1); }) == GABION_ERROR_UNSUPPORTED);

    options.pooling = GABION_POOLING_NONE;
    gabion::Embedder states(model, options);
    CHECK(states.embed({"the cat", "dog"})[0].size() == 4 * 32);
    CHECK(thrown([&] { states.embed({}); }) == GABION_ERROR_INVALID_ARGUMENT);
}

void scores(const gabion::Model &model) {
    gabion::Embedder embedder(model);
    CHECK((embedder.labels() == std::vector<std::string>{"bad", "good"}));
    const std::vector<std::vector<float>> pairs = embedder.classify({"the", "the"}, {"cat", "dog"});
    CHECK(pairs.size() == 2 && pairs[0].size() == 2 && pairs[0] != pairs[1]);
    CHECK(embedder.classify({"the"}) != embedder.classify({"cat"}));
    CHECK(thrown([&] { embedder.classify({"the"}, {"cat", "dog"}); }) == GABION_ERROR_INVALID_ARGUMENT);
    CHECK(thrown([&] { embedder.rerank("the", {"cat"}); }) == GABION_ERROR_UNSUPPORTED);
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 5);
    const gabion::Runtime runtime("cpu", 2);
    const gabion::Model decoder(runtime, argv[1]), encoder(runtime, argv[2]);
    CHECK(thrown([&] { gabion::Embedder embedder(decoder); }) == GABION_ERROR_UNSUPPORTED);
    CHECK(thrown([&] { gabion::Session session(encoder); }) == GABION_ERROR_UNSUPPORTED);
    vectors(encoder);
    scores(gabion::Model(runtime, argv[3]));
    gabion::Embedder masked((gabion::Model(runtime, argv[4])));
    CHECK(masked.fill_mask("the [MASK] on [MASK]", 16).size() == 32);
    std::cout << "embedder: ok" << std::endl;
    return 0;
}
