#!/usr/bin/env bash
# go-containerregistry v0.22.1, `crane registry serve --disk`: a blob with a sha512 digest is accepted but cannot be found.
#
# The OCI image spec registers sha512, and the registry verifies the digest of the upload: PUT answers 201. GET and HEAD of the
# same blob then answer 404. A manifest that refers to it can therefore be pushed (the registry does not check its blobs) but
# not pulled. Registries that do not support a digest usually reject it (distribution accepts and serves sha512 blobs).
# The same server truncates tags/list?n=1 without a Link header to the next page.
#
# Seen on 2026-11-30: "PUT: 201, HEAD: 404" and "3 tags, n=1: 1 tag, Link: none"
set -euo pipefail
dir=$(mktemp -d); pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$dir"' EXIT
GOBIN="$dir" go install github.com/google/go-containerregistry/cmd/crane@v0.22.1 || exit 2
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
mkdir "$dir/data"
"$dir/crane" registry serve --address "127.0.0.1:$port" --disk "$dir/data" >"$dir/log" 2>&1 & pid=$!
url=http://127.0.0.1:$port
curl -sf --retry 100 --retry-connrefused --retry-delay 1 "$url/v2/" >/dev/null
digest=sha512:$(printf hello | sha512sum | cut -c1-128)
location=$(curl -si -X POST "$url/v2/team/app/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
case $location in http*) ;; *) location=$url$location ;; esac
put=$(curl -s -o /dev/null -w '%{http_code}' -X PUT --data-binary hello "$location?digest=$digest")
head=$(curl -sI -o /dev/null -w '%{http_code}' "$url/v2/team/app/blobs/$digest")
type=application/vnd.oci.image.manifest.v1+json
manifest='{"schemaVersion":2,"mediaType":"'$type'","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}'
for tag in a b c; do curl -sf -o /dev/null -X PUT -H "content-type: $type" --data-binary "$manifest" "$url/v2/team/app/manifests/$tag"; done
count() { python3 -c 'import json,sys; print(len(json.load(sys.stdin)["tags"]))'; }
all=$(curl -s "$url/v2/team/app/tags/list" | count)
page=$(curl -s "$url/v2/team/app/tags/list?n=1" | count)
link=$(curl -si "$url/v2/team/app/tags/list?n=1" | tr -d '\r' | sed -n 's/^[Ll]ink: //p')
echo "PUT: $put, HEAD: $head"
echo "$all tags, n=1: $page tag, Link: ${link:-none}"
[ "$put $head" = "201 404" ] && [ "$all $page ${link:-none}" = "3 1 none" ]
