"""The command line in real processes, without the seconds that each would need to load its libraries.

One process loads them and is forked for each command. What runs is what `python -m digitvae` runs, with a directory, an
environment, an output and an exit code of its own. Tests that stop or kill a command start it themselves. It takes a
system that forks, as Linux is.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

LIBRARIES = (
    "torch._dynamo",
    "torch.distributed",
    "torchmetrics.image.kid",
    "sklearn.mixture",
    "skimage",
    "matplotlib.pyplot",
    "onnxruntime",
    "onnxscript",
)
"""Those that take long. None of them starts threads while it is loaded, which a fork would lose."""

_parents: list[subprocess.Popen] = []


def digitvae(*arguments, cwd=None, env=None, processes=1, timeout=120.0):
    """Run a command to its end; several processes find each other as those that torchrun starts do."""
    environments = [dict(os.environ if env is None else env) for _ in range(processes)]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank, environment in enumerate(environments):
            places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
            meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            environment |= {name: str(value) for name, value in (places | meeting).items()}
    arguments = [str(argument) for argument in arguments]
    wish = {"arguments": arguments, "cwd": str(cwd or Path.cwd()), "environments": environments, "timeout": timeout}
    parent = _parent()
    parent.stdin.write(json.dumps(wish) + "\n")
    parent.stdin.flush()
    done = json.loads(parent.stdout.readline())
    if done["late"]:
        raise subprocess.TimeoutExpired(arguments, timeout, done["stdout"], done["stderr"])
    return subprocess.CompletedProcess(arguments, done["returncode"], done["stdout"], done["stderr"])


def _parent() -> subprocess.Popen:
    """The process that is forked, the same for all commands of this one."""
    if not _parents:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        _parents.append(subprocess.Popen([sys.executable, __file__], text=True, start_new_session=True, **pipes))
        atexit.register(_parents[0].stdin.close)  # which ends it
    return _parents[0]


def _serve() -> None:
    sys.path[0] = ""  # as `python -m` has it, in place of the directory of this file
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(wish: dict) -> dict:
    with tempfile.TemporaryFile("a+") as out, tempfile.TemporaryFile("a+") as err:
        running = {_forked(wish, environment, out, err) for environment in wish["environments"]}
        deadline, codes, late = time.monotonic() + wish["timeout"], [], False
        while running:
            for process in list(running):
                ended, status = os.waitpid(process, os.WNOHANG)
                if ended:
                    running.remove(process)
                    codes.append(os.waitstatus_to_exitcode(status))
            if running and time.monotonic() > deadline and not late:
                late = True
                for process in running:
                    os.kill(process, 9)
            time.sleep(0.005)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return {"returncode": max(codes, key=abs), "stdout": texts[0], "stderr": texts[1], "late": late}


def _forked(wish: dict, environment: dict, out, err) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, place in ((nothing, 0), (out.fileno(), 1), (err.fileno(), 2)):
            os.dup2(source, place)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(wish["cwd"])
        sys.argv[1:] = wish["arguments"]
        try:
            runpy.run_module("digitvae", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
