import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { freePort } from '../fakes/free-port.js';
import { pythonEnvironment } from '../tools/python.js';
import { makeOnce, run } from '../tools/tool.js';
import { Postgres } from '../fakes/postgres.js';
import { RegistryProcess, type StartedRegistry } from './registry-process.js';

const PASSWORD = 'matrix-password';

/**
 * pulp_container from PyPI on PostgreSQL: the API accepts pushes, a worker stores manifests, and the content server on
 * another port serves layers. The migrated database is created once and copied for each start.
 */
export async function startPulp(): Promise<StartedRegistry> {
  const venv = await pythonEnvironment('pulp');
  const database = join(dirname(venv), 'database');
  const complete = `${database}-complete`;
  await makeOnce(complete, async () => {
    await makeDatabase(venv, database);
    await writeFile(complete, '');
  });
  return RegistryProcess.start(
    async (registry) => {
      const { folder, port } = registry;
      const postgres = await Postgres.start(database);
      registry.atStop(() => postgres.stop());
      const contentPort = await freePort();
      const env = await settings(folder, postgres, `http://127.0.0.1:${contentPort}`);
      const program = (name: string): string => join(venv, 'bin', name);
      const path = `${join(venv, 'bin')}:${process.env['PATH'] ?? ''}`;
      const common = { env: { ...env, PATH: path } };
      registry.spawn({ command: program('pulpcore-worker'), args: [], ...common });
      const bind = ['--workers', '1', '--bind'];
      const contentArgs = [...bind, `127.0.0.1:${contentPort}`];
      const content = registry.spawn({ command: program('pulpcore-content'), args: contentArgs, ...common });
      await registry.until(content, `http://127.0.0.1:${contentPort}/`, [404]);
      return { command: program('pulpcore-api'), args: [...bind, `127.0.0.1:${port}`], ...common };
    },
    { username: 'admin', password: PASSWORD },
  );
}

async function makeDatabase(venv: string, database: string): Promise<void> {
  process.stderr.write('creating the database of pulp (once for this version)\n');
  await rm(database, { recursive: true, force: true });
  const work = await mkdtemp(join(tmpdir(), 'image-swapper-matrix-'));
  const postgres = await Postgres.start();
  try {
    await postgres.query('CREATE DATABASE pulp');
    const env = await settings(work, postgres, 'http://127.0.0.1:1');
    const assignments = Object.entries(env).map(([key, value]) => `${key}=${value}`);
    const manage = (...args: readonly string[]): Promise<string> =>
      run('env', [...assignments, join(venv, 'bin', 'pulpcore-manager'), ...args]);
    await manage('migrate', '--noinput');
    await manage('reset-admin-password', '--password', PASSWORD);
  } finally {
    await postgres.stop(database);
    await rm(work, { recursive: true, force: true });
  }
}

/** Writes pulp's settings. The environment contains their path. */
async function settings(
  folder: string,
  postgres: Postgres,
  contentOrigin: string,
): Promise<Readonly<Record<string, string>>> {
  const [key, file] = [join(folder, 'key'), join(folder, 'settings.py')];
  await Promise.all(['media', 'tmp', 'assets'].map((name) => mkdir(join(folder, name), { recursive: true })));
  // A Fernet key: 32 bytes in URL-safe base64 with padding.
  await writeFile(key, `${randomBytes(32).toString('base64url')}=`);
  const database = { ENGINE: 'django.db.backends.postgresql', NAME: 'pulp', USER: 'postgres', HOST: postgres.folder };
  const values = {
    SECRET_KEY: 'matrix',
    DB_ENCRYPTION_KEY: key,
    DEPLOY_ROOT: folder,
    MEDIA_ROOT: join(folder, 'media'),
    STATIC_ROOT: join(folder, 'assets'),
    WORKING_DIRECTORY: join(folder, 'tmp'),
    FILE_UPLOAD_TEMP_DIR: join(folder, 'tmp'),
    CONTENT_ORIGIN: contentOrigin,
    DATABASES: { default: database },
  };
  const lines = Object.entries(values).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  // The settings enable basic authentication instead of tokens, and disable reports to the project's servers.
  await writeFile(file, `${[...lines, 'TOKEN_AUTH_DISABLED = True', 'ANALYTICS = False'].join('\n')}\n`);
  return { PULP_SETTINGS: file };
}
