/**
 * Installs and builds every program that the integration and e2e tiers run, so that no test spends time on it:
 * `tsx test/tools/prepare.ts`. Versions are pinned where the programs are used. Cached programs are not built again.
 */
import { craneProgram } from './crane.js';
import { evaluateCel } from './cel.js';
import { debianTool } from './debian.js';
import { gatekeeperMatches } from './gatekeeper-match.js';
import { helmProgram } from './helm.js';
import { kustomizeProgram } from './kustomize.js';
import { cosignProgram, notationProgram } from './signing.js';
import { gatekeeperManager } from '../e2e/cluster/gatekeeper-manager.js';
import { FORMER_KUBERNETES, kubeApiserver, kubernetesPrograms, kyvernoController } from '../e2e/cluster/versions.js';
import { kyvernoInit } from '../e2e/node/kyverno-install.js';
import { checkNodePackages, coreDns, pauseProgram } from '../e2e/node/node-tools.js';
import { KyvernoCli } from '../e2e/kyverno.js';
import { registryProgram } from '../fakes/real-registry.js';

/** Debian package of each program. */
const DEBIAN_PACKAGES = {
  etcd: 'etcd-server',
  'docker-registry': 'docker-registry',
  skopeo: 'skopeo',
  buildah: 'buildah',
  'redis-server': 'redis-server',
  psql: 'postgresql-15',
};

const PROGRAMS: Readonly<Record<string, () => Promise<unknown>>> = {
  crane: craneProgram,
  cel: () => evaluateCel([]),
  'helm 3': () => helmProgram(3),
  'helm 4': () => helmProgram(4),
  kustomize: kustomizeProgram,
  'distribution registry': registryProgram,
  'gatekeeper match': () => gatekeeperMatches([]),
  Kubernetes: kubernetesPrograms,
  [`kube-apiserver ${FORMER_KUBERNETES}`]: () => kubeApiserver(FORMER_KUBERNETES),
  CoreDNS: coreDns,
  pause: pauseProgram,
  'kyverno-init': kyvernoInit,
  notation: notationProgram,
  cosign: cosignProgram,
  gatekeeper: gatekeeperManager,
  kyverno: () => kyvernoController(),
  'kyverno command': () => KyvernoCli.build(),
};

checkNodePackages();
for (const [program, packageName] of Object.entries(DEBIAN_PACKAGES)) debianTool(program, packageName);
// The builds run one after another because each of them uses every core.
for (const [name, build] of Object.entries(PROGRAMS)) {
  const start = Date.now();
  await build();
  console.log(`${name}: ready after ${Math.round((Date.now() - start) / 1000)} s`);
}
