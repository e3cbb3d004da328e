"""A private OpenID provider."""

import base64
import json
import subprocess
import urllib.parse
import urllib.request

from support.servers.build import PATIENCE, ROOT
from support.servers.ports import free_port


class OpenIdProvider:
    """A real one, from npm, whose keys change with each start."""

    def __init__(self, algorithm="RS256", kid="first"):
        self.port, self.algorithm, self.process = free_port(), algorithm, None
        self.start(kid)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, kid):
        self.process = subprocess.Popen(["node", "oidc.mjs", str(self.port), kid, self.algorithm], cwd=ROOT / "tests/node", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline().strip() == "ready"

    def rotate(self, kid):
        self.stop()
        self.start(kid)

    def ask(self, path, form=None):
        request = urllib.request.Request(self.url + path, data=urllib.parse.urlencode(form).encode() if form else None)
        if form:
            request.add_header("authorization", "Basic " + base64.b64encode(b"importer:secret").decode())
        return json.loads(urllib.request.urlopen(request, timeout=PATIENCE).read())

    def token(self, scope="people:read", audience="https://titanic.example"):
        """By client credentials."""
        return self.ask("/token", {"grant_type": "client_credentials", "scope": scope, "resource": audience})["access_token"]

    def keys(self):
        return self.ask("/jwks")["keys"]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
