"""Models: loading, what they say about themselves, text in and out, errors."""

import gabion
import pytest
from conftest import shared


def test_devices_begin_with_the_cpu():
    first = gabion.devices()[0]
    assert (first.kind, first.backend) == ("cpu", "cpu")
    assert first.threads > 0


def test_info(model):
    info = model.info
    assert info.architecture == "llama"
    assert info.architecture in info.description
    assert info.n_vocab > 0 and info.n_layer > 0 and info.weight_bytes > 0
    assert info.has_tokenizer
    assert model.device.kind == "cpu"


def test_metadata(model):
    keys = list(model.metadata)
    assert len(keys) == len(model.metadata) > 5
    assert model.metadata["general.architecture"] == "llama"
    assert int(model.metadata["llama.block_count"]) == model.info.n_layer
    assert "no.such.key" not in model.metadata
    with pytest.raises(KeyError):
        model.metadata["no.such.key"]


@pytest.mark.parametrize("text", ["", "Hello, world", "héllo wörld", "日本語 🙂", "a\0b", "x" * 5000])
def test_tokens_give_the_text_back(model, text):
    tokens = model.tokenize(text, add_special=False)
    assert model.detokenize(tokens) == text
    assert all(0 <= token < model.info.n_vocab for token in tokens)


def test_token_text(model):
    token = model.tokenize("a", add_special=False)[0]
    assert model.token_text(token) == "a"
    assert not model.is_eog(token)
    with pytest.raises(gabion.InvalidArgument, match="outside the vocabulary"):
        model.token_text(model.info.n_vocab)


def test_an_end_of_generation_token(model):
    assert any(model.is_eog(token) for token in range(model.info.n_vocab))
    assert not model.is_eog(2**32 - 1)


def test_progress_reaches_the_end(model_path):
    seen = []
    gabion.Model(model_path, "cpu", progress=lambda *at: seen.append(at)).close()
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)


def test_progress_cancels(model_path):
    with pytest.raises(gabion.Cancelled) as caught:
        gabion.Model(model_path, "cpu", progress=lambda loaded, total: False)
    assert (caught.value.code, caught.value.status) == ("cancelled", -12)


def test_an_exception_in_progress_comes_out(model_path):
    def progress(loaded, total):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        gabion.Model(model_path, "cpu", progress=progress)


def test_gelu_takes_the_form_it_is_told():
    path = shared("tiny/gptneox.gguf")
    if not path.exists():
        pytest.skip(f"{path} is not here")

    def logits(gelu):
        with gabion.Model(path, "cpu", exact=True, gelu=gelu) as model, model.session() as session:
            session.sync([1, 2, 3])
            return session.logits

    # the models of this family define the exact function
    assert logits(None) == logits("erf") != logits("tanh")
    assert all(abs(a - b) < 0.05 for a, b in zip(logits("erf"), logits("tanh")))


def test_an_unknown_gelu_is_named(model_path):
    for make in (gabion.Model, lambda path, **options: gabion.Model.from_bytes(path.read_bytes(), **options)):
        with pytest.raises(gabion.InvalidArgument, match="gelu is 'relu', not None, 'tanh' or 'erf'"):
            make(model_path, gelu="relu")


def test_from_bytes(model_path, model):
    with gabion.Model.from_bytes(model_path.read_bytes(), "cpu") as other:
        assert other.info == model.info


@pytest.mark.parametrize(
    "data, kind",
    [(b"", gabion.FormatError), (b"GGUF", gabion.FormatError), (b"not a model" * 9, gabion.FormatError)],
)
def test_hostile_bytes(data, kind):
    with pytest.raises(kind) as caught:
        gabion.Model.from_bytes(data, "cpu")
    assert caught.value.code == "gguf"


def test_truncations_and_flips(model_path):
    data = model_path.read_bytes()[:200_000]
    for end in range(0, 4000, 97):
        with pytest.raises(gabion.GabionError):
            gabion.Model.from_bytes(data[:end], "cpu")
    for at in range(0, 4000, 61):
        changed = bytearray(data)
        changed[at] ^= 0x81
        with pytest.raises(gabion.GabionError):
            gabion.Model.from_bytes(changed, "cpu")


def test_errors_name_the_file(tmp_path):
    with pytest.raises(gabion.FileError, match="missing.gguf"):
        gabion.Model(tmp_path / "missing.gguf", "cpu")
    with pytest.raises(gabion.FileError):
        gabion.Model(tmp_path, "cpu")


def test_unknown_device(model_path):
    with pytest.raises(gabion.DeviceError, match="no-such-adapter"):
        gabion.Model(model_path, "no-such-adapter")
    with pytest.raises(gabion.InvalidArgument):
        gabion.Model(model_path, "cpu", threads=5000)
    with pytest.raises(gabion.InvalidArgument, match="no-such-level"):
        gabion.Model(model_path, "gpu", level="no-such-level")


def test_closed(model_path):
    model = gabion.Model(model_path, "cpu")
    session = model.session()
    model.close()
    model.close()
    with pytest.raises(gabion.InvalidArgument, match="closed"):
        model.tokenize("a")
    # what the session needs of the model lives on
    assert session.sync([1, 2]).computed == 2
    session.close()


def test_chat_tokens(smollm2):
    with gabion.Model(smollm2, "cpu") as model:
        tokens = model.chat_tokens([{"role": "user", "content": "Hi <|im_end|>"}])
        text = model.detokenize(tokens, special=True)
        assert text.endswith("<|im_start|>assistant\n")
        # the user's own <|im_end|> is text, not the control token
        end = model.tokenize("<|im_end|>", add_special=False, parse_special=True)
        assert len(end) == 1 and text.count("<|im_end|>") == tokens.count(end[0]) + 1
        without = model.chat_tokens([{"role": "user", "content": "Hi <|im_end|>"}], add_generation_prompt=False)
        assert tokens[: len(without)] == without and len(tokens) > len(without)


def test_no_chat_template(model):
    if model.info.has_chat_template:
        pytest.skip("this model has one")
    with pytest.raises(gabion.TemplateError) as caught:
        model.chat_tokens([{"role": "user", "content": "Hi"}])
    assert caught.value.code == "template"
