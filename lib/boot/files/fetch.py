"""Fetches Node and the runner, checks them, and says who this VM is. Python, because every image with cloud-init has it."""
import datetime
import hashlib
import hmac
import json
import os
import platform
import sys
import tarfile
import time
import urllib.parse
import urllib.request

ROOT = os.environ.get("CANDOR_ROOT", "")
IMDS = os.environ.get("CANDOR_IMDS", "http://169.254.169.254")
TRIES = int(os.environ.get("CANDOR_TRIES", "8"))
# A proxy in the environment is never asked for what is this machine's own.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def patiently(what, call):
    """Early in a machine's life its role, its tags and the network may take a while."""
    for number in range(TRIES):
        try:
            return call()
        except Exception as error:  # Whatever it is: the last one is the boot's end.
            print("candor: %s: %s" % (what, error), file=sys.stderr)
            if number + 1 == TRIES:
                raise
            time.sleep(min(2**number, 15))


def metadata(path):
    def call():
        ask = urllib.request.Request(
            IMDS + "/latest/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        )
        token = DIRECT.open(ask, timeout=5).read().decode()
        get = urllib.request.Request(IMDS + "/latest/" + path, headers={"X-aws-ec2-metadata-token": token})
        return DIRECT.open(get, timeout=5).read().decode()

    return patiently(path, call)


def signed_headers(url, region):
    """Signature Version 4 of a GET, with the credentials of the instance's own role."""
    role = metadata("meta-data/iam/security-credentials/").split()[0]
    credentials = json.loads(metadata("meta-data/iam/security-credentials/" + role))
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    parts = urllib.parse.urlsplit(url)
    headers = {
        "host": parts.netloc,
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-date": at,
        "x-amz-security-token": credentials["Token"],
    }
    names = ";".join(sorted(headers))
    lines = "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers))
    request = "\n".join(["GET", urllib.parse.quote(parts.path), "", lines, names, "UNSIGNED-PAYLOAD"])
    scope = "%s/%s/s3/aws4_request" % (at[:8], region)
    text = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        credentials["AccessKeyId"],
        scope,
        names,
        signature,
    )
    return headers


def fetch(archive, region, target):
    def call():
        headers = signed_headers(archive["url"], region) if archive["signed"] else {}
        digest = hashlib.sha256()
        request = urllib.request.Request(archive["url"], headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer, open(target, "wb") as file:
            for chunk in iter(lambda: answer.read(1 << 20), b""):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != archive["sha256"]:
            raise ValueError("%s has SHA-256 %s, not %s" % (archive["url"], digest.hexdigest(), archive["sha256"]))

    patiently("fetch", call)


def unpack(archive, wanted, folder, mode):
    """The plain files that are wanted, under their own names alone: no path in an archive leads anywhere else."""
    os.makedirs(folder, exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.isfile() or not wanted(member.name):
                continue
            target = os.path.join(folder, os.path.basename(member.name))
            with open(target, "wb") as file:
                file.write(tar.extractfile(member).read())
            os.chmod(target, mode)
    os.remove(archive)


def main():
    with open(ROOT + "/etc/candor/boot.json", encoding="utf-8") as file:
        boot = json.load(file)
    region = metadata("meta-data/placement/region")
    vm = metadata("meta-data/tags/instance/" + boot["vmTag"])
    home = ROOT + "/opt/candor/"
    node = boot["node"]["arm64" if platform.machine() == "aarch64" else "x86_64"]
    fetch(node, region, home + "node.tgz")
    unpack(home + "node.tgz", lambda name: name.endswith("/bin/node"), home + "bin", 0o755)
    fetch(boot["runner"], region, home + "runner.tgz")
    unpack(home + "runner.tgz", lambda name: name.endswith(".mjs"), home + "runner", 0o644)
    # No key: this VM proves who it is with its instance's own credentials.
    identity = {"vmId": vm, "url": boot["apiUrl"], "key": "", "region": region, "selfDestructSeconds": boot["selfDestructSeconds"]}
    target = ROOT + "/var/lib/candor/vm/runner.json"
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(identity, file)


main()
