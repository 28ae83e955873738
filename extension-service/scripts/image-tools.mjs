/** What `npm run image` needs beside Node and npm: `node scripts/image-tools.mjs` says what is missing and how to install it. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Program → Debian package. */
const TOOLS = { buildah: 'buildah', mmdebstrap: 'mmdebstrap', git: 'git', tar: 'tar' };

/** @returns undefined when everything is there, else what to install */
export function missingImageTools(path = process.env.PATH ?? '') {
  const missing = Object.entries(TOOLS).filter(([program]) => !isOn(path, program));
  if (missing.length === 0) return undefined;
  const programs = missing.map(([program]) => program).join(', ');
  const packages = missing.map(([, name]) => name).join(' ');
  return `the image cannot be built: ${programs} must be on the PATH; on Debian or Ubuntu: apt-get install ${packages}`;
}

function isOn(path, program) {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const missing = missingImageTools();
  if (missing !== undefined) {
    console.error(missing);
    process.exitCode = 1;
  }
}
