"""What a model takes, told before it is loaded."""

import gabion
import pytest


def test_it_foretells_a_model_and_a_session(model, model_path):
    fit = gabion.fit(model_path, "cpu")
    info = model.info
    assert (fit.architecture, fit.name, fit.n_vocab) == (info.architecture, info.name, info.n_vocab)
    assert (fit.n_layer, fit.n_embd, fit.n_ctx_train) == (info.n_layer, info.n_embd, info.n_ctx_train)
    assert (fit.weight_bytes, fit.has_chat_template) == (info.weight_bytes, info.has_chat_template)
    with model.session() as session:
        assert (fit.n_ctx, fit.kv) == (session.n_ctx, "f16")
    assert fit.n_parameters > 0 and 1 < fit.bits_per_weight <= 32 and fit.tokenizer
    assert fit.fits and fit.problem is None and fit.max_n_ctx == fit.n_ctx_train and fit.max_buffer is None


def test_options_reach_it(model_path):
    fit = gabion.fit(model_path, "cpu", n_ctx=100, n_batch=8, kv="q8_0", exact=True)
    assert (fit.n_ctx, fit.n_batch, fit.kv) == (100, 8, "q8_0")
    assert gabion.fit(model_path, "cpu", n_ctx=100, n_batch=8, exact=True).kv == "f32"
    # how much memory is free changes from call to call
    assert gabion.fit(model_path, "cpu", gelu="tanh", memory=1 << 34) == gabion.fit(model_path, "cpu", memory=1 << 34)


def test_what_does_not_fit_says_why(model_path):
    total = gabion.fit(model_path, "cpu", n_ctx=100, n_batch=8).total_bytes
    fit = gabion.fit(model_path, "cpu", n_ctx=100, n_batch=8, memory=total - 1)
    assert not fit.fits and "may be taken" in fit.problem and fit.memory == total - 1
    assert 0 < fit.max_n_ctx < 100
    assert gabion.fit(model_path, "cpu", n_ctx=fit.max_n_ctx, n_batch=8, memory=total - 1).fits


def test_the_start_of_a_file_is_enough(model_path):
    data = model_path.read_bytes()
    start = data[: len(data) // 2]
    assert gabion.fit(start, "cpu", memory=1 << 40) == gabion.fit(model_path, "cpu", memory=1 << 40)
    with pytest.raises(gabion.FormatError, match="bytes"):
        gabion.fit(data[:100], "cpu")


def test_what_cannot_run_is_named(model_path):
    data = model_path.read_bytes().replace(b"llama", b"runes")
    with pytest.raises(gabion.Unsupported, match="architecture 'runes'"):
        gabion.fit(data, "cpu")


@pytest.mark.parametrize("wrong", [{"kv": "f8"}, {"gelu": "relu"}, {"memory": 0}, {"n_ctx": 1 << 30}])
def test_wrong_options(model_path, wrong):
    with pytest.raises(gabion.InvalidArgument):
        gabion.fit(model_path, "cpu", **wrong)
    with pytest.raises(gabion.FileError):
        gabion.fit("no/such/file", "cpu")
