"""A visdom server on this machine that works offline: starts it, and fetches its page's scripts once with npm.

python -m srmd.show.visdom_server --fetch     fetch the page's scripts (part of the set-up)
python -m srmd.show.visdom_server             serve until Ctrl-C, to look at saved curves again
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
ANSWER_SECONDS = 1.0  # a server that takes longer to answer counts as hung
FETCH_SECONDS = 15.0  # longest delay of the server's start by visdom's own download of the scripts
NPM_SECONDS = 180.0

_MATHJAX = (
    *("MathJax.js", "config/Safe.js", "config/TeX-AMS-MML_HTMLorMML.js", "extensions/Safe.js"),
    *("jax/output/SVG/jax.js", "jax/output/SVG/config.js", "jax/output/SVG/fonts/TeX/fontdata.js"),
    "jax/output/SVG/fonts/TeX/Size1/Regular/Main.js",
)
# The scripts of visdom 0.2.4. npm package: {path inside the package: path under visdom's static/}
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

# The program of the server's process. Its standard input is closed when the parent process ends for any reason; then
# the server ends, too.
_CHILD = """
import os, socket, sys, threading
sys.modules["torch"] = None  # only visdom's client uses it: importing it here would cost seconds
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from visdom.server import build, run_server
"""
# The download that visdom does at its first start, with timeouts; if it fails, the server starts all the same.
_CHILD_DOWNLOAD = f"""
socket.setdefaulttimeout(5)
download = threading.Thread(target=build.download_scripts, daemon=True)
download.start()
download.join({FETCH_SECONDS})
socket.setdefaulttimeout(None)
"""


def is_installed() -> bool:
    """Whether visdom is installed; training and testing also work without it."""
    return importlib.util.find_spec("visdom") is not None


def _visdom_folder() -> Path:
    spec = importlib.util.find_spec("visdom")  # importing visdom would import torch
    return Path(spec.origin).parent


def _version() -> str:
    return (_visdom_folder() / "VERSION").read_text().strip()


def page_is_complete() -> bool:
    """Whether visdom's page has all its scripts, so that a browser can show it offline."""
    static = _visdom_folder() / "static"
    built = static / "version.built"
    scripts = (static / path for files in _FILES.values() for path in files.values())
    return built.is_file() and built.read_text().strip() == _version() and all(path.is_file() for path in scripts)


def fetch_page_scripts() -> bool:
    """Fetches the scripts of visdom's page with npm, if any is missing; logs a warning if that fails.

    Returns whether the page is complete. Raises no error without npm or without a network.
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
            "could not fetch the scripts of visdom's page (%s): offline, the dashboard will be blank; all else works",
            reason,
        )
        return False
    logger.info("fetched the %d scripts of visdom's page with npm", sum(map(len, _FILES.values())))
    return True


def _npm_pack(packages: list[str], folder: str) -> None:
    """Downloads each package as NAME-VERSION.tgz into the folder; gives up within seconds without a network."""
    retries = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000")
    subprocess.run(
        [shutil.which("npm") or "npm", "pack", "--silent", "--no-update-notifier", *retries, *packages],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=NPM_SECONDS,
        check=True,
    )


def _install(folder: Path) -> None:
    """Copies the scripts from the packages to visdom's static/.

    `version.built` is removed first and written last: if the copying is interrupted, the page counts as incomplete.
    """
    static = _visdom_folder() / "static"
    (static / "version.built").unlink(missing_ok=True)
    for package, files in _FILES.items():
        with tarfile.open(folder / f"{package.replace('@', '-')}.tgz") as archive:
            for path_in_package, path in files.items():
                (static / path).parent.mkdir(parents=True, exist_ok=True)
                (static / path).write_bytes(archive.extractfile(f"package/{path_in_package}").read())
    (static / "version.built").write_text(_version())


def answers(address: str) -> bool:
    """Whether a visdom server answers at http://HOST:PORT; False for hung servers and for other programs.

    It sends a request of visdom's client and waits for ANSWER_SECONDS at most.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy can't reach this machine's servers
    try:
        with opener.open(f"{address}/env_state", data=b"{}", timeout=ANSWER_SECONDS) as reply:
            return isinstance(json.loads(reply.read()), list)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def is_running(port: int) -> bool:
    """Whether a visdom server answers on this port of this machine."""
    return answers(f"http://127.0.0.1:{port}")


def _is_in_use(port: int) -> bool:
    """Whether any program listens on this port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def start(
    port: int, env_path: Path | None = None, cancelled: threading.Event | None = None
) -> "subprocess.Popen[bytes] | None":
    """Starts a server that only this machine can reach, and waits until it answers.

    Returns its process, or None if the port is in use or the server does not answer in time. It runs in another
    session (on Windows, in another process group) than this process, so Ctrl-C does not reach it: `stop` ends it. It
    also ends when this process ends.

    Args:
        env_path: folder for saved environments (default: visdom's, ~/.visdom).
        cancelled: when another thread sets this event, the server is stopped and None is returned.
    """
    if _is_in_use(port):  # the new server would fail, and `is_running` would find the old one
        return None
    complete = page_is_complete()
    process = _launch(port, env_path, _CHILD + ("" if complete else _CHILD_DOWNLOAD) + "run_server.main()\n")
    cancelled = cancelled or threading.Event()
    deadline = time.monotonic() + START_SECONDS + (0 if complete else FETCH_SECONDS)
    while time.monotonic() < deadline and process.poll() is None and not cancelled.wait(0.1):
        if is_running(port):
            return process
    stop(process)
    return None


def _launch(port: int, env_path: Path | None, program: str) -> "subprocess.Popen[bytes]":
    options = ["-port", str(port), "-bind_local", "-logging_level", "ERROR"]
    if env_path is not None:
        options += ["-env_path", str(env_path.resolve())]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, *options],  # -P: imports no files from the current folder
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows has no sessions
    )


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Kills a server, which has nothing to clean up; works on hung servers, and a second call does nothing."""
    process.kill()
    process.wait()
    process.stdin.close()


def _serve() -> int:
    """Serves until Ctrl-C; returns the exit code."""
    process = start(PORT)
    address = f"http://localhost:{PORT}"
    if process is None:
        reason = "visdom did not start, or another program uses the port"
        print(f"{address}: {'a visdom server is already running' if is_running(PORT) else reason}", file=sys.stderr)
        return 1
    note = "" if page_is_complete() else "  The page is blank, because its scripts are missing."
    print(f"{address}  (stop with Ctrl-C){note}")
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        stop(process)


def main() -> int:
    """Fetches the page's scripts, or serves until Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(description="A visdom server on this machine that works offline.")
    parser.add_argument("--fetch", action="store_true", help="only fetch the page's scripts with npm, once")
    if parser.parse_args().fetch:
        logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
        fetch_page_scripts()
        return 0
    return _serve()


if __name__ == "__main__":
    sys.exit(main())
