"""Receiving Discord voice: RTP, transport encryption, DAVE, reordering and Opus. The protocol part is sans-I/O."""
