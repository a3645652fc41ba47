"""The core: audio frames in, transcript segments, flags and alerts out. Knows no vendor."""
