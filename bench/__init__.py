"""Measurements beside peers, each pair in one run. Absolute times depend on the machine; the ratios are what counts."""
