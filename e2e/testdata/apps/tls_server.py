"""A socket and TLS around it: PORT CERTIFICATE KEY [ROOT REVOKED].

With a root it serves clients with a certificate that leads there and is not in
the list of revoked ones.
"""

import socket
import ssl
import sys

port, certificate, key, *clients = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
if clients:
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
    for file in clients:
        context.load_verify_locations(file)

with socket.create_server(("127.0.0.1", int(port))) as server:
    while True:
        connection, _ = server.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                body = "fluffy tail"
                if clients:
                    subject = dict(pair[0] for pair in tls.getpeercert()["subject"])
                    body += " for " + subject["commonName"]
                tls.recv(65536)
                tls.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        except OSError as problem:
            print("no connection:", problem)
