"""The one exception that a command turns into a one-line message."""


class UserError(Exception):
    """Something the user can mend: bad input, settings or files.

    The message says what was expected, what was received and what to do next,
    in one line. Commands print it to standard error and exit with status 1.
    """
