"""gabion/_abi.py says what include/gabion.h says: names, types, sizes, offsets, constants."""

import ctypes
import re
import shutil
import subprocess
from ctypes import POINTER

import pytest
from conftest import ROOT

from gabion import _abi, errors

HEADER = re.sub(r"//.*", "", (ROOT / "include/gabion.h").read_text())
HEADER = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
HANDLES = {f"gabion_{name}" for name in ("runtime", "model", "session", "generation", "fit", "embedder")}
SCALARS = {
    "bool": ctypes.c_bool,
    "double": ctypes.c_double,
    "float": ctypes.c_float,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint8_t": ctypes.c_uint8,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "gabion_status": ctypes.c_int32,
    "void": None,
}


def split(declaration: str) -> tuple:
    """The type and the name of `const char *name`."""
    kind, name = re.fullmatch(r"(.*?)(\w+)", declaration.strip(), re.DOTALL).groups()
    return re.sub(r"\s*(\*+)\s*", r" \1", kind.strip()), name


def mirror(kind: str):
    """The ctypes type of a C type."""
    base, stars = re.fullmatch(r"(?:const )?(\w+) ?(\**)", kind).groups()
    if base in HANDLES:
        base = "void"
    if base == "char":
        # what we hand over is bytes; what is filled is a buffer
        return ctypes.c_char_p if kind.startswith("const") else ctypes.c_void_p
    if base == "void":
        return {"": None, "*": ctypes.c_void_p, "**": POINTER(ctypes.c_void_p)}[stars]
    made = SCALARS[base] if base in SCALARS else getattr(_abi, base)
    for _ in stars:
        made = POINTER(made)
    return made


def parameters(text: str) -> list:
    return [] if text.strip() == "void" else [mirror(split(part)[0]) for part in text.split(",")]


def header_functions() -> dict:
    found = re.findall(r"GABION_API\s+([^;()]*?)(gabion_\w+)\(([^)]*)\);", HEADER)
    return {name: (mirror(re.sub(r"\s*(\*+)\s*", r" \1", kind.strip())), parameters(rest)) for kind, name, rest in found}


def header_structs() -> dict:
    found = re.findall(r"typedef struct \{([^}]*)\} (\w+);", HEADER)
    return {name: [split(field) for field in body.split(";")[:-1]] for body, name in found}


def test_functions():
    assert len(header_functions()) > 30
    assert header_functions() == _abi.FUNCTIONS


def test_callbacks():
    found = re.findall(r"typedef (\w+) \(\*(gabion_\w+_fn)\)\(([^)]*)\);", HEADER)
    assert len(found) == 4
    for result, name, rest in found:
        mine = getattr(_abi, name)
        assert (mine._restype_, list(mine._argtypes_)) == (mirror(result), parameters(rest)), name


def test_structs_have_the_same_fields():
    mine = {struct.__name__: [name for name, _ in struct._fields_] for struct in _abi.STRUCTS}
    assert mine == {name: [field for _, field in fields] for name, fields in header_structs().items()}


def test_field_types():
    for struct in _abi.STRUCTS:
        for (name, mine), (kind, _) in zip(struct._fields_, header_structs()[struct.__name__]):
            # the one text that may hold a NUL is read through a pointer
            wanted = ctypes.c_void_p if (struct, name) == (_abi.gabion_piece, "text") else mirror(kind)
            assert mine == wanted, f"{struct.__name__}.{name}"


def test_sizes_and_offsets(tmp_path):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler is here")
    wanted = {}
    lines = []
    for struct in _abi.STRUCTS:
        name = struct.__name__
        wanted[name] = ctypes.sizeof(struct)
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, _ in struct._fields_:
            wanted[f"{name}.{field}"] = getattr(struct, field).offset
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    source = tmp_path / "layout.c"
    source.write_text('#include <gabion.h>\n#include <stdio.h>\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0; }\n")
    subprocess.run([compiler, f"-I{ROOT / 'include'}", source, "-o", tmp_path / "layout"], check=True)
    printed = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True).stdout
    assert {name: int(value) for name, value in map(str.split, printed.splitlines())} == wanted


def test_constants():
    found = {name: int(value) for name, value in re.findall(r"#define GABION_(\w+) (-?\d+)", HEADER)}
    theirs = {value for name, value in found.items() if name.startswith("ERROR_")}
    assert theirs == {kind.status for kind in errors.GabionError.__subclasses__()}
    for kind in errors.GabionError.__subclasses__():
        name = {"io": "IO", "gguf": "GGUF"}.get(kind.code, kind.code.upper())
        assert found[f"ERROR_{name}"] == kind.status
    assert [found[name] for name in ("OK", "DONE", "TRUNCATED", "NOT_FOUND")] == [0, 1, 2, 3]
    assert found["ABI_VERSION"] == _abi.ABI_VERSION
    assert [found[f"DEVICE_{kind.upper()}"] for kind in _abi.DEVICE_KINDS] == [0, 1, 2]
    kinds = {name[3:]: value for name, value in found.items() if name.startswith("KV_")}
    assert kinds == {(name or "default").upper(): value for name, value in _abi.KV_TYPES.items()}
    forms = {name[5:]: value for name, value in found.items() if name.startswith("GELU_")}
    assert forms == {(name or "default").upper(): value for name, value in _abi.GELUS.items()}
    poolings = {name[8:]: value for name, value in found.items() if name.startswith("POOLING_")}
    assert poolings == {(name or "default").upper(): value for name, value in _abi.POOLINGS.items()}
    assert [found[f"TEXT_{kind.upper()}"] for kind in _abi.TEXT_KINDS] == list(_abi.TEXT_KINDS.values())
    assert [found[f"TASK_{task.upper()}"] for task in _abi.TASKS[1:]] == [1, 2, 3]
    stops = ["NONE", "EOG", "STRING", "MAX_TOKENS", "CONTEXT"]
    assert [found[f"STOP_{name}"] for name in stops] == list(range(len(_abi.STOP_REASONS)))
    assert "GABION_NO_TOKEN UINT32_MAX" in HEADER and _abi.NO_TOKEN == 2**32 - 1


def test_the_comparison_can_fail(monkeypatch):
    """A changed argument or field is noticed."""
    changed = HEADER.replace("size_t n_ctx;", "size_t n_context;").replace("uint32_t token);", "uint64_t token);")
    assert changed != HEADER
    monkeypatch.setitem(globals(), "HEADER", changed)
    for test in (test_functions, test_structs_have_the_same_fields):
        with pytest.raises(AssertionError):
            test()
