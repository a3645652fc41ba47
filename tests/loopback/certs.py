"""A certificate authority of our own and one server certificate for the names Discord uses."""

import ssl

import trustme

HOSTS = (
    "discord.com",
    "gateway.discord.gg",
    "*.discord.gg",
    "*.discord.media",
    "cdn.discordapp.com",
    "media.discordapp.net",
    "127.0.0.1",
)


class Certificates:
    """TLS material of one loopback Discord; made in memory, valid for nobody else."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._leaf = self._authority.issue_cert(*HOSTS)

    @property
    def authority_pem(self) -> bytes:
        """The authority's certificate, for clients that read a file (`SSL_CERT_FILE`)."""
        return self._authority.cert_pem.bytes()

    def server_context(self) -> ssl.SSLContext:
        """A context that presents the server certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._leaf.configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A context that trusts this authority and nothing else."""
        context = ssl.create_default_context(cadata=self.authority_pem.decode("ascii"))
        context.check_hostname = True
        return context
