import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { goModule, goTool, run } from '../../tools/tool.js';
import type { Helm } from '../../tools/helm.js';
import { until } from '../../fakes/until.js';
import { installCrds } from '../cluster/crds.js';
import { KYVERNO_MODULE as MODULE, kyvernoController, kyvernoModule } from '../cluster/versions.js';
import { imageOf, push } from './images.js';
import type { Node } from './node.js';

/** Dependencies of Kyverno's chart that its Go module does not contain. The admission controller needs none of them. */
const UNUSED_CHARTS = ['kyverno-api', 'openreports', 'reports-server'];

/** A policy that does nothing. A dry run with it shows that Kyverno responds, even if Kyverno refuses it. */
const EMPTY_POLICY = {
  apiVersion: 'policies.kyverno.io/v1',
  kind: 'MutatingPolicy',
  metadata: { name: 'empty' },
  spec: {
    matchConstraints: {
      resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
    },
    mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: '[]' } }],
  },
};

export async function kyvernoInit(): Promise<string> {
  return goTool({ module: kyvernoModule(), package: `${MODULE}/cmd/kyverno-init` });
}

/** Installs Kyverno's admission controller with Kyverno's own chart and images of its built programs. */
export async function installKyverno(node: Node, helm: Helm): Promise<void> {
  const source = await goModule(kyvernoModule(), MODULE);
  const crds = ['kyverno', 'policies.kyverno.io', 'policyreport', 'reports'];
  await installCrds(
    node.plane.api,
    crds.map((group) => join(source, 'config', 'crds', group)),
  );
  const images = {
    kyverno: imageOf({ files: { '/kyverno': await kyvernoController() }, entrypoint: ['/kyverno'] }),
    kyvernopre: imageOf({ files: { '/kyvernopre': await kyvernoInit() }, entrypoint: ['/kyvernopre'] }),
  };
  for (const [name, image] of Object.entries(images)) await push(node.system, `kyverno/${name}`, image);
  const image = { registry: node.system.host, tag: '1' };
  const off = { enabled: false };
  const values = {
    // Kyverno's defaults, without the parts that are unrelated to admission and without the jobs that need an image
    // with kubectl.
    crds: { install: false },
    admissionController: { container: { image }, initContainer: { image } },
    backgroundController: off,
    cleanupController: off,
    reportsController: off,
    webhooksCleanup: off,
  };
  const chart = await chartWithout(source, join(node.machine.folder, 'kyverno-chart'));
  const args = ['-n', 'kyverno', '--create-namespace', '--wait', '--timeout', '5m', '-f', '-'];
  await helm.ok(['install', 'kyverno', chart, ...args], stringify(values));
  // A Deployment is available a moment before the node has the rules of its Service.
  await until('Kyverno answers for its policies', async () => {
    const reply = await node.plane.api.create(EMPTY_POLICY, '?dryRun=All');
    return reply.status < 500;
  });
}

async function chartWithout(source: string, folder: string): Promise<string> {
  // The files that the go command copied are read-only.
  await cp(join(source, 'charts', 'kyverno'), folder, { recursive: true });
  await run('chmod', ['-R', 'u+w', folder]);
  const file = join(folder, 'Chart.yaml');
  const chart = parse(await readFile(file, 'utf8')) as { dependencies: readonly { readonly name: string }[] };
  chart.dependencies = chart.dependencies.filter(({ name }) => !UNUSED_CHARTS.includes(name));
  await writeFile(file, stringify(chart));
  return folder;
}
