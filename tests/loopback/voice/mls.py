"""What a voice server knows of MLS (RFC 9420): it proposes as external sender and checks commits, but is no member and sees no keys.

Ciphersuite 2 (P-256, AES-128-GCM, SHA-256); group id = channel id, credential identity = user id, both 8 bytes big-endian
(DAVE protocol 1.1).
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.loopback.voice.codec import MlsError, Reader, u16, u32, u64, vec

CIPHERSUITE = 2
MLS10 = 1
PUBLIC_MESSAGE = 1
WELCOME = 3
KEY_PACKAGE = 5
PROPOSAL_CONTENT = 2
COMMIT_CONTENT = 3
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _ref_hash(label: str, value: bytes) -> bytes:
    """RefHash of RFC 9420, section 5.2, with SHA-256."""
    return hashlib.sha256(vec(b"MLS 1.0 " + label.encode()) + vec(value)).digest()


def _sign_content(label: str, content: bytes) -> bytes:
    """SignContent of RFC 9420, section 5.1.2."""
    return vec(b"MLS 1.0 " + label.encode()) + vec(content)


def _verify(key: bytes, signature: bytes, label: str, content: bytes) -> None:
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        public.verify(signature, _sign_content(label, content), ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        raise MlsError(f"the signature labelled {label} does not verify") from None


@dataclass(frozen=True, slots=True)
class LeafNode:
    """The parts of a leaf that a voice server looks at."""

    signature_key: bytes
    """Uncompressed P-256 point, 65 bytes."""
    user_id: int

    @classmethod
    def read(cls, reader: Reader, source: int) -> "LeafNode":
        """Read one whose source must be 1 (key package, signature checked) or 3 (commit; its signature needs the group's secrets)."""
        start = reader.at
        reader.vec()  # encryption_key
        signature_key = reader.vec()
        reader.expect(2, 1, "credential type")
        identity = reader.vec()
        for _ in range(5):  # capabilities: versions, suites, extensions, proposals, credentials
            reader.vec()
        reader.expect(1, source, "leaf node source")
        if source == 1:
            reader.take(16)  # lifetime
        else:
            reader.vec()  # parent_hash
        reader.vec()  # extensions
        end = reader.at
        signature = reader.vec()
        if source == 1:
            _verify(signature_key, signature, "LeafNodeTBS", reader.data[start:end])
        if len(identity) != 8:
            raise MlsError(f"identity has {len(identity)} bytes, not 8")
        return cls(signature_key, int.from_bytes(identity, "big"))


@dataclass(frozen=True, slots=True)
class KeyPackage:
    """A client's one-time offer to be added to a group."""

    raw: bytes
    """Without MLSMessage wrapping."""
    ref: bytes
    """KeyPackageRef, 32 bytes: by it a Welcome names its reader."""
    user_id: int

    @classmethod
    def parse(cls, data: bytes) -> "KeyPackage":
        """Parse and verify an op 26 body, bare or wrapped in an MLSMessage. Raises `MlsError`."""
        raw = data[4:] if data[:4] == u16(MLS10) + u16(KEY_PACKAGE) else data
        reader = Reader(raw)
        reader.expect(2, MLS10, "key package version")
        reader.expect(2, CIPHERSUITE, "ciphersuite")
        reader.vec()  # init_key
        leaf = LeafNode.read(reader, source=1)
        reader.vec()  # extensions
        end = reader.at
        _verify(leaf.signature_key, reader.vec(), "KeyPackageTBS", raw[:end])
        reader.finish("key package")
        return cls(raw, _ref_hash("KeyPackage Reference", raw), leaf.user_id)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An Add or a Remove, signed by the voice server."""

    message: bytes
    """MLSMessage, as op 27 carries it."""
    ref: bytes
    """ProposalRef, 32 bytes."""
    added: KeyPackage | None = None
    removed: int | None = None
    """Leaf index."""


class ExternalSender:
    """The voice server's signature key for one call, and what it signs with it."""

    def __init__(self, seed: bytes | None = None, identity: int = 0) -> None:
        """`seed`: makes the key reproducible; `identity`: the 8-byte number in the credential."""
        scalar = int.from_bytes(hashlib.sha512(seed).digest() if seed is not None else secrets.token_bytes(64), "big")
        self._key = ec.derive_private_key(scalar % (P256_ORDER - 1) + 1, ec.SECP256R1())
        self._identity = identity

    def package(self) -> bytes:
        """ExternalSender, the body of op 25: 78 bytes."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return vec(point) + u16(1) + vec(u64(self._identity))

    def add(self, group_id: int, epoch: int, key_package: KeyPackage) -> Proposal:
        """Propose to add the owner of a key package."""
        message, ref = self._propose(group_id, epoch, u16(1) + key_package.raw)
        return Proposal(message, ref, added=key_package)

    def remove(self, group_id: int, epoch: int, leaf: int) -> Proposal:
        """Propose to remove the member at a leaf index."""
        message, ref = self._propose(group_id, epoch, u16(3) + u32(leaf))
        return Proposal(message, ref, removed=leaf)

    def _propose(self, group_id: int, epoch: int, proposal: bytes) -> tuple[bytes, bytes]:
        sender = b"\x02" + u32(0)
        content = vec(u64(group_id)) + u64(epoch) + sender + vec(b"") + bytes([PROPOSAL_CONTENT]) + proposal
        wire = u16(PUBLIC_MESSAGE) + content
        tbs = _sign_content("FramedContentTBS", u16(MLS10) + wire)
        signature = vec(self._key.sign(tbs, ec.ECDSA(hashes.SHA256())))
        return u16(MLS10) + wire + signature, _ref_hash("Proposal Reference", wire + signature)


def append_proposals(proposals: Iterable[Proposal]) -> bytes:
    """Body of op 27 that appends proposals."""
    return b"\x00" + vec(b"".join(p.message for p in proposals))


def revoke_proposals(proposals: Iterable[Proposal]) -> bytes:
    """Body of op 27 that takes proposals back."""
    return b"\x01" + vec(b"".join(vec(p.ref) for p in proposals))


@dataclass(frozen=True, slots=True)
class Commit:
    """The parts of a commit that a voice server looks at."""

    raw: bytes
    """MLSMessage, as op 29 passes it on."""
    group_id: bytes
    epoch: int
    sender: int
    """Leaf index."""
    refs: tuple[bytes, ...]
    """ProposalRefs in order."""
    has_path: bool

    @classmethod
    def read(cls, data: bytes) -> tuple["Commit", bytes]:
        """Split an op 28 body into the commit and what follows it (a Welcome, or nothing). Raises `MlsError`."""
        reader = Reader(data)
        reader.expect(2, MLS10, "MLS version")
        reader.expect(2, PUBLIC_MESSAGE, "wire format")
        group_id = reader.vec()
        epoch = reader.uint(8)
        reader.expect(1, 1, "sender type")
        sender = reader.uint(4)
        reader.vec()  # authenticated_data
        reader.expect(1, COMMIT_CONTENT, "content type")
        refs = _read_refs(Reader(reader.vec()))
        has_path = reader.uint(1) == 1
        if has_path:
            LeafNode.read(reader, source=3)
            reader.vec()  # nodes
        for _ in range(3):  # signature, confirmation_tag, membership_tag
            reader.vec()
        return cls(data[: reader.at], group_id, epoch, sender, refs, has_path), data[reader.at :]


def _read_refs(reader: Reader) -> tuple[bytes, ...]:
    refs = []
    while not reader.done:
        reader.expect(1, 2, "kind of proposal in a commit (DAVE allows references only)")
        refs.append(reader.vec())
    return tuple(refs)


@dataclass(frozen=True, slots=True)
class Welcome:
    """A Welcome, taken apart by reader."""

    secrets: dict[bytes, bytes]
    """KeyPackageRef → the encoded EncryptedGroupSecrets of that reader."""
    group_info: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Welcome":
        """Parse what follows the commit in op 28, bare or wrapped in an MLSMessage. Raises `MlsError`."""
        reader = Reader(data[4:] if data[:4] == u16(MLS10) + u16(WELCOME) else data)
        reader.expect(2, CIPHERSUITE, "ciphersuite")
        entries = Reader(reader.vec())
        found: dict[bytes, bytes] = {}
        while not entries.done:
            start = entries.at
            ref = entries.vec()
            entries.vec()  # kem_output
            entries.vec()  # ciphertext
            found[ref] = entries.data[start : entries.at]
        group_info = reader.vec()
        reader.finish("welcome")
        return cls(found, group_info)

    def for_reader(self, ref: bytes) -> bytes:
        """The Welcome with only this reader's secrets, as op 30 carries it."""
        return u16(CIPHERSUITE) + vec(self.secrets[ref]) + vec(self.group_info)


@dataclass
class Group:
    """Who sits on which leaf. DAVE calls the group by its channel's id."""

    group_id: int
    epoch: int
    leaves: list[int | None]
    """User id by leaf index; None where blank."""

    def leaf_of(self, user_id: int) -> int:
        """Leaf index of a member; ValueError when it is none."""
        return self.leaves.index(user_id)

    @property
    def members(self) -> set[int]:
        """User ids."""
        return {user for user in self.leaves if user is not None}

    def apply(self, proposals: Sequence[Proposal]) -> None:
        """Move to the next epoch: removed leaves go blank, adds take the leftmost blank (RFC 9420, sections 12.1.1 and 12.1.3)."""
        for proposal in proposals:
            if proposal.removed is not None:
                self.leaves[proposal.removed] = None
        for proposal in proposals:
            if proposal.added is not None:
                self._add(proposal.added.user_id)
        while self.leaves and self.leaves[-1] is None:
            self.leaves.pop()
        self.epoch += 1

    def _add(self, user_id: int) -> None:
        if None in self.leaves:
            self.leaves[self.leaves.index(None)] = user_id
        else:
            self.leaves.append(user_id)


def check_commit(group: Group, leaf: int, expected: Sequence[Proposal], data: bytes) -> tuple[Commit, Welcome | None, list[Proposal]]:
    """Judge an op 28 body as a voice server does; `expected` are all proposals open for the committer, who sits on `leaf`.

    Returns the commit, its welcome, and the proposals in commit order. Raises `MlsError` with the rule that it breaks.
    """
    commit, rest = Commit.read(data)
    if commit.group_id != u64(group.group_id):
        raise MlsError("commit of another group")
    if commit.epoch != group.epoch:
        raise MlsError("commit of another epoch")
    if commit.sender != leaf:
        raise MlsError("commit from another's leaf")
    by_ref = {p.ref: p for p in expected}
    if len(commit.refs) != len(by_ref) or set(commit.refs) != set(by_ref):
        raise MlsError("commit of other proposals than the open ones")
    welcome = Welcome.parse(rest) if rest else None
    added = {p.added.ref for p in expected if p.added is not None}
    if added != (set(welcome.secrets) if welcome else set()):
        raise MlsError("welcome for others than those added")
    return commit, welcome, [by_ref[ref] for ref in commit.refs]
