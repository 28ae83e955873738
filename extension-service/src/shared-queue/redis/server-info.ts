import { roleFinding } from '../kind.js';
import type { Finding } from '../kind.js';

/** The oldest supported version of Redis: major and minor number. Valkey names the version of Redis that it replaces. */
const OLDEST = [6, 2] as const;

/** Parses the `key:value` lines of Redis's INFO. */
export function infoOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/\r?\n/).flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
}

/** Whether the server keeps jobs, and in which version. */
export function findingsOf(info: ReadonlyMap<string, string>): readonly Finding[] {
  return [versionOf(info), roleFinding(roleFault(info)), memoryOf(info)];
}

function versionOf(info: ReadonlyMap<string, string>): Finding {
  const version = info.get('redis_version') ?? 'unknown';
  const valkey = info.get('valkey_version');
  const name = valkey === undefined ? `Redis ${version}` : `Valkey ${valkey}`;
  const [, major = '', minor = ''] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  const [oldestMajor, oldestMinor] = OLDEST;
  const isOld = Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor);
  if (major !== '' && isOld) {
    return { check: 'version', ok: false, message: `is ${name}; version ${OLDEST.join('.')} or newer is required` };
  }
  return { check: 'version', ok: true, message: name };
}

function roleFault(info: ReadonlyMap<string, string>): string | undefined {
  if (info.get('cluster_enabled') === '1') {
    return 'is a Redis Cluster, which is not supported; use one primary, with or without Sentinels';
  }
  if (info.get('role') === 'slave')
    return 'is a replica, which stores nothing; name the primary, or use queue.sentinels';
  return info.get('loading') === '1' ? 'is loading its data' : undefined;
}

function memoryOf(info: ReadonlyMap<string, string>): Finding {
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy === 'noeviction') return { check: 'memory', ok: true, message: 'maxmemory-policy noeviction' };
  if (info.get('maxmemory') === '0') {
    return { check: 'memory', ok: true, message: `no limit; with maxmemory, maxmemory-policy ${policy} loses copies` };
  }
  // Locks have a time to live, so a policy that only deletes such keys also loses jobs.
  const message = `deletes keys when its memory is full (maxmemory-policy ${policy}), and would lose copies; set maxmemory-policy noeviction`;
  return { check: 'memory', ok: false, message };
}
