import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { BUNDLE } from '../../fakes/service.js';
import type { Helm } from '../../tools/helm.js';
import { goModule } from '../../tools/tool.js';
import { GATEKEEPER_MODULE, gatekeeperManager } from '../cluster/gatekeeper-manager.js';
import { imageOf, push } from './images.js';
import type { Node } from './node.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

const run = promisify(execFile);
const NAMESPACE = 'gatekeeper-system';

/**
 * Installs Gatekeeper as docs/gatekeeper.md describes, with Gatekeeper's own chart and an image of its built program.
 */
export async function installGatekeeper(node: Node, helm: Helm): Promise<void> {
  const manager = imageOf({ files: { '/manager': await gatekeeperManager() }, entrypoint: ['/manager'] });
  await push(node.system, 'gatekeeper', manager);
  const { stdout } = await run(process.execPath, [
    ...compileCacheFlags(),
    BUNDLE,
    'policies',
    '--engine',
    'gatekeeper',
    '--engine-values',
  ]);
  const engineValues = join(node.machine.folder, 'engine-values.yaml');
  await writeFile(engineValues, stdout);
  // The jobs need an image with kubectl. Helm itself installs the CRDs of the chart.
  const off = { enabled: false };
  const values = {
    image: { repository: `${node.system.host}/gatekeeper`, release: '1' },
    upgradeCRDs: off,
    postInstall: { labelNamespace: off, probeWebhook: off },
  };
  const chart = join(await goModule('gatekeeper', GATEKEEPER_MODULE), 'charts', 'gatekeeper');
  const args = ['--namespace', NAMESPACE, '--create-namespace', '--values', engineValues];
  const waiting = ['--wait', '--timeout', '5m', '--values', '-'];
  await helm.ok(['upgrade', '--install', 'gatekeeper', chart, ...args, ...waiting], stringify(values));
}
