import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { gatekeeperChartValues } from '../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { get } from '../fakes/https-client.js';
import { BUNDLE, RunningService } from '../fakes/service.js';
import { debianTool } from '../tools/debian.js';
import { goTool, goToolsAvailable } from '../tools/tool.js';
import { ControlPlane } from './cluster/control-plane.js';
import { startGatekeeper } from './cluster/gatekeeper-manager.js';
import type { GatekeeperProcess } from './cluster/gatekeeper-manager.js';
import type { ApiObject } from './cluster/kube-api.js';

const policies = fileURLToPath(new URL('../../policies', import.meta.url));
const available = await goToolsAvailable('the suites beside the policies');

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs the suites as users do. */
async function runSuites(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  folder = policies,
): Promise<Ended> {
  const child = spawn(process.execPath, [join(folder, 'test.mjs'), ...args], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], IMAGE_SWAPPER: BUNDLE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

const namesIn = (folder: string): string[] =>
  readdirSync(join(policies, folder))
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => `${folder}/${file.slice(0, -'.yaml'.length)}`);

describe.skipIf(!available)("the test suites of Kyverno's policies", () => {
  let KYVERNO: string;
  beforeAll(async () => {
    KYVERNO = await goTool({ module: 'kyverno', package: 'github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno' });
  });

  it('pass for each policy', async () => {
    const { code, output } = await runSuites([], { KYVERNO });
    expect(code, output).toBe(0);
    const names = [...namesIn('kyverno/mutatingpolicy'), ...namesIn('kyverno/clusterpolicy')];
    expect(names.filter((name) => !output.includes(`${name}\n`))).toEqual([]);
    expect(output.match(/Test Summary: [1-9]\d* tests passed and 0 tests failed/g)).toHaveLength(names.length);
  });

  it.each([
    ['another image', 'kyverno/mutatingpolicy/ecr', 'configurations/ecr/expected.yaml', 'library/redis:7', 'redis:8'],
    ['a Pod too few', 'kyverno/clusterpolicy/ecr', 'kyverno/clusterpolicy/tests/cluster.yaml', 'ca.crt', 'other'],
    ['no swap', 'kyverno/mutatingpolicy/harbor', 'kyverno/mutatingpolicy/harbor.yaml', '"/image"', '"/imaged"'],
  ])('fail at %s', async (_what, name, file, was, is) => {
    const folder = mkdtempSync(join(tmpdir(), 'image-swapper-broken-suite-'));
    try {
      cpSync(policies, folder, { recursive: true });
      const text = readFileSync(join(folder, file), 'utf8');
      expect(text).toContain(was);
      writeFileSync(join(folder, file), text.replaceAll(was, is));
      const { code, output } = await runSuites([name], { KYVERNO }, folder);
      expect(code, output).toBe(1);
      expect(output).toContain(`failed: ${name}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** Tests that need a cluster, because Gatekeeper's command line does not support external data. */
describe.skipIf(!available)('the suites of policies in a real cluster', () => {
  const KUBECTL = debianTool('kubectl', 'kubernetes-client') ?? '';
  let plane: ControlPlane;
  let gatekeeper: GatekeeperProcess;
  beforeAll(async () => {
    plane = await ControlPlane.start();
    gatekeeper = await startGatekeeper(plane, gatekeeperChartValues());
  });
  afterAll(async () => {
    await gatekeeper?.program.stop();
    await plane?.stop();
  });

  it.skipIf(KUBECTL === '').each([...namesIn('gatekeeper'), ...namesIn('webhook')])('%s', async (name) => {
    const configuration = /(?:mutation|webhook)$/.test(name) ? 'registry' : name.replace(/.*\//, '');
    const service = await RunningService.start({
      config: readFileSync(join(policies, 'configurations', configuration, 'image-swapper.yaml'), 'utf8'),
      flags: ['--set', 'imageSwapPolicy=always', '--set', 'imageCopyPolicy=none'],
    });
    const objects = objectsOf(name, service);
    const env = { KUBECTL, KUBECONFIG: plane.kubeconfig };
    try {
      // Without the policy, nothing is swapped and the suite fails.
      expect((await runSuites(['--cluster', name], env)).code).toBe(1);
      for (const object of objects) await plane.api.apply(object);
      let ended: Ended = { code: null, output: '' };
      for (let i = 0; i < 20 && ended.code !== 0; i += 1) {
        await sleep(500);
        ended = await runSuites(['--cluster', name], env);
      }
      expect(ended.code, ended.output).toBe(0);
      if (name === 'gatekeeper/harbor') {
        // The filter of this suite needs two mutators for each list of containers. A Pod that matches both causes only
        // one call.
        const before = await calls(service);
        await runSuites(['--cluster', name], env);
        expect((await calls(service)) - before).toBe(3);
      }
      const { text } = await get(`${service.operations}/metrics`);
      expect(text).not.toContain('image_swapper_policy_mismatches_total{');
    } finally {
      for (const object of [...objects].reverse()) await plane.api.remove(object);
      await service.stop();
    }
  });
});

/** Returns the objects of a file with the address and the CA certificate of this service. */
function objectsOf(name: string, service: RunningService): ApiObject[] {
  const text = readFileSync(join(policies, `${name}.yaml`), 'utf8')
    .replaceAll(/https:\/\/image-swapper\.image-swapper\.svc:\d+/g, service.url)
    .replaceAll(/caBundle: \S+/g, `caBundle: ${Buffer.from(service.ca).toString('base64')}`);
  return parseAllDocuments(text).map((document) => {
    const object = document.toJS() as ApiObject & {
      webhooks?: { clientConfig: { caBundle: string; service: { path: string } } }[];
    };
    if (object.webhooks === undefined) return object;
    // The URL replaces the Service, which this cluster does not have.
    const webhooks = object.webhooks.map(({ clientConfig, ...webhook }) => ({
      ...webhook,
      clientConfig: { url: `${service.url}${clientConfig.service.path}`, caBundle: clientConfig.caBundle },
    }));
    return { ...object, webhooks };
  });
}

async function calls(service: RunningService): Promise<number> {
  const { text } = await get(`${service.operations}/metrics`);
  return Number(/resolve_requests_total\{route="gatekeeper",outcome="200"\} (\d+)/.exec(text)?.[1] ?? 0);
}
