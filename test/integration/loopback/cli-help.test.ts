import { describe, expect, it } from 'vitest';
import { useCli } from './cli.js';

const cli = useCli();

describe('the help', () => {
  it.each(['serve', 'mirror', 'prewarm', 'explain', 'status', 'check', 'policies', 'migrate'])(
    'for %s has examples, the exit codes and the names of the configuration file',
    async (command) => {
      const { code, stdout } = await cli.swapper([command, '--help']);
      expect(code).toBe(0);
      expect(stdout).toContain(`$ image-swapper ${command}`);
      expect(stdout).toMatch(/Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 /);
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain('.k8s-image-swapper.yaml');
    },
  );

  it('is mentioned for an unknown command', async () => {
    const { code, stderr } = await cli.spawned(['bogus']);
    expect(code).toBe(2);
    expect(stderr).toContain('see image-swapper --help');
  });

  it.each([
    ['status', ['--server', 'http://127.0.0.1:1']],
    ['migrate', ['-']],
  ])('reports that the flags of the configuration have no effect on %s', async (command, args) => {
    const { stderr } = await cli.swapper([command, ...args, '--set', 'dryRun=false', '--config', 'none.yaml'], 'a: 1');
    expect(stderr).toContain(`warning: --set has no effect on ${command}`);
    expect(stderr).toContain(`warning: --config has no effect on ${command}`);
  });

  it('points to the port of the Pod, whatever the local port is', async () => {
    const { stderr, code } = await cli.swapper(['status', '--server', 'http://127.0.0.1:1']);
    expect(code).toBe(3);
    expect(stderr).toContain('port-forward deploy/image-swapper 1:8080');
  });
});
