"""Sessions: context, logits, generation, cancelling, threads."""

import math
import threading

import gabion
import pytest

GREEDY = {"temperature": 0}


def test_sync_reuses(session):
    assert session.sync([1, 2, 3, 4]) == gabion.Synced(0, 4)
    assert session.tokens == [1, 2, 3, 4]
    assert session.sync([1, 2, 9]) == gabion.Synced(2, 1)
    assert session.tokens == [1, 2, 9]
    session.clear()
    assert session.tokens == []
    assert len(session.logits) == 0


def test_logits(session, model):
    assert len(session.logits) == 0
    session.sync([5, 6])
    first = session.logits
    assert len(first) == model.info.n_vocab
    assert all(math.isfinite(x) for x in first)
    session.step(7)
    assert session.logits != first
    session.sync([5, 6, 7])


def test_saved_restored_and_forked(session, model):
    session.sync([5, 6, 7])
    saved = session.save()
    with model.session() as other, session.fork() as fork:
        other.restore(saved)
        assert other.tokens == fork.tokens == [5, 6, 7]
        for one in (session, other, fork):
            one.step(8)
        assert session.logits == other.logits == fork.logits
        damaged = saved[:40] + bytes([saved[40] ^ 1]) + saved[41:]
        for bad in (b"", b"gabsess1", damaged):
            with pytest.raises(gabion.InvalidArgument):
                other.restore(bad)
        assert other.tokens == [5, 6, 7, 8]
    with model.session(n_ctx=2) as small, pytest.raises(gabion.ContextFull):
        small.restore(saved)


def test_score_is_the_log_probability_of_the_logits(model_path):
    tokens = [5, 6, 7, 8]
    # exact: else the number of tokens computed at once shows in the last digits
    with gabion.Model(model_path, "cpu", exact=True) as model, model.session() as session:
        nll = session.score(tokens)
        assert len(nll) == 3
        session.sync(tokens[:1])
        logits = session.logits
        assert session.score([3]) == []
    top = max(logits)
    wanted = math.log(sum(math.exp(x - top) for x in logits)) + top - logits[tokens[1]]
    assert nll[0] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("tokens", [[], [2**31], [-1], [2**32], ["a"], [1.5]])
def test_bad_tokens(session, tokens):
    for call in (session.sync, session.score):
        with pytest.raises(gabion.InvalidArgument):
            call(tokens)


def test_context_full(model):
    with model.session(n_ctx=8) as session:
        assert session.n_ctx == 8
        with pytest.raises(gabion.ContextFull):
            session.sync(list(range(9)))
        session.sync(list(range(8)))
        with pytest.raises(gabion.ContextFull):
            session.step(1)
        generation = session.events([1, 2, 3], ignore_eog=True)
        assert len([piece for piece in generation if piece.token is not None]) == 6
        assert generation.stop_reason == "context"


@pytest.mark.parametrize("options", [{"n_ctx": 1 << 40}, {"kv": "f8"}])
def test_bad_session_options(model, options):
    with pytest.raises(gabion.InvalidArgument):
        model.session(**options)


def test_text_and_steps_are_the_same(session):
    text = "".join(session.generate("hello", max_tokens=12, **GREEDY))
    session.clear()
    generation = session.events("hello", max_tokens=12, logprobs=3, **GREEDY)
    pieces = list(generation)
    assert "".join(piece.text for piece in pieces) == text
    tokens = [piece for piece in pieces if piece.token is not None]
    assert generation.generated == len(tokens)
    for piece in tokens:
        # greedy: the token is the most likely one
        assert piece.top[0] == (piece.token, piece.logprob)
        assert len(piece.top) == 3
        assert piece.logprob <= 0


def test_events_without_logprobs(session):
    piece = next(iter(session.events("a", max_tokens=1)))
    assert (piece.logprob, piece.top) == (None, ())


def test_a_seed_repeats(session):
    def run(seed):
        return [p.token for p in session.events("x", max_tokens=10, seed=seed, temperature=1.5, top_k=0, ignore_eog=True)]

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_prompts(session, model):
    tokens = model.tokenize("hello")
    from_text = list(session.generate("hello", max_tokens=5, **GREEDY))
    assert list(session.generate(tokens, max_tokens=5, **GREEDY)) == from_text


def test_stop_reasons(session):
    generation = session.events("hello", max_tokens=3, ignore_eog=True)
    generation.text()
    assert (generation.stop_reason, generation.generated) == ("length", 3)
    nothing = session.events("hello", max_tokens=0)
    assert nothing.text() == ""
    assert nothing.stop_reason == "length"


def test_stop_strings(session):
    def run(**options):
        generation = session.events("hello", max_tokens=40, ignore_eog=True, **GREEDY, **options)
        return generation.text(), generation.stop_reason

    whole, reason = run()
    assert reason == "length"
    letters = [i for i, letter in enumerate(whole) if letter.isascii() and letter.isalpha()]
    stop = whole[letters[3] : letters[3] + 1]
    assert run(stop=stop) == (whole[: whole.index(stop)], "stop")
    assert run(stop=["never", stop]) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize(
    "options", [{"stop": ""}, {"stop": ["x"] * 65}, {"temperature": float("nan")}, {"stop": "x" * 5000}]
)
def test_bad_generate_options(session, options):
    with pytest.raises(gabion.InvalidArgument):
        session.events("hello", **options).text()
    session.sync([1])


def test_a_running_generation_has_the_session(session):
    with session.events("hello", ignore_eog=True) as generation:
        next(generation)
        for call in (session.clear, lambda: session.sync([1]), lambda: session.tokens, lambda: session.logits):
            with pytest.raises(gabion.Busy):
                call()
        with pytest.raises(gabion.Busy):
            session.events("a").text()
        next(generation)
    session.sync([1])
    assert generation.stop_reason is None
    with pytest.raises(StopIteration):
        next(generation)


def test_a_dropped_generator_gives_the_session_back(session):
    for _ in session.generate("hello", ignore_eog=True):
        break
    session.sync([1])


def test_a_generation_outlives_its_session(model):
    session = model.session()
    generation = session.events("hello", ignore_eog=True)
    next(generation)
    session.close()
    next(generation)
    generation.close()
    with pytest.raises(gabion.InvalidArgument, match="closed"):
        session.tokens


def test_cancel(session):
    generation = session.events("hello", ignore_eog=True)
    next(generation)
    session.cancel()
    with pytest.raises(gabion.Cancelled):
        for _ in generation:
            pass
    assert session.sync([1, 2]).computed > 0


def test_cancel_from_another_thread(model_path):
    with gabion.Model(model_path, "cpu", threads=1) as model, model.session(n_ctx=4096) as session:
        tokens = [(i * 7) % 200 for i in range(4096)]
        timer = threading.Timer(0.05, session.cancel)
        timer.start()
        try:
            session.score(tokens)
            pytest.skip("too fast to be cancelled here")
        except gabion.Cancelled:
            pass
        finally:
            timer.join()
        assert session.sync([1, 2]).computed == 2


def test_two_threads_in_one_session(model):
    """Whoever comes second gets Busy; nothing else happens."""
    answers, start = [], threading.Barrier(4)

    def use(session):
        start.wait()
        for _ in range(20):
            try:
                session.sync([1, 2, 3, 4, 5, 6])
                session.clear()
                answers.append("ok")
            except gabion.Busy:
                answers.append("busy")

    with model.session() as session:
        threads = [threading.Thread(target=use, args=[session]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 80 and "ok" in answers


def test_sessions_of_one_model_in_parallel(model):
    results = {}

    def run(name):
        with model.session() as session:
            results[name] = "".join(session.generate("hello", max_tokens=10, **GREEDY))

    threads = [threading.Thread(target=run, args=[i]) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3 and len(set(results.values())) == 1


def test_chat(smollm2):
    with gabion.Model(smollm2, "cpu") as model, model.chat("You are terse.", n_ctx=512) as chat:
        first = "".join(chat.send("Say hello.", max_tokens=8, **GREEDY))
        assert first
        generation = chat.session.events(chat.messages + [{"role": "user", "content": "Again."}], max_tokens=1)
        generation.text()
        # the first turn, up to its answer, is not computed again
        assert generation.reused > generation.computed
        assert [message["role"] for message in chat.messages] == ["system", "user", "assistant"]
        assert chat.messages[-1]["content"] == first


def test_log(model_path):
    lines = []
    gabion.set_log(lambda *line: lines.append(line), "trace")
    try:
        with gabion.Model(model_path, "cpu") as model:
            model.session(n_ctx=1 << 14).close()
    finally:
        gabion.set_log(None)
    assert ("warn", True) in [(level, "trained" in message) for level, _, message in lines]
    count = len(lines)
    with gabion.Model(model_path, "cpu") as model:
        model.session(n_ctx=1 << 14).close()
    assert len(lines) == count
