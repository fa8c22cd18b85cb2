"""The private folder of the server: what a killed server left is removed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from srmd.panel.folder import private_folder

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from srmd.panel.folder import private_folder
with private_folder() as folder:
    (folder / "upload.png").write_bytes(b"a picture")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks of this kind")
def test_the_folder_of_a_killed_server_is_removed_and_that_of_a_running_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "srmd-panel-other").mkdir()  # without a lock: it may be starting
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        left = Path(server.stdout.readline().strip())
        with private_folder() as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            assert (left / "upload.png").exists()
        server.send_signal(signal.SIGKILL)
        server.wait()
    assert (left / "upload.png").exists()
    with private_folder() as folder:
        assert {path.name for path in tmp_path.iterdir()} == {folder.name, "srmd-panel-other"}
    assert not folder.exists()
