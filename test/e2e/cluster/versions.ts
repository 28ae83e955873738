import { join } from 'node:path';
import { goTool, goTools } from '../../tools/tool.js';

/** Each version is in a folder of test/tools, whose go.mod pins it. */
const KYVERNO_MODULES = {
  '1.19.1': 'kyverno',
  '1.18.2': 'kyverno-1.18',
  '1.17.2': 'kyverno-1.17',
  '1.13.4': 'kyverno-1.13',
} as const;
const KUBERNETES_MODULES = {
  '1.37.2': 'kubernetes-1.37',
  '1.36.3': 'kubernetes',
  '1.35.4': 'kubernetes-1.35',
  '1.28.15': 'kubernetes-1.28',
} as const;

export type KyvernoVersion = keyof typeof KYVERNO_MODULES;
export type KubernetesVersion = keyof typeof KUBERNETES_MODULES;

/** The versions that every test runs unless it names another. */
export const KUBERNETES: KubernetesVersion = '1.37.2';
/** The previous version, for which the core rows also run. */
export const FORMER_KUBERNETES: KubernetesVersion = '1.36.3';
export const KYVERNO: KyvernoVersion = '1.19.1';
/** Only the matrix runs this version, which has no MutatingPolicy yet. */
export const OLDEST_KYVERNO: KyvernoVersion = '1.13.4';
/** The version that test/tools/gatekeeper pins. */
export const GATEKEEPER = '3.23.1';

const KUBERNETES_COMMANDS = 'k8s.io/kubernetes/cmd';
const NODE_COMMANDS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'];
export const KYVERNO_MODULE = 'github.com/kyverno/kyverno';

/** The version of a release build, which Kyverno and Helm require. */
function released(version: KubernetesVersion) {
  return {
    module: KUBERNETES_MODULES[version],
    variables: { 'k8s.io/component-base/version.gitVersion': `v${version}` },
  };
}

/** The folder with the current version of kube-apiserver and the programs of a node. */
export async function kubernetesPrograms(): Promise<string> {
  return goTools({ ...released(KUBERNETES), packages: NODE_COMMANDS.map((name) => `${KUBERNETES_COMMANDS}/${name}`) });
}

export async function kubeApiserver(version: KubernetesVersion = KUBERNETES): Promise<string> {
  if (version === KUBERNETES) return join(await kubernetesPrograms(), 'kube-apiserver');
  return goTool({ ...released(version), package: `${KUBERNETES_COMMANDS}/kube-apiserver` });
}

export async function kyvernoController(version: KyvernoVersion = KYVERNO): Promise<string> {
  return goTool({ module: KYVERNO_MODULES[version], package: `${KYVERNO_MODULE}/cmd/kyverno` });
}

/** The folder under test/tools that pins this Kyverno. */
export function kyvernoModule(version: KyvernoVersion = KYVERNO): string {
  return KYVERNO_MODULES[version];
}
