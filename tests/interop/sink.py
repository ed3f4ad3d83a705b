# SPDX-License-Identifier: ISC
"""A real server, aiosmtpd, in each of its parts. Takes mail for joe and ann, and keeps it as it
came: /srv/aiosmtpd/USER/N.

usage: sink.py ADDRESS CERTIFICATE KEY PASSWORD"""

import asyncio
import os
import ssl
import sys

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

FOLDER = "/srv/aiosmtpd"


class Keeper:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.split("@")[0] not in ("joe", "ann"):
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 welcome"

    async def handle_DATA(self, server, session, envelope):
        for recipient in envelope.rcpt_tos:
            Keeper.count += 1
            folder = os.path.join(FOLDER, recipient.split("@")[0])
            os.makedirs(folder, exist_ok=True)
            part = os.path.join(FOLDER, str(Keeper.count))
            with open(part, "wb") as f:
                f.write(envelope.original_content)
            os.rename(part, os.path.join(folder, str(Keeper.count)))
        replies = len(envelope.rcpt_tos) if isinstance(server, LMTP) else 1
        return "\r\n".join(["250 2.0.0 taken"] * replies)


async def main(address, certificate, key, password):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()

    def authenticate(server, session, envelope, mechanism, data):
        return AuthResult(success=data == LoginPassword(b"joe", password.encode()), handled=False)

    def part(kind, **options):
        return lambda: kind(Keeper(), hostname="aiosmtpd.example", **options)

    auth = {"authenticator": authenticate, "auth_required": True}
    await loop.create_server(part(SMTP), address, 25)
    await loop.create_server(part(LMTP), address, 24)
    await loop.create_server(part(SMTP, auth_require_tls=False, **auth), address, 465,
                             ssl=context)
    await loop.create_unix_server(part(SMTP), "/run/aiosmtpd.smtp")
    await loop.create_unix_server(part(LMTP), "/run/aiosmtpd.lmtp")
    for name in "smtp", "lmtp":
        os.chmod(f"/run/aiosmtpd.{name}", 0o666)
    # The last: what waits for this one knows that all are there.
    server = await loop.create_server(
        part(SMTP, tls_context=context, require_starttls=True, **auth), address, 587)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
