import { goTool } from './tool.js';

export async function kustomizeProgram(): Promise<string> {
  return goTool({ module: 'kustomize', package: 'sigs.k8s.io/kustomize/kustomize/v5', command: 'kustomize' });
}
