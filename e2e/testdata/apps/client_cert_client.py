"""Asks an https server for / on each of several connections, with a client
certificate or without, and prints the statuses.

    client_cert_client.py HOST PORT ROOT.pem MAXIMUM [CERT.pem KEY.pem]

MAXIMUM is TLSv1_2 or TLSv1_3. Sessions are resumed where the server lets them;
such a status has a + behind it.
"""

import socket
import ssl
import sys

host, port, root, maximum = sys.argv[1:5]
context = ssl.create_default_context(cafile=root)
context.maximum_version = ssl.TLSVersion[maximum]
if len(sys.argv) > 5:
    context.load_cert_chain(*sys.argv[5:7])

session = None
for line in sys.stdin:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=host, session=session) as sock:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := sock.recv(65536):
                answer += part
            session = sock.session
            print(answer.split()[1].decode() + ("+" if sock.session_reused else ""), flush=True)
