"""The peer lab: real FTP servers and real FTP clients, joined by nothing but the gateway."""
