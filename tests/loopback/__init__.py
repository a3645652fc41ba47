"""A Discord on 127.0.0.1: what a real client library talks to in the tests and in the demo."""
