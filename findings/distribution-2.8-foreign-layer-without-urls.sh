#!/usr/bin/env bash
# distribution 2.8.2 (Debian 12, docker-registry 2.8.2+ds1-1): a Docker foreign layer without `urls` is refused with 500 and "blob
# unknown to registry", although the registry has the blob.
#
# Tools that prepare an image for an isolated network push the bytes of its foreign layers and omit `urls`. The registry requires
# a URL for this type of layer, even if it has the bytes, and none of its three errors says so. It accepts the same layer with
# OCI's media type for non-distributable layers. A copier that trusts the status would retry forever; one that trusts the error
# code would send the blob again.
#
# Seen on 2026-11-30: "blob: 200, Docker foreign layer: 500 UNKNOWN UNKNOWN MANIFEST_BLOB_UNKNOWN, OCI non-distributable layer: 201"
set -euo pipefail
dir=$(mktemp -d); pid=
trap '[ -z "$pid" ] || kill $pid; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download -qq docker-registry=2.8.2+ds1-1) 2>/dev/null || { echo "needs Debian 12's package docker-registry"; exit 2; }
dpkg -x "$dir"/*.deb "$dir/root"
registry=$dir/root/usr/bin/docker-registry
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
  "$dir/data" "$port" >"$dir/config.yml"
url=http://127.0.0.1:$port/v2/app
serve() {
  "$registry" serve "$dir/config.yml" >/dev/null 2>&1 & pid=$!
  curl -sf --retry 100 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$port/v2/" >/dev/null
}
push_blob() { # FILE: its digest on stdout
  local digest location
  digest=sha256:$(sha256sum "$1" | cut -c1-64)
  location=$(curl -si -X POST "$url/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  curl -sf -X PUT -H 'content-type: application/octet-stream' --data-binary "@$1" "$location&digest=$digest"
  echo "$digest"
}
serve
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$dir/config"
config=$(push_blob "$dir/config")
head -c 1000 /dev/urandom >"$dir/layer"
layer=$(push_blob "$dir/layer")
put() { # TYPE-OF-MANIFEST TYPE-OF-CONFIG TYPE-OF-LAYER: the status of the manifest
  printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[{"mediaType":"%s","digest":"%s","size":1000}]}' \
    "$1" "$2" "$config" "$(stat -c %s "$dir/config")" "$3" "$layer" >"$dir/manifest"
  curl -s -o "$dir/answer" -w '%{http_code}' -X PUT -H "content-type: $1" --data-binary "@$dir/manifest" "$url/manifests/v1"
}
docker=application/vnd.docker oci=application/vnd.oci
codes() { python3 -c 'import json, sys; print(*(error["code"] for error in json.load(open(sys.argv[1]))["errors"]))' "$dir/answer"; }
seen="blob: $(curl -sI -o /dev/null -w '%{http_code}' "$url/blobs/$layer")"
seen+=", Docker foreign layer: $(put $docker.distribution.manifest.v2+json $docker.container.image.v1+json $docker.image.rootfs.foreign.diff.tar.gzip)"
seen+=" $(codes), OCI non-distributable layer: $(put $oci.image.manifest.v1+json $oci.image.config.v1+json $oci.image.layer.nondistributable.v1.tar+gzip)"
echo "$seen"
[ "$seen" = 'blob: 200, Docker foreign layer: 500 UNKNOWN UNKNOWN MANIFEST_BLOB_UNKNOWN, OCI non-distributable layer: 201' ]
