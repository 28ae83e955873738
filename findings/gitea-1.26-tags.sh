#!/usr/bin/env bash
# Gitea 1.26.0, container registry: a tag that moves deletes the index that it pointed to, and tags fold their case.
#
# The OCI distribution spec gives every manifest its digest as a name, whatever its tags do, and other registries keep an
# untagged manifest until someone deletes it. In Gitea, an index that was pushed by tag exists only as long as its tag points to
# it: after a push of another index to the same tag, GET of the first one by digest answers 404, although its platforms are
# still there. Pods and mirrors that pin the digest of a multi-platform image then fail. An index that was also pushed by digest
# remains. A push to the tag V1 is stored as v1 and replaces the image under v1; the list of tags has only v1.
#
# The script builds Gitea from its Go module, which takes some minutes.
# Seen on 2026-11-30:
#   first index by digest: 200, after the tag moved: 404, its platform: 200
#   v1 before and after a push to V1: same digest: no, tags: latest v1
set -euo pipefail
dir=$(mktemp -d); pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$dir"' EXIT
cd "$dir"
module=$(go mod download -json code.gitea.io/gitea@v1.26.0 | python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])')
# Gitea's replacements apply only in the main module, so its file becomes the file of a module that requires it.
cp "$module/go.mod" "$module/go.sum" . && chmod u+w go.mod go.sum
go mod edit -module example.com/finding -require code.gitea.io/gitea@v1.26.0
go build -mod=mod -trimpath -ldflags='-s -w' -tags=sqlite,sqlite_unlock_notify -o "$dir/gitea" code.gitea.io/gitea || exit 2
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
cat >"$dir/app.ini" <<INI
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = $port
ROOT_URL = http://127.0.0.1:$port/
STATIC_ROOT_PATH = $module
APP_DATA_PATH = $dir/data
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = $dir/gitea.db
[security]
INSTALL_LOCK = true
SECRET_KEY = example
[repository]
ROOT = $dir/repositories
[log]
MODE = console
LEVEL = warn
INI
gitea() { "$dir/gitea" "$@" --config "$dir/app.ini" --work-path "$dir"; }
gitea migrate >"$dir/log" 2>&1
gitea admin user create --username team --password example-password --email team@example.com --must-change-password=false >>"$dir/log" 2>&1
"$dir/gitea" web --config "$dir/app.ini" --work-path "$dir" >>"$dir/log" 2>&1 & pid=$!
url=http://127.0.0.1:$port/v2
request() { curl -s -u team:example-password "$@"; }
curl -s --retry 100 --retry-connrefused --retry-delay 1 -o /dev/null "$url/"
digest() { echo "sha256:$(printf %s "$1" | sha256sum | cut -c1-64)"; }
blob() { request -o /dev/null -f -X POST -H 'content-type: application/octet-stream' --data-binary "$1" "$url/team/app/blobs/uploads/?digest=$(digest "$1")"; }
put() { request -o /dev/null -f -X PUT -H "content-type: $3" --data-binary "$2" "$url/team/app/manifests/$1"; }
status() { request -o /dev/null -w '%{http_code}' -H "accept: $index_type, $manifest_type" "$url/team/app/manifests/$1"; }
current() { request -I -H "accept: $index_type, $manifest_type" "$url/team/app/manifests/$1" | tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'; }
manifest_type=application/vnd.oci.image.manifest.v1+json
index_type=application/vnd.oci.image.index.v1+json
config='{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'
manifest() {
  printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},' "$manifest_type" "$(digest "$config")" "${#config}"
  printf '"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}]}' "$(digest "$1")" "${#1}"
}
index() { printf '{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":%d,"platform":{"architecture":"amd64","os":"linux"}}]}' "$index_type" "$manifest_type" "$(digest "$1")" "${#1}"; }
blob "$config"; blob first; blob second
first=$(manifest first); second=$(manifest second)
for one in "$first" "$second"; do put "$(digest "$one")" "$one" "$manifest_type"; done
put latest "$(index "$first")" "$index_type"
before=$(status "$(digest "$(index "$first")")")
put latest "$(index "$second")" "$index_type"
after=$(status "$(digest "$(index "$first")")"); platform=$(status "$(digest "$first")")
put v1 "$first" "$manifest_type"; lower=$(current v1)
put V1 "$second" "$manifest_type"; replaced=$(current v1)
tags=$(request "$url/team/app/tags/list" | python3 -c 'import json,sys; print(" ".join(json.load(sys.stdin)["tags"]))')
same=no; [ "$lower" != "$replaced" ] || same=yes
moved="first index by digest: $before, after the tag moved: $after, its platform: $platform"
folded="v1 before and after a push to V1: same digest: $same, tags: $tags"
printf '%s\n%s\n' "$moved" "$folded"
[ "$moved" = "first index by digest: 200, after the tag moved: 404, its platform: 200" ] && [ "$folded" = "v1 before and after a push to V1: same digest: no, tags: latest v1" ]
