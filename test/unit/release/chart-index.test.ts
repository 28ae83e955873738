import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

interface Index {
  readonly generated: string;
  readonly entries: Readonly<
    Record<
      string,
      readonly {
        readonly version: string;
        readonly digest: string;
        readonly urls: string[];
        readonly created: string;
      }[]
    >
  >;
}

// The scripts are plain JavaScript. A computed URL keeps TypeScript from resolving the import.
const script = new URL('../../../extension-service/scripts/chart-index.mjs', import.meta.url).href;
const { chartIndex: indexOf } = (await import(script)) as { chartIndex: (release: object) => string };

const chart = (version: string): string =>
  `apiVersion: v2\nname: image-swapper\nversion: ${version}\nappVersion: ${version}\n`;
const release = (version: string, digest: string, seconds: number): object => ({
  ...{ chart: chart(version), digest, seconds, file: `image-swapper-${version}.tgz` },
});

describe('the index of the chart repository', () => {
  const first = indexOf(release('0.1.0', 'aa', 1_790_000_000));

  it('contains the fields that Helm reads, with the time of the commit', () => {
    const created = '2026-09-21T14:13:20.000Z';
    expect(parse(first)).toEqual({
      apiVersion: 'v1',
      generated: created,
      entries: {
        'image-swapper': [
          {
            ...{ apiVersion: 'v2', name: 'image-swapper', version: '0.1.0', appVersion: '0.1.0' },
            ...{ created, digest: 'aa', urls: ['image-swapper-0.1.0.tgz'] },
          },
        ],
      },
    });
  });

  it('keeps published versions unchanged', () => {
    const second = indexOf({ ...release('0.2.0', 'bb', 1_800_000_000), published: first });
    const entries = (parse(second) as Index).entries['image-swapper'] ?? [];
    expect(entries.map(({ version }) => version)).toEqual(['0.2.0', '0.1.0']);
    expect(entries[1]).toEqual((parse(first) as Index).entries['image-swapper']?.[0]);
    const again = indexOf({ ...release('0.2.0', 'bb', 1_900_000_000), published: second });
    expect((parse(again) as Index).entries).toEqual((parse(second) as Index).entries);
  });

  it('refuses a published version with other bytes, and invalid indexes', () => {
    expect(() => indexOf({ ...release('0.1.0', 'bb', 1), published: first })).toThrow(
      'image-swapper 0.1.0 is published with digest aa, and this one has bb',
    );
    expect(() => indexOf({ ...release('0.1.0', 'bb', 1), published: 'not found' })).toThrow('has no entries');
  });
});
