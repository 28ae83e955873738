import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PRELOAD = fileURLToPath(new URL('./compile-cache.cjs', import.meta.url));
const WRITTEN = 'the compile cache is written';
const VARIABLE = 'IMAGE_SWAPPER_COMPILE_CACHE';

/** Node's flags for a program that a test starts. Benchmarks measure starts, so they have none. */
export function compileCacheFlags(): readonly string[] {
  return process.env[VARIABLE] === 'on' ? ['--require', PRELOAD] : [];
}

/**
 * Runs the service once, so that its processes in the tests find the compiled code (compile-cache.cjs): all functions of
 * a start are in it. A service with a cluster starts its background worker at once.
 */
export async function writeCompileCache(bundle: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'image-swapper-compile-'));
  const config = join(folder, 'image-swapper.yaml');
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(config, 'target: { type: oci, oci: { registry: 127.0.0.1:1, insecure: true } }\n');
  writeFileSync(kubeconfig, unreachableCluster());
  const addresses = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'];
  const child = spawn(process.execPath, ['--require', PRELOAD, bundle, 'serve', '--config', config, ...addresses], {
    env: { WRITE_COMPILE_CACHE: WRITTEN, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    if (line === WRITTEN) child.kill('SIGTERM');
    if (line.includes('the background worker failed')) child.kill('SIGKILL');
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  rmSync(folder, { recursive: true });
  if (code !== 0)
    throw new Error(
      `${bundle}: the service that writes the compile cache ended with ${String(code)}:\n${lines.join('\n')}`,
    );
  process.env[VARIABLE] = 'on';
}

function unreachableCluster(): string {
  const named = (kind: string, value: object): object[] => [{ name: 'none', [kind]: value }];
  return JSON.stringify({
    clusters: named('cluster', { server: 'https://127.0.0.1:1' }),
    users: named('user', {}),
    contexts: named('context', { cluster: 'none', user: 'none' }),
    'current-context': 'none',
  });
}
