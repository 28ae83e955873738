#!/usr/bin/env bash
# moto 5.2.5 (PyPI): its ECR returns a digest for an image index that does not depend on the index.
#
# Like every OCI registry, Amazon ECR identifies a manifest by the SHA-256 of its bytes. moto hashes the digests of the
# manifest's layers instead. An index has no layers, so moto takes the digest from a small pool of random ones: PutImage of the
# same index into two repositories returns two digests, and neither is the SHA-256 of the bytes. A client that compares the
# returned imageDigest with the pushed bytes works with ECR and fails with moto. A test against moto cannot show that digests
# are preserved.
#
# Seen on 2026-11-30: "index: sha256 of the bytes is not the imageDigest" and "image: sha256 of the bytes is not the imageDigest".
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet 'moto[ecr]==5.2.5' 'boto3==1.40.0' || exit 2
"$dir/venv/bin/python" - <<'PY'
import hashlib, json, os
os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1")
import boto3
from moto import mock_aws

def sha256(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

image = json.dumps({
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256("{}"), "size": 2},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256("layer"), "size": 5}],
})
index = json.dumps({
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha256(image), "size": len(image),
                   "platform": {"os": "linux", "architecture": "amd64"}}],
})
with mock_aws():
    ecr = boto3.client("ecr")
    ok = True
    for name, manifest in (("image", image), ("index", index)):
        media = json.loads(manifest)["mediaType"]
        digests = []
        for repository in (f"a-{name}", f"b-{name}"):
            ecr.create_repository(repositoryName=repository)
            put = ecr.put_image(repositoryName=repository, imageManifest=manifest, imageManifestMediaType=media, imageTag="v1")
            digests.append(put["image"]["imageId"]["imageDigest"])
        differs = all(digest != sha256(manifest) for digest in digests)
        print(f"{name}: sha256 of the bytes is {'not ' if differs else ''}the imageDigest")
        ok = ok and differs
raise SystemExit(0 if ok else 1)
PY
