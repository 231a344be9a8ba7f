"""The one exception of models, checkpoints and runtime."""


class LifterError(Exception):
    """A model, checkpoint or weight file cannot be used; the message says which, why, and what to do."""
