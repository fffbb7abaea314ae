"""Serves the chat page, the built package and the models of the cache folder.

    python3 examples/web/serve.py [PORT]        (default 8000; 0 takes any free port)

Any other web server that serves the repository does as well; the page then offers addresses and local files only.
"""

import json
import os
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gabion"
MODELS = Path(os.environ.get("GABION_MODELS") or CACHE)
PAGE = "/examples/web/"


def models() -> bytes:
    """What the page's picker lists, smallest first."""
    files = sorted(MODELS.glob("*.gguf"), key=lambda file: file.stat().st_size)
    entries = [{"name": f.name, "url": f"/models/{quote(f.name)}", "bytes": f.stat().st_size} for f in files]
    return json.dumps(entries).encode()


class Handler(SimpleHTTPRequestHandler):
    """Files of the repository, and two addresses of its own."""

    def do_GET(self) -> None:
        if self.path == "/":
            self.send_response(302)
            self.send_header("Location", PAGE)
            self.end_headers()
        elif self.path == f"{PAGE}models.json":
            body = models()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        if path.startswith("/models/"):
            return str(MODELS / Path(unquote(path)).name)
        return super().translate_path(path)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    server = ThreadingHTTPServer(("127.0.0.1", port), lambda *args: Handler(*args, directory=str(ROOT)))
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
