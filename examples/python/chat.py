"""A conversation on the terminal: every line is a question, an empty one ends. Ctrl-C ends an answer.

    pip install gabion
    python chat.py model.gguf [DEVICE [MAX_TOKENS]]
"""

import sys

import gabion


def progress(loaded: int, total: int) -> None:
    print(f"\rloading {100 * loaded // max(total, 1)} %", end="", file=sys.stderr, flush=True)


def answer(pieces) -> None:
    try:
        for text in pieces:
            print(text, end="", flush=True)
    except KeyboardInterrupt:
        pieces.close()
        print(" [cancelled]", end="")
    print()


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    device = sys.argv[2] if len(sys.argv) > 2 else "auto"
    max_tokens = int(sys.argv[3]) if len(sys.argv) > 3 else None
    with gabion.Model(sys.argv[1], device, progress=progress) as model, model.chat() as chat:
        print(f"\r{model.info.description} on {model.device.name}", file=sys.stderr)
        while True:
            print("> ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline().strip()
            if not line:
                return 0
            answer(chat.send(line, max_tokens=max_tokens))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except gabion.GabionError as error:
        sys.exit(f"\n{error}")
