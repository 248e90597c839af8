"""Starts pyftpdlib in the foreground at any port: plain or with TLS, with client certificates, with few data ports."""

from __future__ import annotations

from OpenSSL import SSL
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler

from tests.peers.pyftpdlib_server import serve, site_parser


def main() -> None:
    """Serve until a signal ends the process."""
    parser = site_parser(__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--client-authority", help="demand a client certificate that this authority signed")
    parser.add_argument("--passive-ports", metavar="LOW-HIGH")
    options = parser.parse_args()

    handler = TLS_FTPHandler if options.certificate else FTPHandler
    if options.certificate:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(options.certificate)
        context.use_privatekey_file(options.certificate)
        handler.ssl_context = context
        handler.tls_control_required = handler.tls_data_required = True
        if options.client_authority:
            context.load_verify_locations(options.client_authority)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *about: bool(about[-1]))
            context.set_session_id(b"extras")
    if options.passive_ports:
        low, high = map(int, options.passive_ports.split("-"))
        handler.passive_ports = range(low, high + 1)
    serve(handler, options, options.port)


if __name__ == "__main__":
    main()
