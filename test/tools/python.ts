import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, makeOnce, run } from './tool.js';

/**
 * The folder of a virtual environment with what `test/tools/NAME/requirements.txt` pins, made when it is not in the cache
 * yet: `$XDG_CACHE_HOME/image-swapper/tools/NAME-HASH/venv`.
 *
 * @throws Error that says what is required when it cannot be installed
 */
export async function pythonEnvironment(name: string): Promise<string> {
  const requirements = fileURLToPath(new URL(`${name}/requirements.txt`, import.meta.url));
  try {
    // A virtual environment is tied to the Python that made it.
    const folder = cacheFolder(name, await readFile(requirements), await run('python3', ['--version']));
    const venv = join(folder, 'venv');
    await makeOnce(join(folder, 'complete'), () => install(name, folder, venv, requirements));
    return venv;
  } catch (error) {
    const required = 'Python 3.10 or newer with venv and a reachable package index are required';
    throw new Error(`cannot install ${name} (${error instanceof Error ? error.message : String(error)}); ${required}`, {
      cause: error,
    });
  }
}

async function install(name: string, folder: string, venv: string, requirements: string): Promise<void> {
  process.stderr.write(`installing ${name} (once for this version)\n`);
  await rm(venv, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', venv]);
  const options = ['--quiet', '--no-input', '--disable-pip-version-check', '--no-cache-dir', '--require-hashes'];
  await run(join(venv, 'bin', 'python'), ['-m', 'pip', 'install', ...options, '-r', requirements]);
  // The environment has its own path in it: it cannot be made elsewhere and moved here when it is whole.
  await writeFile(join(folder, 'complete'), '');
}
