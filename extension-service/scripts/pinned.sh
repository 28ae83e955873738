#!/bin/sh
# Refuses base images that a digest does not fix: pinned.sh IMAGE… Runs in the Dockerfile. Images under localhost/ are those
# that scripts/image.mjs makes of packages, which it verifies itself.
set -eu
for image in "$@"; do
  case $image in
    localhost/*) ;;
    *@sha256:*)
      digest=${image##*@sha256:}
      if [ "${#digest}" -ne 64 ] || [ -n "$(printf %s "$digest" | tr -d 0-9a-f)" ]; then
        echo "$image: the digest must be sha256: and 64 hexadecimal digits" >&2
        exit 1
      fi
      ;;
    *)
      echo "$image: a tag can move: give a digest; node scripts/base-images.mjs prints --build-arg with digests" >&2
      exit 1
      ;;
  esac
done
