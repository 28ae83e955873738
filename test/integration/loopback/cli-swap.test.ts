import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useCli } from './cli.js';

const cli = useCli();

const manifest = (...images: readonly string[]): string =>
  images.map((image) => `kind: Pod # a Pod\nspec:\n  containers:\n  - image: ${image} # pinned\n`).join('---\n');

describe('swap', () => {
  it('prints manifests from standard input with new names, without a request to any registry', async () => {
    const source = `${cli.source.host}/app:1.0`;
    const text = manifest(source, source);
    const ended = await cli.spawned(['swap', '--config', await cli.config(), '-f', '-'], text);
    expect(ended).toEqual({
      code: 0,
      stderr: '',
      stdout: text.replaceAll(source, `${cli.target.host}/${cli.repository()}:1.0`),
    });
    expect([...cli.source.accessLog, ...cli.target.accessLog]).toEqual([]);
  });

  it('needs no credentials file to compute names', async () => {
    const oci = { registry: cli.target.host, credentials: { dockerConfigFile: '/nowhere/docker.json' } };
    const config = await cli.config({ target: { type: 'oci', oci } }, 'credentials.yaml');
    const ended = await cli.swapper(['swap', '--config', config, '-f', '-'], manifest('nginx:1'));
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toContain(`${cli.target.host}/docker.io/library/nginx:1`);
  });

  it('with --exists keeps images that the target does not have, and names unknown ones', async () => {
    const [has, lacks] = [`${cli.source.host}/app:1.0`, `${cli.source.host}/lacks:1`];
    const config = await cli.config();
    await cli.swapper(['mirror', '--config', config, has]);
    const text = manifest(has, lacks);
    const args = ['swap', '--config', config, '--exists', '-f', '-'];
    const name = `${cli.target.host}/${cli.repository()}:1.0`;
    expect(await cli.swapper(args, text)).toEqual({ code: 0, stderr: '', stdout: text.replace(has, name) });
    cli.target.fault({ path: 'lacks', action: { type: 'status', status: 403 }, times: 5 });
    const ended = await cli.spawned(args, text);
    expect(ended).toMatchObject({ code: 1, stdout: text.replace(has, name) });
    expect(ended.stderr).toMatch(/^standard input:9:12: .*lacks:1: the target did not say whether it has the image/m);
  });

  it('prints nothing when a document is not YAML, and names the location', async () => {
    const text = `${manifest('nginx:1')}---\na: [\n`;
    const ended = await cli.spawned(['swap', '--config', await cli.config(), '-f', '-'], text);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(/^standard input:7:1: Flow sequence/);
  });

  it('rewrites a file in place with its mode, through links, and does not change an invalid file', async () => {
    const [file, link] = [join(cli.folder, 'web.yaml'), join(cli.folder, 'link.yaml')];
    await writeFile(file, manifest('nginx:1'), { mode: 0o640 });
    await symlink(file, link);
    const args = ['swap', '--config', await cli.config(), '--in-place', '-f', link];
    expect(await cli.swapper(args)).toEqual({ code: 0, stdout: '', stderr: '' });
    const written = await readFile(file, 'utf8');
    expect(written).toBe(manifest(`${cli.target.host}/mirror/docker.io/library/nginx:1`));
    const { mode, mtimeMs } = await stat(file);
    expect(mode & 0o777).toBe(0o640);
    expect(await cli.swapper(args)).toMatchObject({ code: 0 });
    expect((await stat(file)).mtimeMs).toBe(mtimeMs);

    await writeFile(file, Buffer.from([...Buffer.from('kind: Pod # '), 0xff, 0x0a]));
    expect(await cli.swapper(args)).toEqual({ code: 2, stdout: '', stderr: `${link}: the text is not UTF-8\n` });
    expect((await readFile(file)).includes(0xff)).toBe(true);
  });

  it.each([
    [['swap'], 'give manifests with -f FILE, or -f - for standard input'],
    [['swap', '-f', '-', '--in-place'], 'standard input cannot be written'],
    [['swap', '-f', 'nowhere.yaml'], 'nowhere.yaml: '],
    [['swap', '-f', '-', '-n', 'Team A'], 'not a valid namespace name'],
  ])('refuses %j', async (args, message) => {
    const ended = await cli.swapper([...args, '--config', await cli.config()], '');
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(message);
  });

  it('warns of settings that manifests cannot follow, and changes nothing under dryRun', async () => {
    const config = await cli.config(
      { dryRun: true, policies: { engine: 'webhook' }, source: { accessCheck: 'pullSecrets', directTarget: 'refuse' } },
      'dry.yaml',
    );
    const text = manifest('nginx:1');
    const ended = await cli.swapper(['swap', '--config', config, '-f', '-'], text);
    expect(ended).toMatchObject({ code: 0, stdout: text });
    expect(ended.stderr).toMatch(/dryRun is true[^]*source\.accessCheck has no effect[^]*source\.directTarget: refuse/);
  });
});
