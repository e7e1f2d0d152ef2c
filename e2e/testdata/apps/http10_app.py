"""A server of Python's http.server, in its two versions.

    http10_app.py PORT 1.0      each response ends with the connection
    http10_app.py PORT 1.1      so do responses here, but nothing says so
"""

import hashlib
import http.server
import sys

BODY = b"0123456789" * 20_000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/endless":  # no length: the end is the end of the connection
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            if self.protocol_version == "HTTP/1.1":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(BODY)
            return
        self.answer(self.path.encode())

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args):
        pass


Handler.protocol_version = "HTTP/" + sys.argv[2]
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
