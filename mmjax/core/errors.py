"""The one error that is the user's to mend."""


class UserError(Exception):
    """Bad input: one line that names the file, row or flag and says what to do.

    The command prints it alone on standard error and leaves with status 2.
    """
