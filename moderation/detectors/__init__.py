"""What finds abuse in a transcript segment."""
