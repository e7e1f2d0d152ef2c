"""A Flask app that takes the proxy's word for where it is.

    flask_app.py PORT                                   Flask's own server
    gunicorn --bind 127.0.0.1:PORT --threads 8 flask_app:app
    uwsgi --http-socket 127.0.0.1:PORT --plugin python3 --enable-threads --threads 8 --module flask_app:app

Streams are driven from outside: each piece goes out when another request has
acknowledged the one before.
"""

import hashlib
import io
import queue
import sys
import threading

from flask import Flask, Response, jsonify, make_response, redirect, request, send_file, session, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask("apps")
app.config.update(SECRET_KEY="not a secret", SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Lax")
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1)

FILE = bytes(i * 7 % 251 for i in range(100_000))
PATIENCE = 20

streams = {}
streams_lock = threading.Lock()


def stream_of(name):
    with streams_lock:
        return streams.setdefault(name, {"acks": queue.Queue(), "closed": threading.Event()})


@app.route("/seen")
def seen():
    return jsonify(
        scheme=request.scheme,
        host=request.host,
        url=request.url,
        page=url_for("seen", _external=True),
        secure=request.is_secure,
        client=request.remote_addr,
        port=request.environ["SERVER_PORT"],
        original_host=request.environ["werkzeug.proxy_fix.orig"]["HTTP_HOST"],
        forwarded_port=request.headers.get("X-Forwarded-Port"),
    )


@app.post("/login")
def login():
    session["name"] = request.form["name"]
    return redirect(url_for("me", _external=True), 303)


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("me"))


@app.route("/me")
def me():
    return session.get("name", "nobody")


def body_pieces():
    if request.headers.get("Transfer-Encoding") == "chunked" and "uwsgi.version" in request.environ:
        import uwsgi  # whose wsgi.input does not know chunks

        while piece := uwsgi.chunked_read(PATIENCE):
            yield piece
        return
    while piece := request.stream.read(64 << 10):
        yield piece


@app.route("/upload", methods=["POST", "PUT"])
def upload():
    digest, size = hashlib.sha256(), 0
    for piece in body_pieces():
        digest.update(piece)
        size += len(piece)
    return jsonify(
        sha256=digest.hexdigest(),
        bytes=size,
        length=request.headers.get("Content-Length"),
        encoding=request.headers.get("Transfer-Encoding"),
    )


@app.route("/refuse", methods=["POST", "PUT"])
def refuse():
    return "refused unread", 403


@app.route("/pieces/<name>")
def pieces(name):
    stream = stream_of(name)

    def generate():
        for i in range(3):
            yield f"piece {i}\n"
            stream["acks"].get(timeout=PATIENCE)

    return Response(generate(), mimetype="text/plain")


@app.post("/ack/<name>")
def ack(name):
    stream_of(name)["acks"].put(request.form.get("say", ""))
    return "", 204


@app.route("/events/<name>")
def events(name):
    stream = stream_of(name)

    def generate():
        try:
            yield b""  # makes the server send the head
            while True:
                say = stream["acks"].get(timeout=PATIENCE)
                yield f"data: {say}\n\n"
        finally:
            stream["closed"].set()

    return Response(generate(), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})


@app.route("/closed/<name>")
def closed(name):
    return jsonify(closed=stream_of(name)["closed"].is_set())


@app.route("/page")
def page():
    response = make_response("page")
    response.set_etag("v1")
    return response.make_conditional(request)


@app.route("/file")
def file():
    return send_file(io.BytesIO(FILE), mimetype="application/octet-stream", etag="v2", conditional=True)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
