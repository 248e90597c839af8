"""Starts pyftpdlib with TLS in the foreground: explicit, or implicit by a small subclass."""

from __future__ import annotations

from OpenSSL import SSL
from pyftpdlib.handlers import TLS_FTPHandler

from tests.peers.pyftpdlib_server import serve, site_parser

VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


class ImplicitHandler(TLS_FTPHandler):  # type: ignore[misc]
    """A handler that begins with the handshake and greets afterwards."""

    def handle(self) -> None:
        """Take a connection: no greeting yet."""
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self) -> None:
        """Greet."""
        super().handle()


def main() -> None:
    """Serve until a signal ends the process."""
    parser = site_parser(__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--version", choices=VERSIONS, required=True)
    parser.add_argument("--implicit", action="store_true")
    parser.add_argument("--private", action="store_true", help="refuse data connections without TLS")
    options = parser.parse_args()

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(VERSIONS[options.version])
    context.set_max_proto_version(VERSIONS[options.version])
    context.use_certificate_chain_file(options.certificate)
    context.use_privatekey_file(options.certificate)
    handler = ImplicitHandler if options.implicit else TLS_FTPHandler
    handler.ssl_context = context
    handler.tls_control_required = True
    handler.tls_data_required = options.private
    serve(handler, options, options.port)


if __name__ == "__main__":
    main()
