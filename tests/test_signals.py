"""Ctrl-C and SIGTERM as a request, in a process of its own: this one holds the threads of many native libraries."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(code: str) -> subprocess.CompletedProcess[str]:
    start = "import os, signal\nfrom signals import stop_requests\n"
    start += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which is ignored where tests run unattended
    return subprocess.run([sys.executable, "-c", start + code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request(number: signal.Signals):
    code = f"""
before = signal.getsignal({number:d})
with stop_requests() as requests:
    assert not requests
    os.kill(os.getpid(), {number:d})
    assert requests == [{number:d}]
assert signal.getsignal({number:d}) is before
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_a_second_signal_ends_as_ever():
    done = run("""
with stop_requests():
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
""")
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert done.returncode == -signal.SIGINT
