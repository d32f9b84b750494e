"""failed.py: how a part of the proof says what is wrong."""


class Failed(Exception):
    """One sentence that says what is wrong, without a full stop."""
