"""Certificates for TLS tests, made with the openssl program."""

import pathlib
import ssl
import subprocess


def openssl(*words, **more):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True, **more).stdout


class Authority:
    """One that signs, and the files it makes: NAME.pem and NAME.key in its folder."""

    def __init__(self, folder, name="authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / f"{name}.pem"
        self.key = self.folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/O=Test/CN={name}", "-keyout", self.key, "-out", self.file)

    def issue(self, name, subject=None, file=None, address="127.0.0.1"):
        """(certificate, key) for `name` at `address`; the files appear whole, by rename."""
        certificate, key = self.folder / f"{file or name}.pem", self.folder / f"{file or name}.key"
        request = openssl("req", "-utf8", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject or f"/O=Test/CN={name}", "-keyout", f"{key}.new")
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1,IP:{address}\n")
        openssl("x509", "-req", "-days", "30", "-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-extfile", extensions, "-out", f"{certificate}.new", input=request)
        pathlib.Path(f"{key}.new").rename(key)
        pathlib.Path(f"{certificate}.new").rename(certificate)
        return certificate, key

    def client(self, certificate=None, version=None, alpn=None):
        """A client's context that trusts this authority."""
        context = ssl.create_default_context(cafile=self.file)
        if certificate:
            context.load_cert_chain(*certificate)
        if version:
            context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(alpn)
        return context
