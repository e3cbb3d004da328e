"""Runs pods of deploy/k8s by `podman play kube` (4.3.1): what podman does not know is done here, and nothing else."""

import base64
import copy
import json
import os
import pathlib
import shutil
import tempfile
import uuid

import yaml


def template(workload):
    return workload["spec"]["template"]


def project(folder, values, source, group):
    """A Secret's volume as a kubelet lays it: mode, group and chosen keys, behind the link `..data`, which a change swaps at once."""
    version = folder / f"..{uuid.uuid4().hex[:8]}"
    version.mkdir(parents=True)
    for each in (folder, version):
        each.chmod(0o755)
    for item in source.get("items") or [{"key": key, "path": key} for key in values]:
        path = version / item["path"]
        path.write_text(values[item["key"]])
        path.chmod(source.get("defaultMode", 0o644))
        os.chown(path, 0, group)
        if not (folder / item["path"]).is_symlink():
            (folder / item["path"]).symlink_to(f"..data/{item['path']}")
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").rename(folder / "..data")


def playable(workload, secrets, folder, images, port=None):
    """The pod which a controller would make, as podman takes it; before it the claims of a StatefulSet."""
    name, pod = workload["metadata"]["name"], copy.deepcopy(template(workload))
    spec, claims = pod["spec"], []
    group = spec["securityContext"]["fsGroup"]
    for claim in workload["spec"].get("volumeClaimTemplates", []):  # the StatefulSet's controller: CLAIM-NAME-ORDINAL
        claimed = f"{claim['metadata']['name']}-{name}-0"
        claims.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claimed}, "spec": claim["spec"]})
        spec.setdefault("volumes", []).append({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claimed}})
    for volume in spec.get("volumes", []):
        path = folder / name / volume["name"]
        if "secret" in volume:  # podman leaves them in base64, and knows no mode, no fsGroup, no items and no change
            source = volume.pop("secret")
            project(path, secrets[source["secretName"]], source, group)
            volume["hostPath"] = {"path": str(path), "type": "Directory"}
        elif "emptyDir" in volume:  # podman's is root's, and one for all pods that call theirs so; a kubelet's is anybody's
            del volume["emptyDir"]
            path.mkdir(parents=True)
            os.chown(path, 0, group)
            path.chmod(0o2777)
            volume["hostPath"] = {"path": str(path), "type": "Directory"}
        elif "configMap" in volume:
            volume["configMap"].setdefault("optional", False)  # its default, whose absence podman follows as a nil pointer
    for container in spec["containers"]:
        container["image"] = images.get(container["image"], container["image"])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            container.pop(probe, None)  # podman makes of liveness a health check: `curl` inside the image, at port 0
        ports = container.pop("ports", [])  # podman publishes each, on every address of the machine
        if port and ports:
            container["ports"] = [{**ports[0], "hostPort": port, "hostIP": "127.0.0.1"}]
    return [*claims, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": pod["metadata"]["labels"]}, "spec": spec}]


class Namespace:
    """One network, in which Services have names; what is started in it is gone at its end."""

    def __init__(self, engine, everything, secrets, images):
        self.engine, self.everything, self.secrets, self.images = engine, everything, secrets, images
        self.network, self.pods, self.folder = f"titanic-{uuid.uuid4().hex[:8]}", [], pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-play-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.volumes = self._volumes()
        engine.run("podman", "network", "create", self.network)
        for name, values in secrets.items():  # for secretKeyRef
            engine.run("podman", "secret", "create", name, "-", input=json.dumps({key: base64.b64encode(value.encode()).decode() for key, value in values.items()}))

    def _volumes(self):
        return self.engine.run("podman", "volume", "ls", "-q").stdout.split()

    def start(self, workload, port=None):
        """A container of it is called POD-CONTAINER."""
        labels = template(workload)["metadata"]["labels"]
        services = [each["metadata"]["name"] for each in self.everything if each["kind"] == "Service" and each["spec"]["selector"].items() <= labels.items()]
        pods = playable(workload, self.secrets, self.folder, self.images, port)
        maps = [each for each in self.everything if each["kind"] == "ConfigMap"]
        self.pods.append(workload["metadata"]["name"])
        aliases = ":" + ",".join(f"alias={name}" for name in services) if services else ""
        self.engine.run("podman", "play", "kube", f"--network={self.network}{aliases}", "-", input=yaml.safe_dump_all([*maps, *pods]))

    def rotate(self, workload, secret, values):
        source = next(each["secret"] for each in template(workload)["spec"]["volumes"] if each.get("secret", {}).get("secretName") == secret)
        name = next(each["name"] for each in template(workload)["spec"]["volumes"] if each.get("secret") is source)
        project(self.folder / workload["metadata"]["name"] / name, values, source, template(workload)["spec"]["securityContext"]["fsGroup"])

    def exec(self, container, *words, check=True):
        return self.engine.run("podman", "exec", container, *words, check=check)

    def logs(self, container):
        done = self.engine.run("podman", "logs", container)
        return done.stdout + done.stderr

    def close(self):
        for pod in reversed(self.pods):
            self.engine.run("podman", "pod", "rm", "--force", "--time", "5", pod, check=False)
        self.engine.run("podman", "network", "rm", "--force", self.network, check=False)
        for name in self.secrets:
            self.engine.run("podman", "secret", "rm", name, check=False)
        mine = [each for each in self._volumes() if each not in self.volumes]
        if mine:
            self.engine.run("podman", "volume", "rm", "--force", *mine, check=False)
        shutil.rmtree(self.folder)
