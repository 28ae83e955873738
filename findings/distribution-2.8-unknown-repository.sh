#!/usr/bin/env bash
# distribution 2.8.2 (Debian docker-registry 2.8.2+ds1-1): only the list of tags shows whether a repository exists.
#
# The OCI distribution spec defines the code NAME_UNKNOWN for a repository that the registry does not know. In such a
# repository, distribution answers MANIFEST_UNKNOWN to GET of a manifest, and BLOB_UNKNOWN to GET of a blob, exactly as in a
# repository that exists. Only GET /v2/NAME/tags/list answers NAME_UNKNOWN. A client that wants to skip lookups in a new
# repository must request that list. If a blob was pushed but no manifest yet, the list still answers NAME_UNKNOWN.
#
# Seen on 2026-11-30:
#   manifest: MANIFEST_UNKNOWN, blob: BLOB_UNKNOWN, tags: NAME_UNKNOWN, tags after a blob: NAME_UNKNOWN
set -euo pipefail
dir=$(mktemp -d); pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download -qq docker-registry=2.8.2+ds1-1) 2>/dev/null || { echo "needs Debian 12's package docker-registry"; exit 2; }
dpkg -x "$dir"/docker-registry_*.deb "$dir/root"
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
cat >"$dir/config.yml" <<YAML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $dir/data}}
http: {addr: "127.0.0.1:$port"}
YAML
"$dir/root/usr/bin/docker-registry" serve "$dir/config.yml" >"$dir/log" 2>&1 & pid=$!
url=http://127.0.0.1:$port/v2
curl -sf --retry 100 --retry-connrefused --retry-delay 1 "$url/" >/dev/null
digest=sha256:$(printf x | sha256sum | cut -c1-64)
code() { curl -s "$url/$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["errors"][0]["code"])'; }
manifest=$(code "team/app/manifests/v1"); blob=$(code "team/app/blobs/$digest"); tags=$(code "team/app/tags/list")
location=$(curl -si -X POST "$url/team/app/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -sf -X PUT -H 'content-type: application/octet-stream' --data-binary x "$location&digest=$digest"
after=$(code "team/app/tags/list")
seen="manifest: $manifest, blob: $blob, tags: $tags, tags after a blob: $after"
echo "$seen"
[ "$seen" = "manifest: MANIFEST_UNKNOWN, blob: BLOB_UNKNOWN, tags: NAME_UNKNOWN, tags after a blob: NAME_UNKNOWN" ]
