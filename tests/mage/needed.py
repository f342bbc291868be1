"""Runs Python files with each set of their variables, and says with which of them they fail.

needed.py FOLDER: reads FOLDER/names.json, an object of file to names, and prints an object of file to the sets with which it fails, each
as a number whose bits are the names that are there.
"""

import contextlib
import io
import json
import logging
import os
import sys


def fails(code, names, there):
    os.environ.clear()
    for bit, name in enumerate(names):
        if there & 1 << bit:
            os.environ[name] = f"value of {name}"
    try:
        exec(code, {"__name__": "block"})
    except (Exception, SystemExit):
        return True
    return False


def main(folder):
    logging.disable()
    real = dict(os.environ)
    with open(os.path.join(folder, "names.json")) as opened:
        blocks = json.load(opened)
    failing = {}
    for file, names in blocks.items():
        with open(os.path.join(folder, file)) as opened:
            code = compile(opened.read(), file, "exec")
        with contextlib.redirect_stdout(io.StringIO()):
            failing[file] = [there for there in range(1 << len(names)) if fails(code, names, there)]
    os.environ.update(real)
    print(json.dumps(failing))


main(sys.argv[1])
