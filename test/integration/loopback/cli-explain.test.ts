import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { useCli } from './cli.js';

const cli = useCli();

describe('explain', () => {
  it('explains an image as text', async () => {
    const { code, stdout } = await cli.spawned(['explain', 'nginx', '--offline', '--config', await cli.config()]);
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'containers/container: nginx',
        '  Full name: docker.io/library/nginx:latest',
        "  Filter 1 is false: obj.metadata.namespace == 'kube-system'",
        '  Target default matches every image.',
        `  In the target it is ${cli.target.host}/mirror/docker.io/library/nginx:latest`,
        '  It is not known whether the target has it: not checked (--offline).',
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
    expect(stdout).toContain('Filter 1 is true: the container keeps its image');
    expect(stdout).toContain('obj.metadata.namespace -> "kube-system"');
    const asked = await cli.swapper(['explain', '-f', pod, '-o', 'json', '--config', await cli.config()]);
    expect(JSON.parse(asked.stdout)).toMatchObject({
      namespace: 'default',
      containers: [{ name: 'a', action: 'mirror', swapped: false, existence: { state: 'absent' } }],
    });
  });

  it('explains every Pod of a file with several objects and names its object', async () => {
    const file = join(cli.folder, 'all.yaml');
    const template = { spec: { containers: [{ name: 'a', image: 'nginx' }] } };
    const deployment = { kind: 'Deployment', metadata: { name: 'web', namespace: 'kube-system' }, spec: { template } };
    const job = { kind: 'Job', metadata: { name: 'once', namespace: 'team' }, spec: { template } };
    await writeFile(file, [deployment, { kind: 'Service' }, job].map((one) => stringify(one)).join('---\n'));
    const args = ['explain', '-f', file, '--offline', '--config', await cli.config()];
    const { code, stdout, stderr } = await cli.swapper(args);
    expect(code).toBe(0);
    expect(stderr).toBe('skipped, because they create no Pods: Service\n');
    expect(stdout).toMatch(
      /^# Deployment kube-system\/web\n[^#]*keeps its image: filter 1 matches[^#]*# Job team\/once\n/s,
    );
    const json = await cli.swapper([...args, '-o', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      objects: [
        { object: 'Deployment kube-system/web', namespace: 'kube-system' },
        { object: 'Job team/once', namespace: 'team', containers: [{ action: 'mirror' }] },
      ],
    });
  });

  it('waits longer for a slow target than the service does', async () => {
    const [config, delayMs] = [await cli.config(), 6_000];
    const slow = new Promise<void>((resolve) => setTimeout(resolve, delayMs));
    cli.target.fault({ method: 'HEAD', path: '/manifests/', action: { type: 'wait', until: slow } });
    const { stdout } = await cli.swapper(['explain', 'slow', '--config', config]);
    expect(stdout).toContain('The target does not have it.');
  });

  it('names the expected port when the other port of the service answers', async () => {
    const { code, stderr } = await cli.spawned(['explain', 'nginx', '--server', `http://${cli.target.host}`]);
    expect(code).toBe(3);
    expect(stderr).toContain('explain asks the admission port (8443), and this may be the operations port (8080)');
    const refused = await cli.swapper(['explain', 'nginx', '--server', 'https://127.0.0.1:1']);
    expect(refused.stderr).toContain('port-forward deploy/image-swapper 1:8443');
  });

  it('names the unreadable file of the configuration in one line', async () => {
    const oci = { registry: cli.target.host, caFile: join(cli.folder, 'nosuch.pem') };
    const config = await cli.config({ target: { type: 'oci', oci } });
    for (const command of [['explain'], ['mirror'], ['mirror', '--dry-run']]) {
      const { code, stderr } = await cli.swapper([...command, 'nginx', '--config', config]);
      expect(stderr).toBe(`oci.caFile of ${cli.target.host}: ${oci.caFile}: the file does not exist\n`);
      expect(code).toBe(2);
    }
  });

  it('exits 1 for an image that cannot be parsed, and 2 without an argument', async () => {
    expect((await cli.spawned(['explain', 'a b', '--config', await cli.config()])).code).toBe(1);
    expect((await cli.spawned(['explain', '--config', await cli.config()])).code).toBe(2);
  });
});
