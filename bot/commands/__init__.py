"""What `python -m bot` can do: one module per command, imported only when it is asked for."""
