"""deploy/k8s with Sealed Secrets in place of a Key Vault: the page's own command, what it makes opened again by other code than made it, and the overlays with it."""

import base64
import os
import re
import shutil
import subprocess

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from support.certificates import openssl
from support.kubernetes import K8S, NODE, known, kubectl, objects, of, pod_templates
from support.servers import PRESET
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
PLAIN = {"database": b"pass\nword", "pepper": bytes(range(256)), "redis-url": b"redis://:p%40ss@127.0.0.1:6379/0"}


def opened(sealed, key, namespace, name):
    """As the controller does (sealed-secrets, docs/developer/crypto.md)."""
    raw = base64.b64decode(sealed, validate=True)
    length = int.from_bytes(raw[:2], "big")
    session = key.decrypt(raw[2 : 2 + length], padding.OAEP(padding.MGF1(SHA256()), SHA256(), f"{namespace}/{name}".encode()))
    return AESGCM(session).decrypt(bytes(12), raw[2 + length :], None)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A checkout's deploy/k8s, the plain values, and kubeseal on the PATH."""
    folder = tmp_path_factory.mktemp("sealed")
    shutil.copytree(K8S, folder / "deploy/k8s")
    for name, value in PLAIN.items():
        (folder / name).write_bytes(value)
    (folder / "bin").mkdir()
    (folder / "bin/kubeseal").write_text(f'#!/bin/sh\nexec node {NODE}/kubeseal.mjs "$@"\n')
    (folder / "bin/kubeseal").chmod(0o755)
    (folder / "bin/kubectl").symlink_to(kubectl())
    return folder


def cluster(folder):
    """A controller's key (theirs have 4096 bits, which take longer to make), and its certificate as `kubeseal --fetch-cert` leaves it."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/O=sealed-secrets", "-keyout", folder / "cluster.key", "-out", folder / "cluster.pem")
    return load_pem_private_key((folder / "cluster.key").read_bytes(), None)


def command(overlay):
    """The page's, for production; elsewhere the overlay and its namespace are others."""
    (found,) = re.findall(r"^ *(kubectl .* \| kubeseal .*)$", (K8S / "README.md").read_text(), re.M)
    namespace = yaml.safe_load((K8S / "overlays" / overlay / "kustomization.yaml").read_text())["namespace"]
    return found.replace("-n titanic ", f"-n {namespace} ").replace("overlays/prod/", f"overlays/{overlay}/")


def seal(workshop, overlay):
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", command(overlay)], cwd=workshop, env={**os.environ, "PATH": f"{workshop}/bin:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return yaml.safe_load((workshop / "deploy/k8s/overlays" / overlay / "sealed-secret.yaml").read_text())


@pytest.fixture(scope="module")
def overlays(workshop):
    """Each with a SealedSecret in the component's place, as the page says, and each cluster's key."""
    keys = {}
    for overlay in ("staging", "prod", "prod-eu"):
        keys[overlay] = cluster(workshop)
        seal(workshop, overlay)
        path = workshop / "deploy/k8s/overlays" / overlay / "kustomization.yaml"
        kustomization = yaml.safe_load(path.read_text())
        if overlay == "prod-eu":
            kustomization["patches"].append({"path": "sealed-secret.yaml"})
        else:
            kustomization["components"].remove("../../components/external-secrets")
            kustomization["resources"].append("sealed-secret.yaml")
        path.write_text(yaml.safe_dump(kustomization))
    return {overlay: (objects(workshop / "deploy/k8s/overlays" / overlay), key) for overlay, key in keys.items()}


def test_it_opens_under_its_name_its_namespace_and_its_key_alone(overlays):
    for overlay, (everything, key) in overlays.items():
        (sealed,) = of(everything, "SealedSecret").values()
        name, namespace, data = sealed["metadata"]["name"], sealed["metadata"]["namespace"], sealed["spec"]["encryptedData"]
        assert {each: opened(value, key, namespace, name) for each, value in data.items()} == PLAIN
        assert sealed["spec"]["template"]["metadata"] == {"name": name, "namespace": namespace}
        others = ((key, namespace, "other"), (key, "other", name), *((other, namespace, name) for where, (_, other) in overlays.items() if where != overlay))
        for value in data.values():
            for other in others:
                with pytest.raises(ValueError):
                    opened(value, *other)
        assert len(set(data.values())) == len(data)


def test_the_overlays_build_with_it(overlays, tmp_path):
    for overlay, (everything, _) in overlays.items():
        assert not {each["kind"] for each in everything} & {"ExternalSecret", "SecretStore"} and "titanic-secrets" not in of(everything, "ServiceAccount")
        made = {name: set(each["spec"]["encryptedData"]) for name, each in of(everything, "SealedSecret").items()}
        asked = {}  # a whole Secret is asked for its files, which the configuration names
        for template in pod_templates(everything).values():
            for volume in template["spec"]["volumes"]:
                if "secret" in volume:
                    files = {item["key"] for item in volume["secret"].get("items", [])} or set(re.findall(r"/run/secrets/([\w-]+)", (K8S / "base/bulkhead.yaml").read_text()))
                    asked.setdefault(volume["secret"]["secretName"], set()).update(files)
            for container in template["spec"]["containers"]:
                for each in container.get("env", []):
                    if reference := each.get("valueFrom", {}).get("secretKeyRef"):
                        asked.setdefault(reference["name"], set()).add(reference["key"])
        assert asked == made == {"titanic-api": set(PLAIN)}, overlay
    status, said = known(tmp_path, yaml.safe_dump_all([each for everything, _ in overlays.values() for each in everything]))
    assert status == 0, said
