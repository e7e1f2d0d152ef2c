"""Asks the app for its secret, over https and with verification.

    /usr/bin/python3 client.py https://flask.localhost ROOT.PEM

ROOT.PEM is what `devproxy ca path` prints.
"""

import sys

import requests

url, root = sys.argv[1:]
response = requests.get(url, verify=root, timeout=10)
print(f"The secret message is: {response.text}")
