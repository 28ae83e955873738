/**
 * Tags that are derived from a digest: the fallback tag of referrers, `sha256-HEX`, and those of cosign 2,
 * `sha256-HEX.sig`.
 */
export const DIGEST_TAG = /^sha(?:256|384|512)-[0-9a-f]{64}(?:\.\w+)?$/;
