"""The command `largesse`: verbs of the operator, and of whoever asks a running server."""
