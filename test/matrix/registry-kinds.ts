import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { registryProgram } from '../fakes/real-registry.js';
import { craneProgram } from '../tools/crane.js';
import { debianTool } from '../tools/debian.js';
import { startGitea } from './gitea.js';
import { startPulp } from './pulp.js';
import { RegistryProcess, type RegistryKind, type StartedRegistry } from './registry-process.js';

/** Registries that are single programs and start fast. */
export const QUICK_KINDS: readonly RegistryKind[] = [
  {
    name: 'distribution 2.8.2 (Debian)',
    start: () => distribution(() => Promise.resolve(debianTool('docker-registry') ?? 'docker-registry')),
  },
  { name: 'distribution 3.1.2', start: () => distribution(registryProgram) },
  {
    name: 'go-containerregistry 0.22.1',
    start: () =>
      RegistryProcess.start(async ({ port, folder }) => ({
        command: await craneProgram(),
        args: ['registry', 'serve', '--disk', folder, '--address', `127.0.0.1:${port}`],
      })),
  },
];

/** All registries, including those that need a database. Only the matrix uses them. */
export const REGISTRY_KINDS: readonly RegistryKind[] = [
  ...QUICK_KINDS,
  { name: 'Gitea 1.26.0', isSlow: true, start: startGitea },
  { name: 'pulp_container 2.30.0', isSlow: true, start: startPulp },
];

/**
 * Returns the registries to which images of one registry are copied. Slow registries exchange images only with one fast
 * kind.
 */
export function targetsOf(from: RegistryKind): readonly RegistryKind[] {
  const isTarget = (into: RegistryKind): boolean =>
    from.isSlow === true ? into.name === PARTNER : into.isSlow !== true || from.name === PARTNER;
  return REGISTRY_KINDS.filter(isTarget);
}

const PARTNER = 'distribution 3.1.2';

function distribution(program: () => Promise<string>): Promise<StartedRegistry> {
  return RegistryProcess.start(async ({ port, folder }) => {
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
