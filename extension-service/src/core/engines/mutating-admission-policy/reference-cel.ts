/**
 * CEL that parses a reference as `core/image/reference.ts` does. `test/e2e/reference-cel.test.ts` compares both. It
 * only uses Kubernetes' own libraries of 1.34 and newer. CEL has no local variables: `[x].map(n, …)[0]` replaces one.
 */

/** A map of strings for each reference in `refs`, by reference; omits references that are certainly invalid. */
export function keysOf(refs: string): string {
  return [
    `${refs}.distinct()`,
    // 64 hexadecimal digits alone are the ID of an image, which is not a valid reference.
    `  .filter(ref, ${MAY_BE_REFERENCE})`,
    '  .transformMapEntry(i, ref, {ref: [ref.split("@", 2)].map(at,',
    '    [at[0].split("/", 2)]',
    `      .map(s, size(s) == 2 && s[0].matches("[.:A-Z]|^localhost$") ? [s[0].lowerAscii(), s[1]] : ["docker.io", at[0]])`,
    '      .map(s, [s[0] == "index.docker.io" ? "docker.io" : s[0]] + s[1].split(":", 2))',
    '      .map(s, [s[0], s[0] == "docker.io" && !s[1].contains("/") ? "library/" + s[1] : s[1], size(s) == 3 ? s[2] : "latest"])',
    '      .map(s, s + [s[0] + "/" + s[1]])',
    '      .map(s, {',
    '        "registry": s[0], "repository": s[1], "tag": s[2],',
    '        "dir": s[3].substring(0, s[3].lastIndexOf("/")), "name": s[3].substring(s[3].lastIndexOf("/") + 1),',
    '        "separator": size(at) == 2 ? "@" : ":", "shown": size(at) == 2 ? at[1] : s[2]',
    '      })[0]',
    '    )[0]})',
    '  .transformMap(ref, k, k.tag.matches("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"), k)',
  ].join('\n');
}

/** Printable ASCII, within the maximum length of a reference. A space would also split the tags of the table. */
const MAY_BE_REFERENCE = 'size(ref) <= 1024 && ref.matches("^[!-~]+$") && !ref.matches("^[a-f0-9]{64}$")';

const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const LABEL = '[a-z0-9]+(?:-+[a-z0-9]+)*';

/**
 * Whether the key `k` is valid in all its parts, and its registry is not an IPv6 address. Entries of the table do not
 * need this check, because the table only contains valid references.
 */
export const IS_VALID = [
  `k.registry.matches("^${LABEL}(?:\\\\.${LABEL})*(?::[0-9]+)?$")`,
  `k.repository.matches("^${COMPONENT}(?:/${COMPONENT})*$")`,
  'size(k.repository) <= 255',
  '(k.separator == ":" || k.shown.matches("^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$"))',
].join(' && ');
