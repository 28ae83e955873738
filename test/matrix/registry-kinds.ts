import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { freePort } from '../fakes/free-port.js';
import { registryProgram } from '../fakes/real-registry.js';
import { craneProgram } from '../tools/crane.js';
import { debianTool } from '../tools/debian.js';

/** A registry that other people wrote, started for a test. */
export interface RegistryKind {
  /** Name and version, as in docs/registries.md. */
  readonly name: string;
  start(): Promise<StartedRegistry>;
}

export interface StartedRegistry {
  readonly host: string;
  stop(): Promise<void>;
}

const START_ATTEMPTS = 1_200;

export const REGISTRY_KINDS: readonly RegistryKind[] = [
  {
    name: 'distribution 2.8.2 (Debian)',
    start: () => distribution(() => Promise.resolve(debianTool('docker-registry') ?? 'docker-registry')),
  },
  { name: 'distribution 3.1.2', start: () => distribution(registryProgram) },
  {
    name: 'go-containerregistry 0.22.1',
    start: () =>
      run(async (port, folder) => ({
        command: await craneProgram(),
        args: ['registry', 'serve', '--disk', folder, '--address', `127.0.0.1:${port}`],
      })),
  },
];

function distribution(program: () => Promise<string>): Promise<StartedRegistry> {
  return run(async (port, folder) => {
    const config = {
      version: 0.1,
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
      http: { addr: `127.0.0.1:${port}`, secret: 'test' },
    };
    await writeFile(join(folder, 'config.yml'), stringify(config));
    return { command: await program(), args: ['serve', join(folder, 'config.yml')] };
  });
}

async function run(
  prepare: (port: number, folder: string) => Promise<{ readonly command: string; readonly args: readonly string[] }>,
): Promise<StartedRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-matrix-'));
  const port = await freePort();
  const { command, args } = await prepare(port, folder);
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, OTEL_TRACES_EXPORTER: 'none' };
  const child = spawn(command, args, { stdio: 'ignore', env });
  const host = `127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  for (let attempt = 0; attempt < START_ATTEMPTS && child.exitCode === null; attempt += 1) {
    const status = await fetch(`http://${host}/v2/`).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return { host, stop };
    await sleep(50);
  }
  await stop();
  throw new Error(`${command} did not start`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, 'exit');
}
