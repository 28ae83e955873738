import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, makeOnce, run } from './tool.js';

/**
 * Returns the folder of a virtual environment with the packages that `test/tools/NAME/requirements.txt` pins:
 * `$XDG_CACHE_HOME/image-swapper/tools/NAME-HASH/venv`. Creates the environment when the cache does not have it.
 *
 * @throws Error that names the requirements when the environment cannot be installed
 */
export async function pythonEnvironment(name: string): Promise<string> {
  const requirements = fileURLToPath(new URL(`${name}/requirements.txt`, import.meta.url));
  try {
    // A virtual environment works only with the Python version that created it.
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
  // A virtual environment contains its own path, so it cannot be created elsewhere and moved here.
  await writeFile(join(folder, 'complete'), '');
}
