"""Slash commands: each parses, calls a service and renders."""
