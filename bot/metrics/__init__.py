"""Prometheus metrics. No label ever names a person, a server, a channel or anything that was said."""
