"""The voice half of the loopback Discord: voice gateway v8, UDP, DAVE, and humans who really speak."""

from tests.loopback.voice.call import Call
from tests.loopback.voice.dave import Committer
from tests.loopback.voice.human import Announce, Human, Said
from tests.loopback.voice.impair import Impairment
from tests.loopback.voice.rtp import Shape
from tests.loopback.voice.server import VoiceServer

__all__ = ["Announce", "Call", "Committer", "Human", "Impairment", "Said", "Shape", "VoiceServer"]
