import { LEGACY_KEYS } from '../config/legacy-keys.js';
import type { Problems } from '../config/problem.js';
import type { Entry, ListNode, MappingNode, TreeNode } from '../config/tree.js';

/**
 * Keys of k8s-image-swapper configurations that do not exist here: older places of keys, keys that are flags here, and
 * keys that exist only in its sources or its example file. Our own loader reads the rest.
 */
export function rewriteConfig(config: MappingNode, problems: Problems): MappingNode {
  const entries = new Map<string, Entry>();
  for (const [key, entry] of config.entries) {
    const legacy = LEGACY_KEYS.get(key.toLowerCase());
    if (legacy !== undefined) {
      report(problems, entry, key, legacy.message, legacy.advice);
      continue;
    }
    switch (key.toLowerCase()) {
      case 'source':
        entries.set(key, { ...entry, node: rewriteSource(entry.node, problems) });
        break;
      case 'target':
        entries.set(key, { ...entry, node: rewriteTarget(entry.node, 'target', problems) });
        break;
      default:
        entries.set(key, entry);
    }
  }
  return { ...config, entries };
}

function rewriteSource(source: TreeNode, problems: Problems): TreeNode {
  if (source.kind !== 'mapping') return source;
  const entries = new Map<string, Entry>();
  for (const [key, entry] of source.entries) {
    const name = key.toLowerCase() === 'privateregistries' ? 'registries' : key;
    const { node } = entry;
    if (name !== key) report(problems, entry, `source.${key}`, 'is now called registries', 'written as such');
    const isList = name.toLowerCase() === 'registries' && node.kind === 'list';
    const list = isList ? rewriteRegistries(node, problems) : node;
    entries.set(name, { ...entry, node: list });
  }
  return { ...source, entries };
}

function rewriteRegistries(list: ListNode, problems: Problems): ListNode {
  const items = list.items.map((item, index) => rewriteTarget(item, `source.registries[${index}]`, problems));
  return { ...list, items };
}

/** For one registry: `registry.aws` of its first releases, and `generic` of its example file. */
function rewriteTarget(registry: TreeNode, path: string, problems: Problems): TreeNode {
  if (registry.kind !== 'mapping') return registry;
  const entries = new Map<string, Entry>();
  for (const [key, entry] of registry.entries) {
    const { node } = entry;
    if (key.toLowerCase() === 'registry' && node.kind === 'mapping') {
      report(problems, entry, `${path}.${key}`, 'its keys moved one level up', 'written there');
      for (const [inner, value] of node.entries) entries.set(inner, value);
    } else if (key.toLowerCase() === 'generic' && node.kind === 'mapping') {
      entries.set('oci', { ...entry, node: genericAsOci(node, `${path}.${key}`, problems) });
    } else if (key.toLowerCase() === 'type' && node.kind === 'scalar' && node.value === 'generic') {
      entries.set(key, { ...entry, node: { ...node, value: 'oci', source: 'oci' } });
    } else {
      entries.set(key, entry);
    }
  }
  return { ...registry, entries };
}

function genericAsOci(generic: MappingNode, path: string, problems: Problems): MappingNode {
  const entries = new Map<string, Entry>();
  const credentials = new Map<string, Entry>();
  for (const [key, entry] of generic.entries) {
    const at = `${path}.${key}`;
    switch (key.toLowerCase()) {
      case 'repository':
      case 'domain':
        for (const [name, part] of hostAndPrefix(entry)) entries.set(name, part);
        break;
      case 'username':
        credentials.set('username', entry);
        break;
      case 'password':
        report(problems, entry, at, 'the password is in plain text', 'use oci.credentials.secretName instead');
        credentials.set('password', entry);
        break;
      case 'ignorecert':
        report(problems, entry, at, 'is now called insecure', 'it is safer to set caFile and trust the right CA');
        entries.set('insecure', entry);
        break;
      default:
        entries.set(key, entry);
    }
  }
  if (credentials.size > 0) {
    const node: MappingNode = { kind: 'mapping', entries: credentials, place: generic.place, origin: generic.origin };
    entries.set('credentials', { place: generic.place, node });
  }
  return { ...generic, entries };
}

function hostAndPrefix(entry: Entry): readonly (readonly [string, Entry])[] {
  const { node } = entry;
  if (node.kind !== 'scalar') return [['registry', entry]];
  const [host = '', ...path] = String(node.value).replace(/\/+$/, '').split('/');
  const part = (value: string): Entry => ({ ...entry, node: { ...node, value, source: value } });
  return path.length === 0
    ? [['registry', part(host)]]
    : [
        ['registry', part(host)],
        ['prefix', part(path.join('/'))],
      ];
}

function report(problems: Problems, { place }: Entry, key: string, message: string, what: string): void {
  problems.warning(place, key, message, what);
}
