import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { explainRequest } from '../../../extension-service/src/server/explain.js';
import type { ExplainAnswer, ExplainDependencies } from '../../../extension-service/src/server/explain.js';
import { explainText } from '../../../extension-service/src/server/explain-text.js';
import { TableKnowledge } from '../../../extension-service/src/server/table-knowledge.js';
import type { MirrorStatus } from '../../../extension-service/src/mirror/status.js';
import { configOf, ociTarget } from '../decide/rules-of.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';

const NOW = 1_790_000_000_000;
const config = configOf({
  source: { ...configOf().source, filters: [{ jmespath: "obj.metadata.namespace == 'kube-system'" }] },
  targets: [
    {
      ...ociTarget('harbor.example.com', { prefix: 'mirror', match: "starts_with(obj.metadata.namespace, 'eu-')" }),
      name: 'eu',
    },
  ],
});
const inForce = { config, rules: compileRules(config, namingTarget) };
const throttled: MirrorStatus = {
  source: 'docker.io/library/nginx:1.27',
  target: 'eu',
  reference: 'harbor.example.com/mirror/docker.io/library/nginx:1.27',
  state: 'waiting',
  attempts: 2,
  since: NOW - 3_000,
  failure: {
    reason: 'throttled',
    message: 'GET https://registry-1.docker.io/v2/library/nginx/manifests/1.27: too many requests',
    retryable: true,
  },
  nextTry: NOW + 12_000,
};
const POD = {
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'eu-west' },
  spec: {
    containers: [
      { name: 'app', image: 'nginx:1.27' },
      { name: 'agent', image: 'docker.io/library/nginx:UPPER CASE' },
    ],
  },
};

function explained(copy: MirrorStatus | undefined, find?: ExplainDependencies['find']): Promise<ExplainAnswer> {
  const absent: ExplainDependencies['find'] = async () => ({ state: 'absent', from: 'registry' });
  return explainRequest(POD, inForce, { find: find ?? absent, findCopy: () => copy });
}

const page = readFileSync(new URL('../../../docs/explain.md', import.meta.url), 'utf8');
const block = (mark: string): string =>
  new RegExp(`<!-- ${mark} -->\n+\`\`\`\\w+\n(.*?)\n\`\`\``, 's').exec(page)?.[1] ?? '';

describe('docs/explain.md', () => {
  it('shows every key of the JSON in its order', async () => {
    expect(JSON.stringify(await explained(throttled), null, 2)).toBe(
      JSON.stringify(JSON.parse(block('json')), null, 2),
    );
  });

  it('prints the text unchanged', async () => {
    expect(explainText(await explained(throttled), NOW)).toBe(block('story'));
  });
});

describe('the text about a copy', () => {
  const { failure, nextTry, ...rest } = throttled;
  const failed = { ...throttled, state: 'failed', attempts: 1 } as const;
  it.each([
    [{ ...rest, state: 'queued' } as const, 'Its copy has been queued for 3 s.'],
    [
      { ...rest, state: 'running', progress: { transferred: 5, total: 10 } } as const,
      'Its copy has been running for 3 s: 5 of 10 bytes.',
    ],
    [{ ...rest, state: 'done', since: NOW - 300_000 } as const, 'It was copied 5 min ago.'],
    [failed, 'Its copy failed.'],
    [failed, 'A new Pod can retry it in 12 s.'],
    [{ ...failed, nextTry: NOW - 1 }, 'A new Pod can retry it now.'],
    [throttled, `The reason is throttled: ${failure?.message ?? ''}.`],
    [{ ...throttled, nextTry: (nextTry ?? 0) + 600_000 }, 'The next attempt is in 10 min.'],
  ])('%#', async (copy, sentence) => {
    expect(explainText(await explained(copy), NOW).split('\n')).toContain(`  ${sentence}`);
  });

  it('is omitted without a copy', async () => {
    const answer = await explained(undefined);
    expect(answer.containers[0]).not.toHaveProperty('copy');
    expect(explainText(answer, NOW)).not.toContain('copy');
  });
});

it('shows the reason when the existence is unknown', async () => {
  const answer = await explained(undefined, async () => ({
    state: 'unknown',
    reason: 'forbidden',
    message: 'HEAD https://harbor.example.com/v2/x/manifests/1: forbidden',
  }));
  expect(answer.containers[0]?.existence).toMatchObject({ state: 'unknown', reason: 'forbidden' });
  expect(explainText(answer, NOW)).toContain(
    'It is not known whether the target has it: HEAD https://harbor.example.com',
  );
});

describe('the outcome matches admission', () => {
  const place = 'harbor.example.com/mirror/docker.io/library/nginx:1.27';
  const waits = `The Pod waits up to 8s for the copy, and is then swapped for ${place}.`;
  it.each<[Partial<Config>, 'absent' | 'present', string]>([
    [
      { imageCopyPolicy: 'immediate' },
      'absent',
      `${waits} It keeps its image if the copy is not done by then (imageSwapPolicy exists, imageCopyPolicy immediate).`,
    ],
    [{ imageCopyPolicy: 'force' }, 'absent', `${waits} It keeps its image if`],
    [
      { imageCopyPolicy: 'force' },
      'present',
      `${waits} It is swapped even if the copy is not done by then (imageSwapPolicy exists, imageCopyPolicy force).`,
    ],
    [{ imageCopyPolicy: 'immediate', imageSwapPolicy: 'always' }, 'absent', `${waits} It is swapped even if`],
    [
      { imageCopyPolicy: 'immediate', imageCopyFailure: 'deny' },
      'absent',
      `${waits} The Pod is refused if the copy is not done by then`,
    ],
    [{ imageCopyPolicy: 'immediate' }, 'present', `It is swapped for ${place} (imageSwapPolicy exists).`],
    [{ imageCopyPolicy: 'immediate', dryRun: true }, 'absent', 'It keeps its image: dryRun is on.'],
    [
      { imageCopyPolicy: 'none' },
      'absent',
      'It keeps its image, and the service does not copy it (imageSwapPolicy exists, imageCopyPolicy none).',
    ],
    [
      { imageCopyPolicy: 'none', imageSwapPolicy: 'always' },
      'absent',
      `It is swapped for ${place} (imageSwapPolicy always). The service does not copy it (imageCopyPolicy none).`,
    ],
    [
      { imageCopyPolicy: 'delayed' },
      'absent',
      'It keeps its image for now (imageSwapPolicy exists, imageCopyPolicy delayed).',
    ],
  ])('under %j, %s in the target', async (policies, state, sentence) => {
    const all = { ...config, ...policies };
    const answer = await explainRequest(
      POD,
      { config: all, rules: compileRules(all, namingTarget) },
      {
        find: async () => ({ state, from: 'registry' }) as const,
        findCopy: () => undefined,
      },
    );
    expect(explainText(answer, NOW)).toContain(`  => ${sentence}`);
  });

  it('waits for no copy with an engine whose requests start none', async () => {
    const all = {
      ...config,
      imageCopyPolicy: 'immediate',
      policies: { ...config.policies, engine: 'gatekeeper' },
    } as const;
    const answer = await explainRequest(
      POD,
      { config: all, rules: compileRules(all, namingTarget) },
      {
        find: async () => ({ state: 'absent', from: 'registry' }),
        findCopy: () => undefined,
      },
    );
    expect(answer.containers[0]).not.toHaveProperty('waitsMs');
    expect(explainText(answer, NOW)).toContain('It keeps its image for now');
  });
});

describe('a request with many images', () => {
  it('looks up 50 of them, and reports the others', async () => {
    const asked: string[] = [];
    const containers = Array.from({ length: 120 }, (_, n) => ({
      name: `c${n}`,
      image: `docker.io/team/app:${n % 110}`,
    }));
    const pod = { kind: 'Pod', metadata: { namespace: 'eu-west' }, spec: { containers } };
    const answer = await explainRequest(pod, inForce, {
      find: async (_, reference) => {
        asked.push(reference.text);
        return { state: 'absent', from: 'registry' };
      },
      findCopy: () => undefined,
    });
    expect(new Set(asked).size).toBe(50);
    expect(answer.containers).toHaveLength(120);
    expect(answer.containers[100]?.existence).toMatchObject({
      state: 'unknown',
      message: expect.stringMatching(/send a separate request for this one/) as string,
    });
  });
});

describe('external text in an explanation', () => {
  it('stays on its line without terminal commands or templates', async () => {
    const message = 'the digest is \u009b31m{{ x }}\nand\u202e more\u001b[2J';
    const answer = await explained({ ...throttled, failure: { reason: 'invalid', message, retryable: false } });
    const text = explainText(answer, NOW);
    expect(text).toContain('{ { x }}');
    expect(text).not.toMatch(/\{\{|(?!\n)\p{Cc}|\u202e/u);
    expect(text.split('\n')).toHaveLength(explainText(await explained(throttled), NOW).split('\n').length);
  });
});

describe("the API server's table", () => {
  const report = { entries: 1, length: 9, omittedForSpace: 0, unquotable: 0, writes: 1, lag: 0 };
  const present: ExplainDependencies['find'] = async () => ({ state: 'present', from: 'registry' });
  const NAME = 'harbor.example.com/mirror/docker.io/library/nginx:1.27';

  async function told(table: TableKnowledge): Promise<readonly [text: string, swapped: boolean | undefined]> {
    const answer = await explainRequest(POD, inForce, {
      find: present,
      findCopy: () => undefined,
      findInTable: (name) => table.find(name),
    });
    return [explainText(answer, NOW), answer.containers[0]?.swapped];
  }

  it('decides whether a Pod is swapped, and since when', async () => {
    const table = new TableKnowledge();
    expect((await told(table))[0]).not.toContain('table');
    table.learn({ ...report, adopted: [], added: [], removed: [] }, NOW);
    expect(await told(table)).toEqual([expect.stringContaining("The API server's table does not have it."), false]);
    table.learn({ ...report, adopted: [], added: [NAME], removed: [] }, NOW);
    const since = `The API server's table has had it since ${new Date(NOW).toISOString()}.`;
    expect(await told(table)).toEqual([expect.stringContaining(since), true]);
    table.learn({ ...report, adopted: [], added: [], removed: [NAME] }, NOW);
    expect((await told(table))[1]).toBe(false);
    table.learn({ ...report, adopted: [NAME], added: [], removed: [] }, NOW);
    expect((await told(table))[0]).toContain('since before this replica became the leader');
    table.forget();
    expect((await told(table))[1]).toBe(true);
  });

  it('does not matter for a Pod that only the service can decide', async () => {
    const filters = [
      "obj.metadata.namespace == 'kube-system'",
      "obj.metadata.labels.tier == 'play' && obj.spec.hostNetwork",
    ].map((jmespath) => ({ jmespath }));
    const policies = { engine: 'mutatingadmissionpolicy', undecidable: 'webhook', manage: true } as const;
    const base = configOf({
      imageCopyPolicy: 'immediate',
      target: ociTarget('harbor.example.com', { prefix: 'mirror' }),
    });
    const called = { ...base, source: { ...base.source, filters }, policies: { ...base.policies, ...policies } };
    const explain = async (labels: object) => {
      const pod = {
        kind: 'Pod',
        metadata: { namespace: 'a', labels },
        spec: { containers: [{ name: 'a', image: 'nginx:1.27' }] },
      };
      const rules = compileRules(called, namingTarget);
      const answer = await explainRequest(
        pod,
        { config: called, rules },
        {
          find: async () => ({ state: 'absent', from: 'registry' }),
          findCopy: () => undefined,
          findInTable: () => ({ state: 'absent' }),
        },
      );
      return { text: explainText(answer, NOW), ...answer.containers[0] };
    };
    expect(await explain({ tier: 'play' })).toMatchObject({
      decidedBy: 'webhook',
      waitsMs: called.imageCopyDeadline,
      text: expect.stringContaining('so the service decides it (policies.undecidable webhook).') as string,
    });
    const other = await explain({ tier: 'work' });
    expect(other.text).toContain("The API server's table does not have it.");
    expect(other).not.toHaveProperty('decidedBy');
    expect(other).not.toHaveProperty('waitsMs');
  });
});
