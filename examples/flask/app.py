"""The tutorial's app: a secret, served as plain HTTP.

    /usr/bin/python3 app.py                            Flask's own server on port 5000
    uwsgi --http-socket 127.0.0.1:5000 --plugin python3 --wsgi-file app.py
"""

from flask import Flask, request

app = Flask("secret-squirrels")
application = app  # the name uWSGI looks for


@app.route("/")
def secret_message():
    return "fluffy tail"


@app.route("/scheme")
def scheme():
    return request.headers.get("X-Forwarded-Proto", "none")


if __name__ == "__main__":
    app.run(port=5000)
