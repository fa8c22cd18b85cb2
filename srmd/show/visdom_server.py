"""A visdom server on loopback that needs no network: its page's scripts, fetched once with npm, and its start.

python -m srmd.show.visdom_server --fetch     fetch the page's scripts (part of the set-up)
python -m srmd.show.visdom_server             serve until Ctrl-C, to look at the saved curves again
"""

import argparse
import http.client
import importlib.util
import json
import logging
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

logger = logging.getLogger("srmd")

PORT = 8097  # visdom's own default
START_SECONDS = 15.0
FETCH_SECONDS = 15.0  # how long the server's own download of its page may hold up its start

_MATHJAX = (
    *("MathJax.js", "config/Safe.js", "config/TeX-AMS-MML_HTMLorMML.js", "extensions/Safe.js"),
    *("jax/output/SVG/jax.js", "jax/output/SVG/config.js", "jax/output/SVG/fonts/TeX/fontdata.js"),
    "jax/output/SVG/fonts/TeX/Size1/Regular/Main.js",
)
# Of visdom 0.2.4. npm package: {path inside the package: path under visdom's static/}
_FILES = {
    "jquery@3.1.1": {"dist/jquery.min.js": "js/jquery.min.js"},
    "bootstrap@3.3.7": {
        "dist/js/bootstrap.min.js": "js/bootstrap.min.js",
        "dist/css/bootstrap.min.css": "css/bootstrap.min.css",
        "dist/fonts/glyphicons-halflings-regular.eot": "fonts/glyphicons-halflings-regular.eot",
        "dist/fonts/glyphicons-halflings-regular.woff2": "fonts/glyphicons-halflings-regular.woff2",
        "dist/fonts/glyphicons-halflings-regular.woff": "fonts/glyphicons-halflings-regular.woff",
        "dist/fonts/glyphicons-halflings-regular.ttf": "fonts/glyphicons-halflings-regular.ttf",
        "dist/fonts/glyphicons-halflings-regular.svg": (
            "fonts/glyphicons-halflings-regular.svg#glyphicons_halflingsregular"  # visdom's own odd name
        ),
    },
    "react@16.2.0": {"umd/react.production.min.js": "js/react-react.min.js"},
    "react-dom@16.2.0": {"umd/react-dom.production.min.js": "js/react-dom.min.js"},
    "react-modal@3.1.10": {"dist/react-modal.min.js": "js/react-modal.min.js"},
    "plotly.js-dist-min@2.11.1": {"plotly.min.js": "js/plotly-plotly.min.js"},
    "sjcl@1.0.7": {"sjcl.js": "js/sjcl.js"},
    "layout-bin-packer@1.4.0": {
        "dist/layout-bin-packer.js": "js/layout_bin_packer.js",
        "dist/layout-bin-packer.js.map": "js/layout-bin-packer.js.map",
    },
    "d3@3.5.17": {"d3.min.js": "js/d3.v3.min.js"},
    "d3-selection-multi@1.0.1": {"build/d3-selection-multi.js": "js/d3-selection-multi.v1.js"},
    "save-svg-as-png@1.4.17": {"lib/saveSvgAsPng.js": "js/saveSvgAsPng.js"},
    "classnames@2.2.5": {"index.js": "fonts/classnames"},
    "react-resizable@1.4.6": {"css/styles.css": "css/react-resizable-styles.css"},
    "react-grid-layout@0.16.3": {"css/styles.css": "css/react-grid-layout-styles.css"},
    "mathjax@2.7.5": {path: f"js/mathjax/2.7.5/{path}" for path in _MATHJAX},
}

# The server as a child: it ends with its parent, however that ends, for its standard input ends then.
_CHILD = """
import os, socket, sys, threading
sys.modules["torch"] = None  # visdom's client uses it, its server does not: the import would cost seconds
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from visdom.server import build, run_server
"""
# What visdom does at its first start, but bounded, and without a network not the end of it.
_CHILD_FETCHES = f"""
socket.setdefaulttimeout(5)
download = threading.Thread(target=build.download_scripts, daemon=True)
download.start()
download.join({FETCH_SECONDS})
socket.setdefaulttimeout(None)
"""


def is_installed() -> bool:
    """Whether visdom is; training and testing do without."""
    return importlib.util.find_spec("visdom") is not None


def _visdom_folder() -> Path:
    spec = importlib.util.find_spec("visdom")  # importing visdom would import torch
    return Path(spec.origin).parent


def _version() -> str:
    return (_visdom_folder() / "VERSION").read_text().strip()


def page_is_complete() -> bool:
    """Whether visdom's page has all its scripts, so that a browser shows it without a network."""
    static = _visdom_folder() / "static"
    built = static / "version.built"
    wanted = (static / to for files in _FILES.values() for to in files.values())
    return built.is_file() and built.read_text().strip() == _version() and all(path.is_file() for path in wanted)


def fetch_page_scripts() -> bool:
    """Fetches the scripts of visdom's page with npm, once; where that fails, says so in one line.

    Returns whether the page is complete; never raises for want of npm or of a network.
    """
    if page_is_complete():
        return True
    try:
        with tempfile.TemporaryDirectory() as folder:
            _npm_pack(list(_FILES), folder)
            _install(Path(folder))
    except (OSError, subprocess.SubprocessError, tarfile.TarError, KeyError) as error:
        reason = "npm is not installed" if shutil.which("npm") is None else f"npm: {type(error).__name__}"
        logger.warning(
            "visdom's page scripts could not be fetched (%s): without a network the dashboard's page will be blank; "
            "training goes on",
            reason,
        )
        return False
    logger.info("visdom's page scripts: %d files fetched with npm", sum(map(len, _FILES.values())))
    return True


def _npm_pack(packages: list[str], folder: str) -> None:
    """Puts one NAME-VERSION.tgz a package into the folder; without a network it gives up within seconds."""
    patience = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000")
    subprocess.run(
        [shutil.which("npm") or "npm", "pack", "--silent", "--no-update-notifier", *patience, *packages],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=180,
        check=True,
    )


def _install(folder: Path) -> None:
    """Copies the files out of the packages into visdom's static/; `version.built` last, so half of it is none of it."""
    static = _visdom_folder() / "static"
    (static / "version.built").unlink(missing_ok=True)
    for package, files in _FILES.items():
        with tarfile.open(folder / f"{package.replace('@', '-')}.tgz") as archive:
            for inside, to in files.items():
                (static / to).parent.mkdir(parents=True, exist_ok=True)
                (static / to).write_bytes(archive.extractfile(f"package/{inside}").read())
    (static / "version.built").write_text(_version())


def answers(address: str, seconds: float = 1.0) -> bool:
    """Whether a visdom server answers at http://HOST:PORT, asked as its client asks; a hung or foreign one does not."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no loopback of ours
    try:
        with opener.open(f"{address}/env_state", data=b"{}", timeout=seconds) as reply:
            return isinstance(json.loads(reply.read()), list)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def is_running(port: int) -> bool:
    """Whether a visdom server answers on this port of loopback."""
    return answers(f"http://127.0.0.1:{port}")


def _is_taken(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def start(
    port: int, env_path: Path | None = None, cancelled: threading.Event | None = None
) -> "subprocess.Popen[bytes] | None":
    """Starts a server on loopback and waits until it answers; None where it does not, or where the port is taken.

    It runs in a session of its own, on Windows in a process group, so Ctrl-C at the terminal leaves it to `stop`; it
    ends when this process ends.

    Args:
        env_path: where it keeps saved environments (visdom's own place, ~/.visdom).
        cancelled: set by another thread, ends the waiting and the server.
    """
    if _is_taken(port):  # a server that is there would pass for the one that is started
        return None
    complete = page_is_complete()
    process = _launch(port, env_path, _CHILD + ("" if complete else _CHILD_FETCHES) + "run_server.main()\n")
    cancelled = cancelled or threading.Event()
    deadline = time.monotonic() + START_SECONDS + (0 if complete else FETCH_SECONDS)
    while time.monotonic() < deadline and process.poll() is None and not cancelled.wait(0.1):
        if is_running(port):
            return process
    stop(process)
    return None


def _launch(port: int, env_path: Path | None, program: str) -> "subprocess.Popen[bytes]":
    where = [] if env_path is None else ["-env_path", str(env_path.resolve())]
    return subprocess.Popen(  # -P: a file of the current folder must not pass for a module
        [sys.executable, "-P", "-c", program, "-port", str(port), "-bind_local", "-logging_level", "ERROR", *where],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows has no sessions
    )


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends a server at once, be it hung; it has nothing to put in order, and a second call does nothing."""
    process.kill()
    process.wait()
    process.stdin.close()


def _serve() -> int:
    """Serves until Ctrl-C; the exit code."""
    process = start(PORT)
    if process is None:
        why = "a visdom server is there already" if is_running(PORT) else "visdom did not start, or the port is taken"
        print(f"http://localhost:{PORT}: {why}", file=sys.stderr)
        return 1
    print(f"http://localhost:{PORT}  (Ctrl-C ends it)" + ("" if page_is_complete() else "  without scripts: blank"))
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        stop(process)


def main() -> int:
    """Fetches the page's scripts, or serves until Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser(description="A visdom server on loopback that needs no network.")
    parser.add_argument("--fetch", action="store_true", help="fetch the page's scripts with npm, once, and end")
    if parser.parse_args().fetch:
        logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
        fetch_page_scripts()
        return 0
    return _serve()


if __name__ == "__main__":
    sys.exit(main())
