import { describe, expect, it } from 'vitest';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { SourceAccess } from '../../../extension-service/src/core/decide/source-access.js';
import { PublicImages } from '../../../extension-service/src/kubernetes/image-table/public-images.js';

const GRANTED: SourceAccess = { state: 'granted', to: 'everybody', freshFor: 1 };
const REFUSED: SourceAccess = { state: 'refused', message: 'no' };
const UNKNOWN: SourceAccess = { state: 'unknown', message: 'the source is away' };

function job(text: string): MirrorJob {
  const [registry = '', ...rest] = text.split('/');
  const reference = { registry, repository: rest.join('/'), tag: '1', shownAs: '1', published: '1', text };
  return {
    ...{ key: text, source: `source.example.com/${text}`, target: 'target', reference, platforms: 'all', force: false },
    pull: { namespace: 'team-a', serviceAccount: 'default', secretNames: ['login'] },
  };
}

/** Public images with a source whose requests the test answers, in order. */
function table() {
  const [reported, asked]: [string[], { job: MirrorJob; digest: string; answer: (access: SourceAccess) => void }[]] = [
    [],
    [],
  ];
  const stop = new AbortController();
  const images = new PublicImages({
    images: {
      present: ({ reference }) => reported.push(`+${reference.text}`),
      missing: ({ reference }) => reported.push(`-${reference.text}`),
      keep: ({ reference }) => reported.push(`=${reference.text}`),
    },
    ask: (one, digest) => new Promise((answer) => asked.push({ job: one, digest, answer })),
    signal: stop.signal,
    retry: 0,
  });
  return { told: reported, asked, images, stop };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

describe('public images', () => {
  it('enter the table when their source grants anonymous access', async () => {
    const { told, asked, images } = table();
    images.present(job('mirror/open'), 'sha256:1');
    images.present(job('mirror/closed'), 'sha256:2');
    expect(asked.map(({ job: one, digest }) => [one.reference.text, one.pull, digest])).toEqual([
      ['mirror/open', undefined, 'sha256:1'],
      ['mirror/closed', undefined, 'sha256:2'],
    ]);
    expect(told).toEqual([]);
    asked[0]?.answer(GRANTED);
    asked[1]?.answer(REFUSED);
    await turn();
    expect(told).toEqual(['+mirror/open', '-mirror/closed']);
  });

  it('are checked again while the source does not answer, and the table stays as it is', async () => {
    const { told, asked, images, stop } = table();
    images.present(job('mirror/app'), 'sha256:1');
    asked[0]?.answer(UNKNOWN);
    await turn();
    expect([told, asked.length]).toEqual([['=mirror/app'], 2]);
    asked[1]?.answer(GRANTED);
    await turn();
    expect(told).toEqual(['=mirror/app', '+mirror/app']);
    images.present(job('mirror/app'), 'sha256:1');
    asked[2]?.answer(UNKNOWN);
    stop.abort();
    await turn();
    expect(asked).toHaveLength(3);
  });

  it('are not asked about endlessly when nothing uses them and the source never answers', async () => {
    const { asked, images } = table();
    images.present(job('mirror/app'), 'sha256:1');
    for (let tries = 0; tries < 20; tries += 1) {
      while (asked.length <= tries) await turn();
      asked[tries]?.answer(UNKNOWN);
    }
    await turn();
    expect(asked).toHaveLength(20);
    expect((images as unknown as { readonly open: ReadonlyMap<string, unknown> }).open.size).toBe(0);
    // The reconciler looks up a used image again.
    images.present(job('mirror/app'), 'sha256:1');
    expect(asked).toHaveLength(21);
  });

  it('do not enter the table when the target has lost them or has another digest before the answer', async () => {
    const { told, asked, images } = table();
    images.present(job('mirror/lost'), 'sha256:1');
    images.missing(job('mirror/lost'));
    images.present(job('mirror/moved'), 'sha256:1');
    images.present(job('mirror/moved'), 'sha256:2');
    for (const { answer } of asked.slice(0, 2)) answer(GRANTED);
    await turn();
    expect(told).toEqual([]);
    expect(asked.map(({ digest }) => digest)).toEqual(['sha256:1', 'sha256:1', 'sha256:2']);
    asked[2]?.answer(REFUSED);
    await turn();
    expect(told).toEqual(['-mirror/moved']);
  });

  it('are checked 16 at a time', async () => {
    const { told, asked, images } = table();
    for (let index = 0; index < 40; index += 1) images.present(job(`mirror/app-${index}`), 'sha256:1');
    expect(asked).toHaveLength(16);
    for (let index = 0; index < 40; index += 1) {
      asked[index]?.answer(GRANTED);
      await turn();
    }
    expect(told).toHaveLength(40);
  });
});
