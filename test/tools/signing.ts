import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { goTool } from './tool.js';
import { GO_PROGRAMS } from './go-programs.js';

const run = promisify(execFile);

/** Signs and verifies manifests in plain-HTTP registries with common signing tools. */
export interface Signer {
  sign(reference: string): Promise<void>;
  /** Rejects unless a signature verifies. */
  verify(reference: string): Promise<void>;
}

/** notation-go with its own certificate, through a small Go program. */
export async function notation(folder: string): Promise<Signer> {
  const program = await notationProgram();
  await run(program, ['init', folder]);
  return {
    sign: async (reference) => void (await run(program, ['sign', folder, reference])),
    verify: async (reference) => void (await run(program, ['verify', folder, reference])),
  };
}

/**
 * cosign with its own key pair and without a transparency log, so that it contacts only the registry. `bundles` is the
 * default form, with referrers. `tags` is the form of cosign 2, with a tag `sha256-….sig`. `publicKey` is the path of
 * the public key (PEM).
 */
export async function cosign(
  folder: string,
  form: 'bundles' | 'tags',
): Promise<Signer & { readonly publicKey: string }> {
  const program = await cosignProgram();
  const home = await mkdtemp(join(folder, 'cosign-'));
  const options = {
    cwd: home,
    env: { PATH: process.env['PATH'] ?? '', HOME: home, COSIGN_PASSWORD: '', ...GO_PROGRAMS },
  };
  await run(program, ['generate-key-pair'], options);
  const offline = ['--use-signing-config=false', '--tlog-upload=false', `--new-bundle-format=${form === 'bundles'}`];
  return {
    publicKey: join(home, 'cosign.pub'),
    sign: async (reference) => {
      const args = ['sign', '--key', 'cosign.key', '--yes', '--allow-http-registry', ...offline, reference];
      await run(program, args, options);
    },
    verify: async (reference) => {
      const args = ['verify', '--key', 'cosign.pub', '--allow-http-registry', '--insecure-ignore-tlog', reference];
      await run(program, args, options);
    },
  };
}

export async function cosignProgram(): Promise<string> {
  return goTool({ module: 'cosign', package: 'github.com/sigstore/cosign/v3/cmd/cosign' });
}

export async function notationProgram(): Promise<string> {
  return goTool({ module: 'notation', package: '.', command: 'notation' });
}
