import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { useCli } from './cli.js';

const cli = useCli();

describe('explain', () => {
  it('tells an image as a story', async () => {
    const { code, stdout } = await cli.swapper(['explain', 'nginx', '--offline', '--config', await cli.config()]);
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'containers/container: nginx',
        '  is docker.io/library/nginx:latest in full.',
        "  Filter 1 is false: obj.metadata.namespace == 'kube-system'",
        '  Target default takes every image.',
        `  Its place in the target is ${cli.target.host}/mirror/docker.io/library/nginx:latest.`,
        '  Whether the target has it is not known: not asked (--offline).',
        '  => It keeps its image for now (imageSwapPolicy exists, imageCopyPolicy delayed).',
        '',
      ].join('\n'),
    );
    expect(cli.target.accessLog).toEqual([]);
  });

  it('shows the sub-expressions of the filter that decided, for a Pod from a file', async () => {
    const pod = join(cli.folder, 'pod.yaml');
    await writeFile(
      pod,
      stringify({ kind: 'Pod', metadata: { name: 'x' }, spec: { containers: [{ name: 'a', image: 'nginx' }] } }),
    );
    const { stdout } = await cli.swapper(['explain', '-f', pod, '-n', 'kube-system', '--config', await cli.config()]);
    expect(stdout).toContain('Filter 1 is true: leaves it alone');
    expect(stdout).toContain('obj.metadata.namespace -> "kube-system"');
    const asked = await cli.swapper(['explain', '-f', pod, '-o', 'json', '--config', await cli.config()]);
    expect(JSON.parse(asked.stdout)).toMatchObject({
      namespace: 'default',
      containers: [{ name: 'a', action: 'mirror', swapped: false, existence: { state: 'absent' } }],
    });
  });

  it('exits 1 for an image that cannot be parsed, 2 without anything to explain', async () => {
    expect((await cli.swapper(['explain', 'a b', '--config', await cli.config()])).code).toBe(1);
    expect((await cli.swapper(['explain', '--config', await cli.config()])).code).toBe(2);
  });
});
