"""Embedders: vectors, scores, masks, and what they refuse."""

import math
import threading

import gabion
import pytest


def near(a, b, within=1e-4):
    return len(a) == len(b) and all(abs(x - y) <= within for x, y in zip(a, b))


@pytest.fixture(scope="module")
def encoder(toys):
    with gabion.Model(toys / "encoder.gguf", "cpu", exact=True) as model:
        yield model


def head(toys, name):
    return gabion.Model(toys / f"{name}.gguf", "cpu", exact=True)


def test_vectors(encoder):
    with encoder.embedder() as embedder:
        assert (embedder.task, embedder.pooling, embedder.dimensions) == ("embed", "mean", 32)
        assert embedder.max_tokens == 64 and embedder.batch_tokens >= 64 and embedder.bytes > 0
        assert embedder.n_scores == 0 and embedder.labels == []
        texts = ["the cat", "a dog sat", "", "the cat"]
        vectors = embedder.embed(texts)
        assert [len(vector) for vector in vectors] == [32] * 4
        assert all(abs(math.hypot(*vector) - 1) < 1e-5 for vector in vectors)
        assert near(vectors[0], vectors[3]) and not near(vectors[0], vectors[1])
        assert all(near(embedder.embed([text])[0], vector) for text, vector in zip(texts, vectors))
        assert near(embedder.embed_tokens(encoder.tokenize("the cat")), vectors[0])


def test_options(encoder):
    with encoder.embedder(pooling="none", normalize=False) as embedder:
        states = embedder.embed(["the cat", "dog"])
        assert [len(vector) for vector in states] == [4 * 32, 3 * 32]
        assert near(embedder.embed_tokens(encoder.tokenize("dog")), states[1])
    with encoder.embedder(pooling="cls", normalize=False, dimensions=8) as embedder:
        assert near(embedder.embed(["the cat"])[0], states[0][:8])
    with encoder.embedder(query_prefix="a ", document_prefix="the ") as embedder:
        assert embedder.embed(["dog"], kind="query") == embedder.embed(["a dog"])
        assert embedder.embed(["dog"], kind="document") == embedder.embed(["the dog"])
    with encoder.embedder(max_tokens=4, truncate=True) as embedder:
        assert embedder.embed(["the cat sat on the mat"]) == embedder.embed(["the cat"])


def test_scores(toys):
    with head(toys, "classifier") as model, model.embedder() as embedder:
        assert (embedder.task, embedder.labels, embedder.n_scores) == ("score", ["bad", "good"], 2)
        single = embedder.classify(["the cat", "a dog"])
        assert len(single) == 2 and len(single[0]) == 2 and single[0] != single[1]
        assert embedder.classify([("the cat", "a dog")])[0] != single[0]
        with pytest.raises(gabion.Unsupported, match="2 labels"):
            embedder.rerank("the cat", ["a dog"])
        with pytest.raises(gabion.InvalidArgument):
            embedder.classify(["the cat", ("the cat", "a dog")])
    with head(toys, "reranker") as model, model.embedder() as embedder:
        documents = ["a dog", "the mat", "a dog"]
        scores = embedder.rerank("the cat", documents)
        assert near(scores[:1], scores[2:]) and not near(scores[:1], scores[1:2])
        pairs = embedder.classify([("the cat", document) for document in documents])
        assert near(scores, [pair[0] for pair in pairs])


def test_masks(toys):
    with head(toys, "fills") as model, model.embedder() as embedder:
        masks = embedder.fill_mask("the [MASK] on [MASK]", top=3)
        assert [len(mask) for mask in masks] == [3, 3]
        assert masks[0][0].probability >= masks[0][1].probability and masks[0][0].text
        every = embedder.fill_mask("[MASK] " * 20, top=16)
        assert len(every) == 20 and abs(sum(guess.probability for guess in every[19]) - 1) < 1e-4
        with pytest.raises(gabion.InvalidArgument, match="0 masks"):
            embedder.fill_mask("no mask")


def test_what_is_refused(toys, encoder):
    with head(toys, "decoder") as decoder, pytest.raises(gabion.Unsupported, match="llama.pooling_type"):
        decoder.embedder()
    with pytest.raises(gabion.Unsupported, match="'bert'"):
        encoder.session()
    for options in ({"pooling": "max"}, {"dimensions": 33}, {"max_tokens": 65}):
        with pytest.raises(gabion.InvalidArgument):
            encoder.embedder(**options)
    with encoder.embedder(max_tokens=4) as embedder:
        with pytest.raises(gabion.ContextFull):
            embedder.embed(["the cat sat on the mat"])
        for texts in ([], "a text"):
            with pytest.raises(gabion.InvalidArgument):
                embedder.embed(texts)
        with pytest.raises(gabion.InvalidArgument):
            embedder.embed(["a"], kind="title")
        for tokens in ([], [16], [-1]):
            with pytest.raises(gabion.InvalidArgument):
                embedder.embed_tokens(tokens)
        for call in (lambda: embedder.rerank("a", ["b"]), lambda: embedder.classify(["a"]), lambda: embedder.fill_mask("a")):
            with pytest.raises(gabion.Unsupported):
                call()
        assert len(embedder.embed(["the cat"])[0]) == 32
    with pytest.raises(gabion.InvalidArgument):
        embedder.embed(["closed"])


def test_cancelling_from_another_thread(encoder):
    with encoder.embedder() as embedder:
        expected = embedder.embed(["the cat"])
        embedder.cancel()
        assert embedder.embed(["the cat"]) == expected, "a request from before is dropped"
        done = threading.Event()

        def stop():
            while not done.is_set():
                embedder.cancel()

        thread = threading.Thread(target=stop)
        thread.start()
        try:
            with pytest.raises(gabion.Cancelled):
                while True:
                    embedder.embed(["the cat sat on the mat on the dog"] * 500)
        finally:
            done.set()
            thread.join()
        assert embedder.embed(["the cat"]) == expected
