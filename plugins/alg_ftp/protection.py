"""`Protection`: TLS on the control connection and on data connections, each leg for itself (RFC 4217, RFC 2228).

What a leg may or must have is the route's policy (`Leg.tls_policy`); what its data connections have is in `FtpConfig`.
Nothing falls back to the clear by itself.
"""

from __future__ import annotations

from alg.plugin import AlgError, Side, TlsError, TlsPolicy
from alg_ftp import wire
from alg_ftp.config import DataTls
from alg_ftp.control import Control

_MECHANISMS = (b"TLS", b"TLS-C", b"SSL", b"TLS-P")
ACCEPTED = (234, 334)
"""334 is what some say where RFC 4217 has 234."""

FEATURES = ("AUTH TLS", "PBSZ", "PROT")
VERBS = frozenset(("AUTH", "PBSZ", "PROT", "CCC"))
_BEFORE_TLS = frozenset(("AUTH", "FEAT", "QUIT", "NOOP", "HELP", "SYST", "HOST"))
"""What a client may say before TLS where TLS is required: nothing that is confidential."""
_SECRETS = frozenset(("USER", "PASS", "ACCT"))


class Protection:
    """How both legs of one session are protected."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._flow = control.flow
        self._has_tls = self._flow.client.secure
        """Whether the client has, or had before CCC, TLS on its control connection."""
        self._buffer_sized = self._flow.client.secure
        """Whether the client has said PBSZ, which comes before PROT."""
        # TLS from the first byte means it for data too, unless PROT says otherwise; RFC 4217 begins with the clear.
        self.client_data = self._flow.client.secure and control.config.client_data_tls is not DataTls.NEVER
        """Whether the client wants TLS on its data connections."""
        self._server_data: bool | None = None
        """What the server was told; None: nothing, and what it does is not certain."""
        self._server_buffer_sized = False

    # Policy.

    @property
    def passes(self) -> bool:
        """Whether TLS is between client and server."""
        return self._flow.client.tls_policy is TlsPolicy.PASS

    @property
    def offered(self) -> bool:
        """Whether clients can have TLS here."""
        return self._flow.client.tls_policy in (TlsPolicy.CLIENT, TlsPolicy.REQUIRE)

    def refuses(self, command: wire.Command) -> bool:
        """Whether this command may not pass without TLS; after CCC, who logs in anew needs it anew."""
        client = self._flow.client
        if client.secure or client.tls_policy is not TlsPolicy.REQUIRE:
            return False
        return command.verb in _SECRETS or not (self._has_tls or command.verb in _BEFORE_TLS)

    @property
    def offers_by_itself(self) -> bool:
        """Whether clients can have TLS whatever the server does."""
        if not self.offered:
            return False
        if self._flow.server.secure:
            return True
        return self._flow.server.tls_policy is not TlsPolicy.CLIENT

    @property
    def wants_server_tls(self) -> bool:
        """Whether the server's leg must be put under TLS before anything confidential goes there."""
        server = self._flow.server
        as_client = server.tls_policy is TlsPolicy.CLIENT and self._flow.client.secure
        return not server.secure and (as_client or server.tls_policy is TlsPolicy.REQUIRE)

    # The control connection.

    async def treat(self, command: wire.Command) -> None:
        """AUTH, PBSZ, PROT and CCC of the client."""
        if command.verb == "AUTH":
            await self._auth(command)
        elif not self.offered:
            self._control.refuse(command, 502, f"{command.verb} is not offered here.", "not_offered")
        elif not self._flow.client.secure:
            self._control.refuse(command, 503, f"{command.verb} comes behind AUTH TLS.", "bad_sequence")
        elif command.verb == "PBSZ":
            self._buffer_sized = True
            self._control.reply(command, 200, "PBSZ=0")
        elif command.verb == "PROT":
            await self._prot(command)
        else:
            await self._ccc(command)

    async def _auth(self, command: wire.Command) -> None:
        control, flow = self._control, self._flow
        if not self.offered:
            text = "TLS is not offered here."
            mend = "there is no certificate; give one with --tls, or pass TLS on untouched with --tls pass"
            flow.log("no_certificate", f"AUTH: 431 {text} For the operator: {mend}", {"command": "AUTH", "code": 431})
            control.reply(command, 431, text)
            return
        if flow.client.secure:
            control.refuse(command, 503, "TLS has been started already.", "bad_sequence")
            return
        if command.argument.upper() not in _MECHANISMS:
            control.refuse(command, 504, "AUTH TLS is what is offered here.", "not_offered")
            return
        await control.catch_up()
        if flow.connected and flow.server.tls_policy is TlsPolicy.CLIENT and not flow.server.secure:
            reply = await control.ask(b"AUTH TLS")
            control.refuse_ahead("AUTH")
            if reply.code not in ACCEPTED:
                flow.log("tls_refused", f"the server answers AUTH TLS with {reply.code}", {"code": reply.code})
                control.answer(command, reply.to_bytes())
                return
            await self._start_server_tls()
        control.refuse_ahead("AUTH")
        control.reply(command, 234, "AUTH TLS: go ahead.")
        await flow.start_tls(Side.CLIENT)
        self._has_tls = True
        self._buffer_sized = self.client_data = False

    async def secure_server(self) -> None:
        """See to it that the server's leg is under TLS, on our own account.

        Raises:
            TlsError: the server does not offer it, or the handshake failed. It must not go on without.
        """
        reply = await self._control.ask(b"AUTH TLS")
        if reply.code not in ACCEPTED:
            raise TlsError(f"the server answers AUTH TLS with {reply.code}, and TLS is required", reason="tls_refused")
        await self._start_server_tls()

    async def _start_server_tls(self) -> None:
        await self._flow.start_tls(Side.SERVER)
        self._server_data = False  # RFC 4217 section 9: in the clear until PROT says otherwise
        self._server_buffer_sized = False

    async def _ccc(self, command: wire.Command) -> None:
        if not self._control.config.ccc:
            self._control.refuse(command, 534, "CCC is refused by policy.", "command_refused")
            return
        await self._control.catch_up()
        if not self._control.logged_in:
            self._control.refuse(command, 503, "CCC comes behind the login.", "bad_sequence")
            return
        self._control.reply(command, 200, "The control connection is going to be in the clear.")
        await self._flow.stop_tls(Side.CLIENT)

    # Data connections.

    async def _prot(self, command: wire.Command) -> None:
        control, config = self._control, self._control.config
        level = command.argument.upper()
        if not self._buffer_sized:
            control.refuse(command, 503, "PBSZ comes before PROT.", "bad_sequence")
        elif level not in (b"C", b"P"):
            control.refuse(command, 536, "PROT C and PROT P are what there is.", "not_offered")
        elif (level, config.client_data_tls) in ((b"C", DataTls.REQUIRE), (b"P", DataTls.NEVER)):
            control.refuse(command, 534, f"PROT {level.decode()} is refused by policy.", "command_refused")
        else:
            before, self.client_data = self.client_data, level == b"P"
            refusal = await self.settle_server_data() if self._flow.connected else None
            if refusal is not None:
                self.client_data = before
                control.answer(command, refusal.to_bytes())
            else:
                control.reply(command, 200, f"PROT {level.decode()}: so be it.")

    @property
    def needs_data_tls(self) -> bool:
        """Whether the client must ask for TLS on data connections first."""
        return self._control.config.client_data_tls is DataTls.REQUIRE and not self.client_data

    @property
    def server_data(self) -> bool:
        """Whether data connections to the server are under TLS."""
        if not self._flow.server.secure:
            return False
        policy = self._control.config.server_data_tls
        if policy is DataTls.CLIENT:
            return self.client_data or not self._has_tls
        return policy is DataTls.REQUIRE

    @property
    def data_sides(self) -> tuple[Side, ...]:
        """The legs of a data connection that are under TLS."""
        secure = {Side.CLIENT: self.client_data, Side.SERVER: self.server_data}
        return tuple(side for side in Side if secure[side])

    async def settle_server_data(self) -> wire.Reply | None:
        """Tell the server by PROT what its data connections shall have; return its refusal, if it refuses.

        Raises:
            AlgError: the server closes the connection.
        """
        wanted = self.server_data
        if not self._flow.server.secure or self._server_data is wanted:
            return None
        if not self._server_buffer_sized:
            await self._control.ask(b"PBSZ 0")  # what it says to that does not matter, if it then takes PROT
            self._server_buffer_sized = True
        line = b"PROT P" if wanted else b"PROT C"
        reply = await self._control.ask(line)
        if not reply.good:
            what = line.decode("ascii")
            self._flow.log("prot_refused", f"the server answers {what} with {reply.code}", {"code": reply.code})
            return reply
        self._server_data = wanted
        return None


def tls_refusal(error: AlgError) -> bytes | None:
    """What the client is told where TLS is at fault; None if it is not."""
    if not isinstance(error, TlsError):
        return None
    text = {
        "certificate_refused": "The server's certificate is not to be trusted.",
        "tls_refused": "TLS is required, and the server does not offer it.",
    }.get(error.reason, "TLS with the server failed.")
    return wire.format_reply(421, text)
