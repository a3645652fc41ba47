"""Where audio comes from: Discord voice, recorded files."""
