import { realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { unreadable } from '../util/unreadable.js';
import type { Config } from '../core/config/model.js';
import type { Mirror } from '../core/decide/decide.js';
import { isNamespaceName } from '../core/decide/kubernetes-names.js';
import { compileRules } from '../core/decide/rules.js';
import { namingTarget } from '../kinds/registry-naming.js';
import { ExistenceIndex } from '../targets/existence.js';
import { RegistryLookup } from '../targets/registry-lookup.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions, LOOKUP_TIMEOUT_MS } from './context.js';
import { CliError, EXIT } from './exit.js';
import { readInputBytes } from './read-input.js';
import { swapManifests } from './swap/swap-manifests.js';
import { messageOf } from '../util/message-of.js';

export interface SwapFlags extends ConfigFlags {
  readonly file?: string;
  readonly namespace: string;
  /** Query the targets first, and do not swap images that they do not have. */
  readonly exists?: boolean;
  readonly inPlace?: boolean;
}

/** Rewrites the images of manifests. @returns 0, or 1 if an image cannot be decided and stays unchanged */
export async function swap(context: CommandContext, flags: SwapFlags): Promise<number> {
  const { file, namespace } = flags;
  if (file === undefined) throw new CliError(EXIT.usage, 'give manifests with -f FILE, or -f - for standard input');
  if (file === '-' && flags.inPlace === true)
    throw new CliError(EXIT.usage, '--in-place: standard input cannot be written; give a file');
  if (!isNamespaceName(namespace))
    throw new CliError(EXIT.usage, `--namespace ${JSON.stringify(namespace)}: not a valid namespace name`);
  const source = await readText(context, file);
  // A Helm plugin or a pipe may run on a machine without the credentials files: naming needs none.
  const { config } = await load(context, flags, { checkFiles: flags.exists === true });
  for (const warning of warningsOf(config)) context.stderr.write(`warning: ${warning}\n`);
  const { text, problems, notes } = await swapManifests(source, {
    file: file === '-' ? 'standard input' : file,
    rules: compileRules(config, namingTarget),
    pods: config.pods,
    namespace,
    isWanted: config.dryRun
      ? () => Promise.resolve(false)
      : flags.exists === true
        ? targetLookup(context, config)
        : always,
  });
  for (const note of notes) context.stderr.write(`note: ${note}\n`);
  for (const problem of problems) context.stderr.write(`${problem}\n`);
  if (flags.inPlace === true) await replaceFile(file, source, text);
  else context.stdout.write(text);
  return problems.length > 0 ? EXIT.findings : EXIT.ok;
}

const always = (): Promise<boolean> => Promise.resolve(true);

/** Queries the target once for each image name. */
function targetLookup(context: CommandContext, config: Config): (mirror: Mirror) => Promise<boolean | string> {
  const report = (problem: string): void => void context.stderr.write(`warning: ${problem}\n`);
  const lookup = new RegistryLookup(config, registryOptions(context, config, report));
  const index = new ExistenceIndex(lookup, { timeout: LOOKUP_TIMEOUT_MS });
  // The lookup itself times out after some seconds.
  const noDeadline = new Promise<void>(() => undefined);
  return async ({ reference, target }) => {
    const found = await index.find(target.config.name, reference, noDeadline);
    if (found.state !== 'unknown') return found.state === 'present';
    return `${reference.text}: the target did not say whether it has the image: ${found.message}`;
  };
}

function warningsOf({ dryRun, source }: Config): readonly string[] {
  return [
    ...(dryRun ? ['dryRun is true: no image is changed'] : []),
    ...(source.accessCheck === 'none'
      ? []
      : ['source.accessCheck has no effect on manifests: nothing proves which images their authors can read']),
    ...(source.directTarget === 'refuse'
      ? ['source.directTarget: refuse: a service with this configuration refuses the Pods of swapped manifests']
      : []),
  ];
}

/** @throws CliError if it cannot be read or is not UTF-8, because other bytes would be lost */
async function readText(context: CommandContext, file: string): Promise<string> {
  const name = file === '-' ? 'standard input' : file;
  let bytes: Uint8Array;
  try {
    bytes = await readInputBytes(context, file);
  } catch (error) {
    throw new CliError(EXIT.usage, `${name}: ${unreadable(error)}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CliError(EXIT.usage, `${name}: the text is not UTF-8`);
  }
}

/** Replaces the file by rename, keeping its mode: an interrupted run leaves either the old or the new file. */
async function replaceFile(file: string, before: string, after: string): Promise<void> {
  if (after === before) return;
  try {
    const path = await realpath(file);
    const unfinished = `${path}.${process.pid}.unfinished`;
    try {
      await writeFile(unfinished, after, { mode: (await stat(path)).mode });
      await rename(unfinished, path);
    } finally {
      await rm(unfinished, { force: true });
    }
  } catch (error) {
    throw new CliError(EXIT.infrastructure, `${file}: cannot be written: ${messageOf(error)}`);
  }
}
