"""Networks in OpenVINO."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TWO_NETWORKS = """
import signal
from srmd.backends.openvino import openvino_function
from srmd.model import SRMD, NetworkConfig

signal.signal(signal.SIGINT, signal.default_int_handler)
network = SRMD(NetworkConfig(features=4)).eval()
first = openvino_function(network, "fp32", 1)
second = openvino_function(network, "fp32", 1)
del first
del second
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_after_the_first_of_two_networks_is_deleted_raises_keyboard_interrupt():
    pytest.importorskip("openvino", reason="openvino is not installed (requirements-engines.txt)")
    done = subprocess.run([sys.executable, "-c", TWO_NETWORKS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
