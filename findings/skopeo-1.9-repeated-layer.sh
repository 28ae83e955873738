#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12, skopeo 1.9.3+ds1-1): a layer that occurs three times in an image is uploaded three times.
#
# Images that are built FROM scratch with equal steps contain the same layer more than once, which the spec allows. skopeo copies
# layers in parallel and checks for each before any has arrived, so the registry gets three complete uploads of one blob. crane
# and regctl send it once. Benchmarks that compare copiers by sent bytes must not contain such a layer by accident.
#
# Seen on 2026-11-30 (docker-registry 2.8.2+ds1-1 at both ends): "uploads of the layer: 3"
set -euo pipefail
dir=$(mktemp -d); pids=
trap '[ -z "$pids" ] || kill $pids; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download -qq docker-registry=2.8.2+ds1-1 skopeo=1.9.3+ds1-1+b10) 2>/dev/null ||
  { echo "needs Debian 12's packages docker-registry and skopeo"; exit 2; }
for package in "$dir"/*.deb; do dpkg -x "$package" "$dir/root"; done
start() { # NAME: a registry, its URL in $dir/NAME.url, its access log in $dir/NAME.log
  local port
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
    "$dir/$1" "$port" >"$dir/$1.yml"
  "$dir/root/usr/bin/docker-registry" serve "$dir/$1.yml" >"$dir/$1.log" 2>&1 & pids="$pids $!"
  echo "127.0.0.1:$port" >"$dir/$1.url"
  curl -sf --retry 100 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$port/v2/" >/dev/null
}
start source; start target
source=$(cat "$dir/source.url"); target=$(cat "$dir/target.url")
head -c 8000000 /dev/zero | tr '\0' x >"$dir/layer"
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$dir/config"
push() {
  local digest location
  digest=sha256:$(sha256sum "$1" | cut -c1-64)
  location=$(curl -si -X POST "http://$source/v2/app/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  curl -sf -X PUT -H 'content-type: application/octet-stream' --data-binary "@$1" "$location&digest=$digest"
  echo "$digest"
}
layer=$(push "$dir/layer"); config=$(push "$dir/config")
entry='{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"'$layer'","size":8000000}'
type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%s},"layers":[%s,%s,%s]}' \
  "$type" "$config" "$(stat -c %s "$dir/config")" "$entry" "$entry" "$entry" >"$dir/manifest"
curl -sf -X PUT -H "content-type: $type" --data-binary "@$dir/manifest" "http://$source/v2/app/manifests/v1"
"$dir/root/usr/bin/skopeo" --insecure-policy copy --quiet --src-tls-verify=false --dest-tls-verify=false \
  "docker://$source/app:v1" "docker://$target/app:v1"
sleep 1
# All uploads that were finished, without that of the config.
uploads=$(($(grep -c '"PUT /v2/app/blobs/uploads/' "$dir/target.log") - 1))
echo "uploads of the layer: $uploads"
[ "$uploads" = 3 ]
