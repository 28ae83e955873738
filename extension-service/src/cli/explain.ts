import { unreadable } from '../util/unreadable.js';
import { isNamespaceName } from '../core/decide/kubernetes-names.js';
import type { JsonObject } from '../core/decide/pod.js';
import { compileRules } from '../core/decide/rules.js';
import { BadRequestError } from '../server/admission-request.js';
import type { ExplainAnswer, ExplainDependencies } from '../server/explain.js';
import { explainInput, explainInputOf } from '../server/explain.js';
import { explainText } from '../server/explain-text.js';
import { ExistenceIndex } from '../targets/existence.js';
import { RegistryLookup } from '../targets/registry-lookup.js';
import { oneLine } from '../core/image/quote.js';
import { fetchExplanation } from './service-client.js';
import type { ServiceAddress } from './service-client.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions, LOOKUP_TIMEOUT_MS } from './context.js';
import { CliError, EXIT } from './exit.js';
import { podsInFile, withNamespace } from './explain-file.js';
import type { PodInFile } from './explain-file.js';
import { render } from './output.js';
import type { OutputFormat } from './output.js';
import { readInput } from './read-input.js';
import { namingTarget } from '../kinds/registry-naming.js';

export interface ExplainFlags extends ConfigFlags {
  readonly file?: string;
  readonly namespace: string;
  readonly offline?: boolean;
  readonly server?: string;
  readonly caFile?: string;
  readonly output: OutputFormat;
}

/** @returns 0, or 1 if an image cannot be parsed */
export async function explain(
  context: CommandContext,
  image: string | undefined,
  flags: ExplainFlags,
): Promise<number> {
  if ((image === undefined) === (flags.file === undefined)) {
    throw new CliError(EXIT.usage, 'name an image, or a file with a Pod or workload (-f FILE)');
  }
  if (!isNamespaceName(flags.namespace)) {
    throw new CliError(EXIT.usage, `--namespace ${JSON.stringify(flags.namespace)}: not a valid namespace name`);
  }
  const asked =
    image === undefined
      ? await readPods(context, flags)
      : [{ title: image, pod: { image, namespace: flags.namespace } as JsonObject }];
  const answers = await (flags.server === undefined
    ? explainLocally(context, asked, flags)
    : explainRemotely({ ...flags, server: flags.server }, asked));
  context.stdout.write(show(asked, answers, flags.output));
  const containers = answers.flatMap((answer) => answer.containers);
  return containers.some(({ reason }) => reason === 'invalid-image') ? EXIT.findings : EXIT.ok;
}

/** A single answer is printed alone; with several, each has a title with its object. */
function show(asked: readonly PodInFile[], answers: readonly ExplainAnswer[], output: OutputFormat): string {
  const [only] = answers;
  const now = Date.now();
  if (answers.length === 1 && only !== undefined) return render(only, output, () => explainText(only, now));
  const objects = answers.map((answer, index) => ({ object: asked[index]?.title ?? '', ...answer }));
  return render({ objects }, output, () =>
    objects.map(({ object, ...answer }) => `# ${oneLine(object)}\n${explainText(answer, now)}`).join('\n\n'),
  );
}

async function explainRemotely(
  service: ServiceAddress,
  asked: readonly PodInFile[],
): Promise<readonly ExplainAnswer[]> {
  const answers: ExplainAnswer[] = [];
  for (const { pod } of asked) answers.push(await fetchExplanation(service, pod));
  return answers;
}

/** Decides with the configuration of this machine, and queries the targets from here. */
async function explainLocally(
  context: CommandContext,
  asked: readonly PodInFile[],
  flags: ExplainFlags,
): Promise<readonly ExplainAnswer[]> {
  const { config } = await load(context, flags);
  const rules = compileRules(config, namingTarget);
  const report = (problem: string): void => void context.stderr.write(`${problem}\n`);
  const lookup = new RegistryLookup(config, registryOptions(context, config, report));
  const index = new ExistenceIndex(lookup, { timeout: LOOKUP_TIMEOUT_MS });
  const lookUp: ExplainDependencies['find'] = async (target, reference, deadline) => {
    const found = await index.find(target, reference, deadline);
    if (found.state !== 'absent') return found;
    const archived = await lookup.archived(reference, AbortSignal.timeout(LOOKUP_TIMEOUT_MS));
    return archived === undefined ? found : { ...found, archived };
  };
  const find: ExplainDependencies['find'] = (target, reference, deadline) =>
    flags.offline === true
      ? Promise.resolve({ state: 'unknown', reason: 'other', message: 'not checked (--offline)' })
      : lookUp(target, reference, deadline);
  try {
    const answers: ExplainAnswer[] = [];
    const dependencies = { find, findCopy: () => undefined, timeoutMs: LOOKUP_TIMEOUT_MS };
    for (const { pod } of asked) answers.push(await explainInput(explainInputOf(pod), { config, rules }, dependencies));
    return answers;
  } catch (error) {
    if (error instanceof BadRequestError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
}

/** The Pods of the file, in the flag's namespace if given. */
async function readPods(context: CommandContext, flags: ExplainFlags): Promise<readonly PodInFile[]> {
  const file = flags.file ?? '-';
  let source: string;
  try {
    source = await readInput(context, file);
  } catch (error) {
    throw new CliError(EXIT.usage, `${file}: ${unreadable(error)}`);
  }
  const { pods, others, notes } = podsInFile(source, file);
  for (const note of notes) context.stderr.write(`note: ${oneLine(note)}\n`);
  if (others.length > 0)
    context.stderr.write(`skipped, because they create no Pods: ${others.map(oneLine).join(', ')}\n`);
  return flags.namespace === 'default' ? pods : pods.map((one) => withNamespace(one, flags.namespace));
}
