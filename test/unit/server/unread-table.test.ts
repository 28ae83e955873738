import { describe, expect, it } from 'vitest';
import { decide } from '../../../extension-service/src/core/decide/decide.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import type { AdmissionRequest } from '../../../extension-service/src/server/admission.js';
import type { TableState } from '../../../extension-service/src/server/table-knowledge.js';
import { UnreadTable } from '../../../extension-service/src/server/unread-table.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import { parse, target } from '../config/parsing.js';

const NOW = 10_000_000;
const known: TableState = { state: 'present', since: new Date(NOW - 60_000).toISOString() };

interface Case {
  /** Of the configuration, in addition to the table. */
  readonly config?: string;
  readonly policies?: string;
  /** State in the table by the image's last part. */
  readonly table?: Readonly<Record<string, TableState | undefined>>;
  readonly images?: readonly string[];
  readonly metadata?: object;
  /** The targets have no image. */
  readonly areAbsent?: boolean;
}

async function unread({ config = '', policies = 'table: true', table = { 'app:1': known }, ...of }: Case) {
  const { config: parsed } = parse(`${target}policies: {manage: true, ${policies}}\n${config}`);
  const { images = ['app:1'], metadata = {}, areAbsent = false } = of;
  const pod = {
    metadata: { name: 'web', namespace: 'team-a', ...metadata },
    spec: { containers: images.map((image, index) => ({ name: `c${index}`, image })) },
  };
  const request = { pod, namespace: 'team-a', operation: 'CREATE' } as unknown as AdmissionRequest;
  const decisions = decide(compileRules(parsed, namingTarget), request);
  const containers = decisions.map((decision) => ({
    decision,
    outcome: decision.action === 'mirror' && !areAbsent ? ('swapped' as const) : ('kept' as const),
    image: '',
  }));
  const [metrics, log] = [createMetrics(), [] as string[]];
  let now = NOW;
  const watch = new UnreadTable({
    current: () => parsed,
    find: (name) => table[name.slice(name.lastIndexOf('/') + 1)],
    log: { warn: (_fields: object, line: string) => void log.push(line) } as never,
    ...{ metrics, now: () => now },
  });
  const observe = async (): Promise<number> => {
    watch.observe(request, { containers, swaps: [] });
    return (await metrics.tableUnread.get()).values[0]?.value ?? 0;
  };
  return { observe, log, later: (ms: number) => (now += ms) };
}

describe('a call of Kyverno', () => {
  it('about images that the table has had for a minute is counted, and logged once in ten minutes', async () => {
    const { observe, log, later } = await unread({});
    expect(await observe()).toBe(1);
    expect(await observe()).toBe(2);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(/GlobalContextEntry image-swapper .* Kyverno may list imagetables\.image-swapper\.io/);
    later(600_000);
    expect(await observe()).toBe(3);
    expect(log).toHaveLength(2);
  });

  it.each<readonly [string, Case]>([
    ['about an image that an earlier leader put into the table', { table: { 'app:1': { state: 'present' } } }],
    ['about a Pod with another image that is in the target', { images: ['app:1', 'registry.example.com/x:1'] }],
    [
      'about a Pod with an opted-out container',
      { images: ['app:1', 'other:1'], metadata: { annotations: { 'image-swapper.io/skip-containers': 'c1' } } },
    ],
    [
      'about a Pod that no filter of the service concerns',
      { config: 'source: {filters: [{jmespath: "obj.metadata.namespace == \'b\' && obj.spec.hostNetwork"}]}\n' },
    ],
  ])('%s is counted', async (_, one) => {
    expect(await (await unread(one)).observe()).toBe(1);
  });

  it.each<readonly [string, Case]>([
    ['without the table', { policies: 'table: false' }],
    ['during a dry run', { config: 'dryRun: true\n' }],
    [
      'about an image that the table has only just got',
      { table: { 'app:1': { state: 'present', since: new Date(NOW - 59_000).toISOString() } } },
    ],
    ['about an image that the table does not have', { table: { 'app:1': { state: 'absent' } } }],
    ['where another replica writes the table, which has not been read yet', { table: {} }],
    ['about an image that the target no longer has', { areAbsent: true }],
    ['about a Pod with one other image', { images: ['app:1', 'other:1'] }],
    ['about a Pod with an invalid image', { images: ['app:1', 'NOT a reference'] }],
    ['about a Pod without images outside the targets', { images: ['registry.example.com/x:1'] }],
    [
      'about a Pod that a filter of the service may concern',
      { config: 'source: {filters: [{jmespath: obj.spec.hostNetwork}]}\n' },
    ],
    ['about a target that is always checked again', { config: 'imageCopyPolicy: force\n' }],
    ['about a target with some platforms', { config: 'mirror: {platforms: [linux/amd64]}\n' }],
    [
      'about a Pod with the annotation of an earlier pass',
      { metadata: { annotations: { 'image-swapper.io/original-images': '{}' } } },
    ],
  ])('%s is not', async (_, one) => {
    const { observe, log } = await unread(one);
    expect(await observe()).toBe(0);
    expect(log).toEqual([]);
  });
});
