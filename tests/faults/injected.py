"""Loaded by workers as they start: makes one function slow, deadly or counted, as PIAZZI_FAULT tells in JSON.

``{"of": "module.function", "log": file, "slow": seconds, "kill": text, "grow": text}``: every call adds a line to the
file, takes so much longer, and ends its process or takes a GB of memory where the text is in any of its arguments.
"""

import functools
import importlib
import json
import os
import signal
import time


def dask_setup(worker) -> None:
    """Put the spoiled function in place of the good one."""
    for fault in json.loads(os.environ.get("PIAZZI_FAULT", "[]")):
        module, name = fault["of"].rsplit(".", 1)
        owner = importlib.import_module(module)
        setattr(owner, name, _spoiled(getattr(owner, name), fault))


def _spoiled(function, fault: dict):
    @functools.wraps(function)
    def call(*args, **options):
        told = repr(args)
        if "log" in fault:
            with open(fault["log"], "a") as log:
                log.write(f"{fault['of']}\n")
        time.sleep(fault.get("slow", 0.0))
        if fault.get("kill", "\0") in told:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.get("grow", "\0") in told:
            taken = b"x" * 10**9
            time.sleep(60.0)
            del taken
        return function(*args, **options)

    return call
