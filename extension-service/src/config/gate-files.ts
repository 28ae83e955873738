import { resolve } from 'node:path';
import type { Config } from '../core/config/model.js';
import { caCertificatesFault, publicKeyFault, trustedRootFault } from '../gate/file-faults.js';
import type { ConfigFiles } from './files.js';
import { unreadable } from '../util/unreadable.js';
import type { ConfigProblem } from './problem.js';
import { Problems } from './problem.js';
import { targetsOf } from './rules/registries.js';
import type { MappingNode, Path } from './tree.js';
import { formatPath, placeAt } from './tree.js';

export interface GateFileOptions {
  readonly cwd: string;
  /** The configuration's name in messages. */
  readonly file: string;
  readonly files: ConfigFiles;
}

/** A file that a gate needs, with its expected content. */
interface GateFile {
  readonly path: Path;
  readonly file: string;
  readonly allowed: string;
  /** The reason why the content cannot be used; never quotes it. */
  readonly fault: (text: string) => string | undefined;
}

const MAX_FILE_BYTES = 1024 * 1024;

/** Problems of the files that gates name: a gate that cannot check images would hold every one of them. */
export async function gateFileProblems(
  config: Config,
  tree: MappingNode,
  { cwd, file, files }: GateFileOptions,
): Promise<readonly ConfigProblem[]> {
  const problems = new Problems();
  for (const { path, file: named, allowed, fault } of filesOf(config)) {
    const found = await contentOf(resolve(cwd, named), files);
    const message = 'problem' in found ? found.problem : fault(found.text);
    if (message !== undefined) problems.error(placeAt(tree, path), formatPath(path), `${named} ${message}`, allowed);
  }
  return problems.list('error', file);
}

function filesOf(config: Config): readonly GateFile[] {
  return targetsOf({ config }).flatMap(({ path, config: target }): GateFile[] => {
    const { verify, webhook } = target?.gate ?? {};
    const gate = [...path, 'gate'];
    const one = (key: Path, file: string | undefined, kind: Omit<GateFile, 'path' | 'file'>): GateFile[] =>
      file === undefined ? [] : [{ path: [...gate, ...key], file, ...kind }];
    return [
      ...(verify?.keys ?? []).flatMap((file, index) => one(['verify', 'keys', index], file, PUBLIC_KEY)),
      ...one(['verify', 'trustedRoot'], verify?.trustedRoot, TRUSTED_ROOT),
      ...one(['webhook', 'caFile'], webhook?.caFile, CA_CERTIFICATES),
    ];
  });
}

const PUBLIC_KEY = { allowed: 'expected a public key in PEM, such as cosign.pub', fault: publicKeyFault };
const TRUSTED_ROOT = { allowed: 'expected the JSON of a Sigstore trusted root', fault: trustedRootFault };
const CA_CERTIFICATES = { allowed: 'expected a PEM file with CA certificates', fault: caCertificatesFault };

async function contentOf(
  path: string,
  files: ConfigFiles,
): Promise<{ readonly text: string } | { readonly problem: string }> {
  try {
    const bytes = await files.read(path, MAX_FILE_BYTES + 1);
    if (bytes.length > MAX_FILE_BYTES) return { problem: `is larger than ${MAX_FILE_BYTES} bytes` };
    return { text: Buffer.from(bytes).toString('utf8') };
  } catch (error) {
    return { problem: `cannot be used: ${unreadable(error)}` };
  }
}
