import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { runHere, runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';

const aws = { accountId: '123456789012', region: 'eu-west-1' };
const config = { source: { filters: [] }, target: { aws } };
const ours = { config: { source: { filters: [] }, target: { type: 'aws', aws } }, policies: { engine: 'webhook' } };

/** The command writes values to stdout and warnings to stderr, and sets the exit code. */
describe('image-swapper migrate', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'image-swapper-migrate-'));
    writeFileSync(join(folder, 'good.yaml'), stringify({ config, replicaCount: 2 }));
    writeFileSync(join(folder, 'patched.yaml'), stringify({ config, patch: { enabled: true } }));
    writeFileSync(join(folder, 'other.yaml'), 'kind: Pod\n');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (args: readonly string[]): Promise<ProgramResult> =>
    runHere(['migrate', ...args], { env: {}, cwd: folder });
  const spawned = (args: readonly string[], input = ''): Promise<ProgramResult> =>
    runProgram(['migrate', ...args], {}, folder, input);

  it('prints values with comments and exits with 0 without findings', async () => {
    const { code, stdout, stderr } = await run(['good.yaml']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^# .*\n# policies\.engine: .*\n# .*--engine kyverno/);
    expect(parse(stdout)).toEqual({ ...ours, replicaCount: 2 });
  });

  it('accepts standard input, another engine and another output format', async () => {
    const { code, stdout } = await spawned(['-', '--engine', 'kyverno', '-o', 'json'], stringify({ config }));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ ...ours, policies: { engine: 'kyverno' } });
    expect((await run(['good.yaml', '-o', 'yaml'])).stdout).not.toContain('#');
  });

  it('exits with 1 and prints a line for each obsolete key, and still prints values', async () => {
    const { code, stdout, stderr } = await spawned(['patched.yaml']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^patched\.yaml:8:1: patch: is no longer needed: .*\n$/);
    expect(parse(stdout)).toEqual(ours);
  });

  it.each([
    [['other.yaml'], /^other\.yaml:1:1: this is neither a k8s-image-swapper values file/],
    [
      ['missing.yaml'],
      /^missing\.yaml: the file does not exist: name the values file of your k8s-image-swapper release/,
    ],
    [[], /missing required argument 'values'/],
    [['good.yaml', '--engine', 'opa'], /Allowed choices are webhook, kyverno/],
  ])('exits with 2 and explains what to do: %j', async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
