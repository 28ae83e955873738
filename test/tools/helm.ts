import { goTool } from './tool.js';

/** What a release build of Helm carries: without it, Helm takes every cluster-less Kubernetes for 1.20. */
const VARIABLES = {
  'helm.sh/helm/v3/internal/version.version': 'v3.22.0',
  'helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor': '1',
  'helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor': '36',
  'helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor': '1',
  'helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor': '36',
};

/** Path of Helm, built from its Go module. */
export async function helmProgram(): Promise<string> {
  return goTool({ module: 'helm', package: 'helm.sh/helm/v3/cmd/helm', variables: VARIABLES });
}
