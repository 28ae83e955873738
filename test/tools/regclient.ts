import { join } from 'node:path';
import { goTools } from './tool.js';

const PACKAGES = ['github.com/regclient/regclient/cmd/regsync', 'github.com/regclient/regclient/cmd/regctl'];

/** Paths of regclient's programs. Benchmarks compare copies of many images (regsync) and single images (regctl). */
export async function regclientPrograms(): Promise<{ readonly regsync: string; readonly regctl: string }> {
  const folder = await goTools({ module: 'regclient', packages: PACKAGES });
  return { regsync: join(folder, 'regsync'), regctl: join(folder, 'regctl') };
}
