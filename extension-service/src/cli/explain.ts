import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';
import { unreadable } from '../config/files.js';
import { isObject } from '../core/decide/pod.js';
import { compileRules } from '../core/decide/rules.js';
import { BadRequestError } from '../server/admission-request.js';
import type { ExplainAnswer, ExplainDependencies } from '../server/explain.js';
import { explainInput, explainInputOf } from '../server/explain.js';
import { story } from '../server/explain-story.js';
import { ExistenceIndex } from '../targets/existence.js';
import { RegistryLookup } from '../targets/registry-lookup.js';
import { askExplanation } from './ask-service.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions } from './context.js';
import { CliError, EXIT } from './exit.js';
import { render } from './output.js';
import type { OutputFormat } from './output.js';
import { namingTarget } from '../kinds/registry-naming.js';

export interface ExplainFlags extends ConfigFlags {
  readonly file?: string;
  readonly namespace: string;
  readonly offline?: boolean;
  readonly server?: string;
  readonly caFile?: string;
  readonly output: OutputFormat;
}

/** For the question whether a missing image is archived. */
const ARCHIVE_TIMEOUT_MS = 5_000;

/** @returns 0, or 1 when an image cannot be parsed */
export async function explain(
  context: CommandContext,
  image: string | undefined,
  flags: ExplainFlags,
): Promise<number> {
  if ((image === undefined) === (flags.file === undefined)) {
    throw new CliError(EXIT.usage, 'give an image, or a Pod with -f FILE');
  }
  const asked = image === undefined ? await readPod(flags.file ?? '-') : { image, namespace: flags.namespace };
  const given = image === undefined && flags.namespace !== 'default' ? inNamespace(asked, flags.namespace) : asked;
  const answer =
    flags.server === undefined
      ? await explainHere(context, given, flags)
      : await askExplanation({ ...flags, server: flags.server }, given);
  context.stdout.write(render(answer, flags.output, () => story(answer, Date.now())));
  return answer.containers.some(({ reason }) => reason === 'invalid-image') ? EXIT.findings : EXIT.ok;
}

/** Decides with the configuration of this machine, and looks into the targets from here. */
async function explainHere(context: CommandContext, asked: unknown, flags: ExplainFlags): Promise<ExplainAnswer> {
  const { config } = await load(context, flags);
  const rules = compileRules(config, namingTarget);
  const report = (problem: string): void => void context.stderr.write(`${problem}\n`);
  const lookup = new RegistryLookup(config, registryOptions(context, config, report));
  const index = new ExistenceIndex(lookup);
  const look: ExplainDependencies['find'] = async (target, reference, deadline) => {
    const found = await index.find(target, reference, deadline);
    if (found.state !== 'absent') return found;
    const archived = await lookup.archived(reference, AbortSignal.timeout(ARCHIVE_TIMEOUT_MS));
    return archived === undefined ? found : { ...found, archived };
  };
  const find: ExplainDependencies['find'] = (target, reference, deadline) =>
    flags.offline === true
      ? Promise.resolve({ state: 'unknown', reason: 'other', message: 'not asked (--offline)' })
      : look(target, reference, deadline);
  try {
    return await explainInput(explainInputOf(asked), { config, rules }, { find, findCopy: () => undefined });
  } catch (error) {
    if (error instanceof BadRequestError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
}

function inNamespace(pod: unknown, namespace: string): unknown {
  if (!isObject(pod)) return pod;
  return { ...pod, metadata: { ...(isObject(pod['metadata']) && pod['metadata']), namespace } };
}

async function readPod(file: string): Promise<unknown> {
  let source: string;
  try {
    source = file === '-' ? await readStream(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `${file}: ${unreadable(error)}`);
  }
  const documents = parseAllDocuments(source);
  if (!Array.isArray(documents) || documents.length !== 1 || documents[0] === undefined) {
    throw new CliError(EXIT.usage, `${file}: expected one document with a Pod`);
  }
  const [problem] = documents[0].errors;
  if (problem !== undefined) throw new CliError(EXIT.usage, `${file}: ${problem.message}`);
  return documents[0].toJS({ maxAliasCount: 100 }) as unknown;
}
