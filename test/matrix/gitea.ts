import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { goModule, goTool, run } from '../tools/tool.js';
import { OWNER, RegistryProcess, type StartedRegistry } from './registry-process.js';

const PASSWORD = 'matrix-password';

/**
 * Gitea's package registry, built from its Go module without the web pages, which need a separate build. Gitea reads
 * templates and texts from the module's folder.
 */
export async function startGitea(): Promise<StartedRegistry> {
  const [command, module] = await Promise.all([
    goTool({ module: 'gitea', package: 'code.gitea.io/gitea', tags: ['sqlite', 'sqlite_unlock_notify'] }),
    goModule('gitea', 'code.gitea.io/gitea'),
  ]);
  return RegistryProcess.start(
    async ({ folder, port }) => {
      const config = join(folder, 'app.ini');
      await writeFile(config, settings(folder, port, module));
      const gitea = (...args: readonly string[]): Promise<string> =>
        run(command, [...args, '--config', config, '--work-path', folder]);
      await gitea('migrate');
      const user = ['--username', OWNER, '--password', PASSWORD, '--email', 'mirror@example.com'];
      await gitea('admin', 'user', 'create', ...user, '--must-change-password=false');
      return { command, args: ['web', '--config', config, '--work-path', folder] };
    },
    { username: OWNER, password: PASSWORD },
  );
}

function settings(folder: string, port: number, module: string): string {
  const sections: Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>> = {
    server: {
      HTTP_ADDR: '127.0.0.1',
      HTTP_PORT: port,
      ROOT_URL: `http://127.0.0.1:${port}/`,
      STATIC_ROOT_PATH: module,
      APP_DATA_PATH: join(folder, 'data'),
      OFFLINE_MODE: true,
      DISABLE_SSH: true,
    },
    database: { DB_TYPE: 'sqlite3', PATH: join(folder, 'gitea.db') },
    security: { INSTALL_LOCK: true, SECRET_KEY: 'matrix' },
    repository: { ROOT: join(folder, 'repositories') },
    log: { MODE: 'console', LEVEL: 'warn' },
    packages: { ENABLED: true },
    cron: { ENABLED: false },
  };
  // Gitea refuses to run as root, but tests may run as root.
  const head = ['RUN_MODE = prod', 'I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true'];
  const rest = Object.entries(sections).flatMap(([section, values]) => [
    `[${section}]`,
    ...Object.entries(values).map(([key, value]) => `${key} = ${value}`),
  ]);
  return `${[...head, ...rest].join('\n')}\n`;
}
