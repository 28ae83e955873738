import { goTool } from './tool.js';

/** Path of crane, the independent client with which tests pull images. */
export async function craneProgram(): Promise<string> {
  return goTool({ module: 'crane', package: 'github.com/google/go-containerregistry/cmd/crane' });
}
