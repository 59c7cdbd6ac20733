"""Commands in this process: flags of their own, what they print, what they refuse."""

import contextlib
import functools

import pytest
from absl import flags as absl_flags

from stfn_keras.errors import UserError


def call(command, *arguments, error=""):
    """Run a command's `main` on arguments; `error` is what it must refuse them with."""
    holder = absl_flags.FlagValues()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(absl_flags, "FLAGS", holder)
        for name in ("string", "integer", "float", "bool", "enum", "list", "flag"):
            define = getattr(absl_flags, f"DEFINE_{name}")
            define = functools.partial(define, flag_values=holder)
            patch.setattr(absl_flags, f"DEFINE_{name}", define)
        command.define_flags()
        argv = holder(["command", *map(str, arguments)])
        refused = pytest.raises(UserError, match=error or None)
        with refused if error else contextlib.nullcontext():
            command.main(argv)
