# SPDX-License-Identifier: ISC
"""Says whether an OAuth token is good, as Dovecot's oauth2 asks. Of one it says nothing.

usage: tokens.py ADDRESS PORT GOOD UNKNOWABLE"""

import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS, PORT, GOOD, UNKNOWABLE = sys.argv[1:]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        token = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("token", [""])[0]
        if token == UNKNOWABLE:
            self.close_connection = True
            return
        answer = b'{"username":"joe","active":"yes"}' if token == GOOD else \
            b'{"error":"invalid_token"}'
        self.send_response(200 if token == GOOD else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


ThreadingHTTPServer((ADDRESS, int(PORT)), Handler).serve_forever()
