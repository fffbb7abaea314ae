"""include/gabion.h as ctypes: structs, callbacks and functions, by the same names. A test compares it with the header."""

from __future__ import annotations

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)
from typing import Any, TypeVar

ABI_VERSION = 0

OK = 0
DONE = 1
TRUNCATED = 2
NOT_FOUND = 3

DEVICE_KINDS = ("cpu", "gpu", "software")
KV_TYPES = {None: 0, "f16": 1, "f32": 2, "q8_0": 3, "q4_0": 4}
GELUS = {None: 0, "tanh": 1, "erf": 2}
POOLINGS = {None: 0, "none": 1, "mean": 2, "cls": 3, "last": 4}
TEXT_KINDS = {"plain": 0, "query": 1, "document": 2}
TASKS = ("generate", "embed", "score", "fill")
STOP_REASONS = (None, "eog", "stop", "length", "context")
NO_TOKEN = 0xFFFF_FFFF

S = TypeVar("S", bound=Structure)


def sized(struct: type[S], **fields: Any) -> S:
    """A struct that knows its size, the rest zeros."""
    return struct(struct_size=sizeof(struct), **fields)


class gabion_device_info(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_int32),
        ("name", c_char_p),
        ("backend", c_char_p),
        ("driver", c_char_p),
        ("threads", c_size_t),
    ]


class gabion_runtime_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("device", c_char_p),
        ("device_len", c_size_t),
        ("threads", c_size_t),
        ("level", c_char_p),
        ("level_len", c_size_t),
    ]


gabion_log_fn = CFUNCTYPE(None, c_int32, c_char_p, c_char_p, c_void_p)
gabion_device_fn = CFUNCTYPE(c_bool, POINTER(gabion_device_info), c_void_p)
gabion_progress_fn = CFUNCTYPE(c_bool, c_uint64, c_uint64, c_void_p)


class gabion_model_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("exact", c_uint32),
        ("progress", gabion_progress_fn),
        ("progress_user_data", c_void_p),
        ("gelu", c_int32),
    ]


class gabion_model_info(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("architecture", c_char_p),
        ("name", c_char_p),
        ("description", c_char_p),
        ("n_vocab", c_size_t),
        ("n_ctx_train", c_size_t),
        ("n_embd", c_size_t),
        ("n_layer", c_size_t),
        ("weight_bytes", c_uint64),
        ("has_tokenizer", c_uint32),
        ("has_chat_template", c_uint32),
    ]


class gabion_chat_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("add_generation_prompt", c_uint32)]


class gabion_message(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("role", c_char_p),
        ("role_len", c_size_t),
        ("content", c_char_p),
        ("content_len", c_size_t),
    ]


class gabion_session_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("n_ctx", c_size_t), ("n_batch", c_size_t), ("kv_type", c_int32)]


class gabion_fit_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("exact", c_uint32),
        ("kv_type", c_int32),
        ("n_ctx", c_size_t),
        ("n_batch", c_size_t),
        ("memory_limit", c_uint64),
        ("gelu", c_int32),
    ]


class gabion_fit_info(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("architecture", c_char_p),
        ("name", c_char_p),
        ("tokenizer", c_char_p),
        ("problem", c_char_p),
        ("n_parameters", c_uint64),
        ("tensor_bytes", c_uint64),
        ("bits_per_weight", c_double),
        ("n_ctx_train", c_size_t),
        ("n_vocab", c_size_t),
        ("n_embd", c_size_t),
        ("n_layer", c_size_t),
        ("weight_bytes", c_uint64),
        ("kv_bytes", c_uint64),
        ("scratch_bytes", c_uint64),
        ("memory_limit", c_uint64),
        ("buffer_limit", c_uint64),
        ("n_ctx", c_size_t),
        ("n_batch", c_size_t),
        ("max_n_ctx", c_size_t),
        ("kv_type", c_int32),
        ("has_chat_template", c_uint32),
        ("fits", c_uint32),
    ]


class gabion_string(Structure):
    _fields_ = [("data", c_char_p), ("len", c_size_t)]


class gabion_generate_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("max_tokens", c_int64),
        ("seed", c_uint64),
        ("temperature", c_float),
        ("top_p", c_float),
        ("min_p", c_float),
        ("top_k", c_uint32),
        ("stop", POINTER(gabion_string)),
        ("n_stop", c_size_t),
        ("ignore_eog", c_uint32),
        ("logprobs", c_uint32),
    ]


class gabion_token_logprob(Structure):
    _fields_ = [("token", c_uint32), ("logprob", c_float)]


class gabion_piece(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        # a pointer, not c_char_p: the text may hold what ends a C string
        ("text", c_void_p),
        ("text_len", c_size_t),
        ("token", c_uint32),
        ("logprob", c_float),
        ("top", POINTER(gabion_token_logprob)),
        ("n_top", c_size_t),
    ]


class gabion_generation_info(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("stop_reason", c_int32),
        ("n_generated", c_size_t),
        ("n_reused", c_size_t),
        ("n_computed", c_size_t),
    ]


class gabion_embedder_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("max_tokens", c_size_t),
        ("batch_tokens", c_size_t),
        ("dimensions", c_size_t),
        ("pooling", c_int32),
        ("normalize", c_uint32),
        ("truncate", c_uint32),
        ("query_prefix", c_char_p),
        ("query_prefix_len", c_size_t),
        ("document_prefix", c_char_p),
        ("document_prefix_len", c_size_t),
    ]


class gabion_embedder_info(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("max_tokens", c_size_t),
        ("batch_tokens", c_size_t),
        ("dimensions", c_size_t),
        ("n_scores", c_size_t),
        ("bytes", c_uint64),
        ("task", c_int32),
        ("pooling", c_int32),
    ]


class gabion_guess(Structure):
    _fields_ = [("mask", c_uint32), ("token", c_uint32), ("probability", c_float)]


gabion_piece_fn = CFUNCTYPE(c_bool, POINTER(gabion_piece), c_void_p)

STRUCTS = [
    gabion_device_info,
    gabion_runtime_options,
    gabion_model_options,
    gabion_model_info,
    gabion_chat_options,
    gabion_message,
    gabion_session_options,
    gabion_fit_options,
    gabion_fit_info,
    gabion_string,
    gabion_generate_options,
    gabion_token_logprob,
    gabion_piece,
    gabion_generation_info,
    gabion_embedder_options,
    gabion_embedder_info,
    gabion_guess,
]

_handle = c_void_p  # gabion_runtime *, gabion_model *, gabion_session *, gabion_generation *, gabion_fit *, gabion_embedder *
_made = POINTER(c_void_p)
_status = c_int32
_size_out = POINTER(c_size_t)
_ids = POINTER(c_uint32)
_text = [c_char_p, c_size_t]
_text_out = [c_void_p, c_size_t, _size_out]
_ids_out = [_ids, c_size_t, _size_out]
_ids_in = [_ids, c_size_t]
_texts_in = [POINTER(gabion_string), c_size_t]
_floats_out = [POINTER(c_float), c_size_t, _size_out]

# name: (result, arguments)
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "gabion_version": (c_char_p, []),
    "gabion_abi_version": (c_uint32, []),
    "gabion_last_error": (c_char_p, []),
    "gabion_set_log_callback": (_status, [gabion_log_fn, c_int32, c_void_p]),
    "gabion_devices": (_status, [gabion_device_fn, c_void_p]),
    "gabion_runtime_options_init": (_status, [POINTER(gabion_runtime_options), c_size_t]),
    "gabion_runtime_new": (_status, [POINTER(gabion_runtime_options), _made]),
    "gabion_runtime_free": (None, [_handle]),
    "gabion_runtime_get_info": (_status, [_handle, POINTER(gabion_device_info)]),
    "gabion_model_options_init": (_status, [POINTER(gabion_model_options), c_size_t]),
    "gabion_model_open": (_status, [_handle, *_text, POINTER(gabion_model_options), _made]),
    "gabion_model_from_memory": (
        _status,
        [_handle, POINTER(c_uint8), c_size_t, POINTER(gabion_model_options), _made],
    ),
    "gabion_model_free": (None, [_handle]),
    "gabion_model_get_info": (_status, [_handle, POINTER(gabion_model_info)]),
    "gabion_model_metadata": (_status, [_handle, *_text, *_text_out]),
    "gabion_model_metadata_key": (_status, [_handle, c_size_t, *_text_out]),
    "gabion_chat_options_init": (_status, [POINTER(gabion_chat_options), c_size_t]),
    "gabion_model_tokenize": (_status, [_handle, *_text, c_bool, c_bool, *_ids_out]),
    "gabion_model_detokenize": (_status, [_handle, *_ids_in, c_bool, *_text_out]),
    "gabion_model_chat_tokens": (
        _status,
        [_handle, POINTER(gabion_message), c_size_t, POINTER(gabion_chat_options), *_ids_out],
    ),
    "gabion_model_token_text": (_status, [_handle, c_uint32, *_text_out]),
    "gabion_model_is_eog": (c_bool, [_handle, c_uint32]),
    "gabion_session_options_init": (_status, [POINTER(gabion_session_options), c_size_t]),
    "gabion_session_new": (_status, [_handle, POINTER(gabion_session_options), _made]),
    "gabion_session_free": (None, [_handle]),
    "gabion_session_cancel": (None, [_handle]),
    "gabion_session_n_ctx": (c_size_t, [_handle]),
    "gabion_session_clear": (_status, [_handle]),
    "gabion_session_sync": (_status, [_handle, *_ids_in, _size_out, _size_out]),
    "gabion_session_step": (_status, [_handle, c_uint32]),
    "gabion_session_logits": (_status, [_handle, POINTER(POINTER(c_float)), _size_out]),
    "gabion_session_tokens": (_status, [_handle, POINTER(POINTER(c_uint32)), _size_out]),
    "gabion_session_save": (_status, [_handle, POINTER(POINTER(c_uint8)), _size_out]),
    "gabion_session_restore": (_status, [_handle, POINTER(c_uint8), c_size_t]),
    "gabion_session_fork": (_status, [_handle, _made]),
    "gabion_bytes_free": (None, [POINTER(c_uint8), c_size_t]),
    "gabion_session_score": (_status, [_handle, *_ids_in, POINTER(c_float), c_size_t]),
    "gabion_fit_options_init": (_status, [POINTER(gabion_fit_options), c_size_t]),
    "gabion_fit_open": (_status, [_handle, *_text, POINTER(gabion_fit_options), _made]),
    "gabion_fit_from_memory": (
        _status,
        [_handle, POINTER(c_uint8), c_size_t, POINTER(gabion_fit_options), _made],
    ),
    "gabion_fit_free": (None, [_handle]),
    "gabion_fit_get_info": (_status, [_handle, POINTER(gabion_fit_info)]),
    "gabion_generate_options_init": (_status, [POINTER(gabion_generate_options), c_size_t]),
    "gabion_generation_new": (_status, [_handle, *_ids_in, POINTER(gabion_generate_options), _made]),
    "gabion_generation_next": (_status, [_handle, POINTER(gabion_piece)]),
    "gabion_generation_get_info": (_status, [_handle, POINTER(gabion_generation_info)]),
    "gabion_generation_free": (None, [_handle]),
    "gabion_session_generate": (
        _status,
        [
            _handle,
            *_ids_in,
            POINTER(gabion_generate_options),
            gabion_piece_fn,
            c_void_p,
            POINTER(gabion_generation_info),
        ],
    ),
    "gabion_embedder_options_init": (_status, [POINTER(gabion_embedder_options), c_size_t]),
    "gabion_embedder_new": (_status, [_handle, POINTER(gabion_embedder_options), _made]),
    "gabion_embedder_free": (None, [_handle]),
    "gabion_embedder_cancel": (None, [_handle]),
    "gabion_embedder_get_info": (_status, [_handle, POINTER(gabion_embedder_info)]),
    "gabion_embedder_label": (_status, [_handle, c_size_t, *_text_out]),
    "gabion_embedder_embed": (_status, [_handle, *_texts_in, c_int32, *_floats_out]),
    "gabion_embedder_embed_tokens": (_status, [_handle, *_ids_in, *_floats_out]),
    "gabion_embedder_rerank": (_status, [_handle, *_text, *_texts_in, POINTER(c_float)]),
    "gabion_embedder_classify": (
        _status,
        [_handle, POINTER(gabion_string), POINTER(gabion_string), c_size_t, *_floats_out],
    ),
    "gabion_embedder_fill_mask": (
        _status,
        [_handle, *_text, c_size_t, POINTER(gabion_guess), c_size_t, _size_out],
    ),
}
