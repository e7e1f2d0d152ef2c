"""A Flask app that tells who the proxy says its client is.

    client_cert_app.py PORT                             Flask's own server
    gunicorn --bind 127.0.0.1:PORT client_cert_app:app
    uwsgi --http-socket 127.0.0.1:PORT --plugin python3 --module client_cert_app:app
"""

import base64
import hashlib
import sys

from flask import Flask, jsonify, request

app = Flask("client_cert_app")


@app.route("/")
def client():
    told = {name: value for name, value in request.environ.items() if "CLIENT" in name and name.startswith("HTTP_")}
    cert = told.get("HTTP_CLIENT_CERT", "::").strip(":")
    return jsonify(told=told, digest=hashlib.sha256(base64.b64decode(cert)).hexdigest())


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
