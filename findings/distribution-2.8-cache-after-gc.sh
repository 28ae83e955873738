#!/usr/bin/env bash
# distribution 2.8.2 (Debian 12, docker-registry 2.8.2+ds1-1) with its usual `cache: blobdescriptor: inmemory`: a manifest that
# was deleted and collected cannot be pushed again until the registry restarts, although each push answers 201.
#
# `garbage-collect` is a separate process, so the running registry does not know what it deleted. HEAD of a collected blob
# still answers 200. PUT of the collected manifest answers 201 but stores only the tag: GET of the tag and of the digest answer
# 404. Clients that trust either answer leave a mirror without the image. A restart of the registry fixes this.
#
# Seen on 2026-11-30: "after garbage collection: blob 200, push 201, tag 404; after a restart: push 201, tag 200"
set -euo pipefail
dir=$(mktemp -d); pid=
trap '[ -z "$pid" ] || kill $pid; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download -qq docker-registry=2.8.2+ds1-1) 2>/dev/null || { echo "needs Debian 12's package docker-registry"; exit 2; }
dpkg -x "$dir"/*.deb "$dir/root"
registry=$dir/root/usr/bin/docker-registry
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}, cache: {blobdescriptor: inmemory}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
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
manifest=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%s},"layers":[]}' \
  "$manifest" "$config" "$(stat -c %s "$dir/config")" >"$dir/manifest"
digest=sha256:$(sha256sum "$dir/manifest" | cut -c1-64)
push() { curl -s -o /dev/null -w '%{http_code}' -X PUT -H "content-type: $manifest" --data-binary "@$dir/manifest" "$url/manifests/v1"; }
status() { curl -s -o /dev/null -w '%{http_code}' -H "accept: $manifest" "$url/$1"; }
[ "$(push) $(status manifests/v1)" = '201 200' ]
curl -sf -X DELETE "$url/manifests/$digest"
"$registry" garbage-collect "$dir/config.yml" >/dev/null 2>&1
seen="after garbage collection: blob $(curl -sI -o /dev/null -w '%{http_code}' "$url/blobs/$config"), push $(push), tag $(status manifests/v1)"
kill $pid; wait $pid 2>/dev/null || true; pid=
serve
config=$(push_blob "$dir/config")
seen="$seen; after a restart: push $(push), tag $(status manifests/v1)"
echo "$seen"
[ "$seen" = 'after garbage collection: blob 200, push 201, tag 404; after a restart: push 201, tag 200' ]
