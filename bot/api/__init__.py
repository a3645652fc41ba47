"""The HTTP side, one file per resource."""
