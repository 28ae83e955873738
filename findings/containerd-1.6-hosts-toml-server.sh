#!/usr/bin/env bash
# containerd 1.6.20 (Debian 12): a hosts.toml that contains only `server` is ignored.
#
# containerd's documentation of hosts.toml describes `server` as the upstream of the namespace, including its scheme, and host
# tables as optional. containerd rejects a file that only contains the line `server = "http://…"`: it logs "invalid `host` tree"
# and continues the pull as if there were no file, over https and from the namespace's own name. With an additional empty table
# [host."http://…"], the same pull works. (The registry has a name here because containerd tries plain HTTP for loopback
# addresses anyway.)
#
# Seen on 2026-11-30: "server alone: fails", "server and host table: works"
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 2; }
dir=$(mktemp -d); pids=
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; sleep 1; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download -qq docker-registry=2.8.2+ds1-1 containerd) 2>/dev/null ||
  { echo "needs Debian 12's packages docker-registry and containerd"; exit 2; }
for package in "$dir"/*.deb; do dpkg -x "$package" "$dir/root"; done
"$dir/root/usr/bin/containerd" --version | grep -q ' 1\.6\.20' || { echo "not containerd 1.6.20"; exit 2; }
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
  "$dir/data" "$port" >"$dir/registry.yml"
"$dir/root/usr/bin/docker-registry" serve "$dir/registry.yml" >"$dir/registry.log" 2>&1 & pids="$pids $!"
url=http://127.0.0.1:$port/v2
curl -sf --retry 100 --retry-connrefused --retry-delay 1 "$url/" >/dev/null
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$dir/config"
digest=sha256:$(sha256sum "$dir/config" | cut -c1-64)
location=$(curl -si -X POST "$url/app/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -sf -X PUT -H 'content-type: application/octet-stream' --data-binary "@$dir/config" "$location&digest=$digest"
type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%s},"layers":[]}' \
  "$type" "$digest" "$(stat -c %s "$dir/config")" >"$dir/manifest"
curl -sf -X PUT -H "content-type: $type" --data-binary "@$dir/manifest" "$url/app/manifests/v1"
printf 'version = 2\nroot = "%s/c"\nstate = "%s/s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s/sock"\n' \
  "$dir" "$dir" "$dir" >"$dir/containerd.toml"
"$dir/root/usr/bin/containerd" --config "$dir/containerd.toml" >"$dir/containerd.log" 2>&1 & pids="$pids $!"
for _ in $(seq 100); do [ -S "$dir/sock" ] && break; sleep 0.2; done
name=registry.test
try() { # TEXT of hosts.toml
  mkdir -p "$dir/hosts/$name"
  printf '%s\n' "$1" >"$dir/hosts/$name/hosts.toml"
  timeout 20 "$dir/root/usr/bin/ctr" --address "$dir/sock" content fetch --hosts-dir "$dir/hosts" "$name/app:v1" \
    >"$dir/ctr.log" 2>&1 && echo works || echo fails
}
alone=$(try "server = \"http://127.0.0.1:$port\"")
table=$(try "server = \"http://127.0.0.1:$port\"
[host.\"http://127.0.0.1:$port\"]")
echo "server alone: $alone"
echo "server and host table: $table"
[ "$alone $table" = "fails works" ]
