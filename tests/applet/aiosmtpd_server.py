#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A real SMTP server, aiosmtpd, that takes mail for anybody over TLS and with a password.

usage: aiosmtpd_server.py DIR CERTIFICATE KEY USER PASSWORD [implicit]

Listens on 127.0.0.1 with STARTTLS, or with TLS from the first byte. Writes its port to DIR/port,
and each message to DIR/mail.N, as it came, with the envelope in front.
"""

import asyncio
import ctypes
import os
import signal
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Keeper:
    def __init__(self, directory):
        self.directory = directory
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        path = os.path.join(self.directory, f"mail.{self.count}")
        with open(path + ".new", "wb") as f:
            f.write(f"X-Server-Login: {session.auth_data.login.decode()}\r\n"
                    f"X-Server-From: {envelope.mail_from}\r\n".encode())
            for recipient in envelope.rcpt_tos:
                f.write(f"X-Server-To: {recipient}\r\n".encode())
            f.write(envelope.original_content)
        os.rename(path + ".new", path)
        return "250 2.0.0 taken"


async def main(directory, certificate, key, user, password, implicit=""):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: goes with its starter
    signal.alarm(600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    keeper = Keeper(directory)

    def authenticate(server, session, envelope, mechanism, data):
        right = LoginPassword(user.encode(), password.encode())
        return AuthResult(success=data == right, handled=False, auth_data=data)

    def connection():
        return SMTP(keeper, hostname="mail.example", authenticator=authenticate,
                    auth_required=True, auth_require_tls=not implicit,
                    require_starttls=not implicit, tls_context=None if implicit else context)

    server = await asyncio.get_running_loop().create_server(
        connection, "127.0.0.1", 0, ssl=context if implicit else None)
    with open(os.path.join(directory, "port.new"), "w", encoding="ascii") as f:
        print(server.sockets[0].getsockname()[1], file=f)
    os.rename(f.name, os.path.join(directory, "port"))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
