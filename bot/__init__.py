"""The plumbing: Discord, speech recognition, storage and HTTP around the core in `moderation`."""
