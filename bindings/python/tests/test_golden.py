"""The same answers through this face as llama.cpp's, from the shared golden files: prompt tokens, scores, greedy tokens."""

import json

import gabion
import pytest
from conftest import shared


@pytest.fixture(scope="module")
def cases():
    path = shared("golden/smollm2.json")
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return json.loads(path.read_text())


def test_smollm2(smollm2, cases):
    with gabion.Model(smollm2, "cpu", exact=True) as model, model.session(n_ctx=512) as session:
        for case in cases:
            prompt = case["prompt_ids"]
            assert model.tokenize(case["text"], parse_special=True) == prompt, case["name"]
            assert session.score(prompt) == pytest.approx(case["prompt_nll"], abs=2e-3), case["name"]
            wanted = case["greedy"]
            options = {"temperature": 0, "max_tokens": len(wanted), "ignore_eog": True, "logprobs": 1}
            pieces = [piece for piece in session.events(prompt, **options) if piece.token is not None]
            assert [piece.token for piece in pieces] == [token["id"] for token in wanted], case["name"]
            logprobs = [token["logprob"] for token in wanted]
            assert [piece.logprob for piece in pieces] == pytest.approx(logprobs, abs=2e-3), case["name"]
