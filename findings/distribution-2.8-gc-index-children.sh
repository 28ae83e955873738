#!/usr/bin/env bash
# distribution 2.8.2 (Debian 12, docker-registry 2.8.2+ds1-1): `garbage-collect --delete-untagged` deletes the platforms of a
# tagged image.
#
# A manifest without its own tag counts as garbage, even if a tagged index refers to it. The tag still answers 200, but the
# manifests in its index are gone, so no platform can be pulled. Referrers (signatures, SBOMs), which have no tags either, are
# also deleted. Version 3 keeps manifests that an index refers to. Users of a mirror must not use this flag with a 2.8 registry.
#
# Seen on 2026-11-30: "tag: 200, its platform: 404"
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
manifest=application/vnd.oci.image.manifest.v1+json index=application/vnd.oci.image.index.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%s},"layers":[]}' \
  "$manifest" "$config" "$(stat -c %s "$dir/config")" >"$dir/manifest"
platform=sha256:$(sha256sum "$dir/manifest" | cut -c1-64)
curl -sf -X PUT -H "content-type: $manifest" --data-binary "@$dir/manifest" "$url/manifests/$platform"
printf '{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":%s,"platform":{"architecture":"amd64","os":"linux"}}]}' \
  "$index" "$manifest" "$platform" "$(stat -c %s "$dir/manifest")" >"$dir/index"
curl -sf -X PUT -H "content-type: $index" --data-binary "@$dir/index" "$url/manifests/v1"
status() { curl -s -o /dev/null -w '%{http_code}' -H "accept: $index, $manifest" "$url/manifests/$1"; }
[ "$(status "$platform")" = 200 ]
kill $pid; wait $pid 2>/dev/null || true; pid=
"$registry" garbage-collect --delete-untagged "$dir/config.yml" >/dev/null 2>&1
serve
seen="tag: $(status v1), its platform: $(status "$platform")"
echo "$seen"
[ "$seen" = 'tag: 200, its platform: 404' ]
