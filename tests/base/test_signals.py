"""Ctrl-C, SIGTERM and SIGHUP as requests, tested in separate processes: signals must not reach the test runner."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from small_packs import folder_of

ROOT = Path(__file__).parents[2]
# A test runner in the background ignores SIGINT, and its children inherit that.
START = """
import os, signal
from srmd.base.signals import deferred_signals, stop_requests
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", START + code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_recorded_and_the_old_handler_comes_back(number: signal.Signals):
    code = f"""
if {number:d} == signal.SIGHUP:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
before = signal.getsignal({number:d})
with stop_requests() as requests:
    assert not requests
    os.kill(os.getpid(), {number:d})
    assert requests == [{number:d}]
assert signal.getsignal({number:d}) is before
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_a_second_sigint_ends_the_process():
    done = run("""
with stop_requests():
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
""")
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert done.returncode == -signal.SIGINT


def test_a_second_sighup_is_ignored():
    done = run("""
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with stop_requests() as requests:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGHUP)
    print(requests)
assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
""")
    assert (done.returncode, done.stdout) == (0, f"[{signal.SIGHUP:d}]\n"), done.stderr


def test_under_nohup_sighup_stays_ignored():
    done = run("""
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with stop_requests() as requests:
    os.kill(os.getpid(), signal.SIGHUP)
    print(requests)
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
""")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_deferred_signal_has_its_effect_at_the_end_of_the_block():
    done = run("""
before = signal.getsignal(signal.SIGINT)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
try:
    with deferred_signals():
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGINT):
            os.kill(os.getpid(), number)
        print("finished")
except KeyboardInterrupt:
    print("interrupted")
assert signal.getsignal(signal.SIGINT) is before
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
""")
    assert (done.returncode, done.stdout) == (0, "finished\ninterrupted\n"), done.stderr


def test_signals_are_not_deferred_in_other_threads():
    done = run("""
import threading
def check():
    before = signal.getsignal(signal.SIGINT)
    with deferred_signals():
        print(signal.getsignal(signal.SIGINT) is before)
thread = threading.Thread(target=check)
thread.start()
thread.join()
""")
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.slow
def test_training_saves_a_checkpoint_and_exits_with_129_when_its_terminal_is_closed(tmp_path: Path):
    code = """
signal.signal(signal.SIGHUP, signal.SIG_DFL)
import sys
from srmd.cli import main
sys.exit(main.main(sys.argv[1:]))
"""
    folder_of(tmp_path / "pictures", (64, 64), (64, 64))
    flags = "--mode=train --steps=4000 --batch_size=2 --patch_size=12 --visdom=off --device=cpu --output=run"
    command = [sys.executable, "-c", START + code, *flags.split(), "--train_data=pictures"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 129, output
    assert list((tmp_path / "run").glob("checkpoint-*.pt"))


def test_there_are_no_requests_outside_the_main_thread():
    code = """
import threading
before, found = signal.getsignal(signal.SIGTERM), []
def work():
    with stop_requests() as requests:
        found.append((list(requests), signal.getsignal(signal.SIGTERM) is before))
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert found == [([], True)]
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
