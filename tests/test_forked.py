"""A fork ends as a new process does: what the tests of commands rest on."""

import subprocess
import sys

import pytest
from forked import Forked, run


@pytest.mark.parametrize(
    "program",
    [
        "import sys; print(sys.argv[1:])",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('error: said')",
        "1 / 0",
        "import os; print('cut', flush=True); os.kill(os.getpid(), 15)",
        "import atexit; atexit.register(print, 'late')",
        "import threading, time; print(threading.Thread(target=lambda: "
        "(time.sleep(0.1), print('after')), daemon=False).start())",
    ],
)
def test_status_and_output_are_those_of_a_new_process(program, tmp_path):
    new = subprocess.run(
        [sys.executable, "-c", program, "a", "b"], capture_output=True, text=True
    )
    found = run("-c", program, "a", "b", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (new.returncode, new.stdout)
    assert found.stderr.splitlines()[-1:] == new.stderr.splitlines()[-1:]


def test_nothing_of_tensorflow_has_started_in_it():
    """Devices, determinism and threads can still be chosen."""
    found = run(
        "-c",
        "from tensorflow.python.eager import context\n"
        "print(context.context()._context_handle)",
    )
    assert found.stdout == "None\n", found.stderr


def test_the_environment_is_given_and_a_fork_can_be_killed():
    running = Forked("-c", "import os, time; print(os.environ['A']); time.sleep(60)",
                     A="b")  # fmt: skip
    assert run("-c", "import os; print('A' in os.environ)").stdout == "False\n"
    running.kill()
    assert running.wait() == -9
