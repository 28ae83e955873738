import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';
import type { ExpressionReading } from '../core/decide/explain.js';
import { shown } from '../core/decide/explain.js';
import type { FilterTrace } from '../core/filters/trace.js';
import { compileRules } from '../core/decide/rules.js';
import { BadRequestError } from '../server/admission-request.js';
import type { ExplainAnswer, ExplainedContainer } from '../server/explain.js';
import { explainInput, explainInputOf } from '../server/explain.js';
import { ExistenceIndex } from '../targets/existence.js';
import { RegistryLookup } from '../targets/registry-lookup.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions } from './context.js';
import { CliError, EXIT } from './exit.js';
import { render } from './output.js';
import type { OutputFormat } from './output.js';

export interface ExplainFlags extends ConfigFlags {
  readonly file?: string;
  readonly namespace: string;
  readonly offline?: boolean;
  readonly output: OutputFormat;
}

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
  const loaded = await load(context, flags);
  const rules = compileRules(loaded.config);
  const index = new ExistenceIndex(
    new RegistryLookup(
      loaded.config,
      registryOptions(context, (problem) => context.stderr.write(`${problem}\n`)),
    ),
  );
  let answer: ExplainAnswer;
  try {
    const input = explainInputOf(asked);
    const given =
      image === undefined && flags.namespace !== 'default' ? { ...input, namespace: flags.namespace } : input;
    answer = await explainInput(
      given,
      { config: loaded.config, rules },
      {
        find: (target, reference, deadline) =>
          flags.offline === true
            ? Promise.resolve({ state: 'unknown', reason: 'other', message: 'not asked (--offline)' })
            : index.find(target, reference, deadline),
        copyState: () => undefined,
      },
    );
  } catch (error) {
    if (error instanceof BadRequestError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
  context.stdout.write(render(answer, flags.output, () => story(answer)));
  return answer.containers.some(({ reason }) => reason === 'invalid-image') ? EXIT.findings : EXIT.ok;
}

async function readPod(file: string): Promise<unknown> {
  let source: string;
  try {
    source = file === '-' ? await readStream(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  const documents = parseAllDocuments(source);
  if (!Array.isArray(documents) || documents.length !== 1 || documents[0] === undefined) {
    throw new CliError(EXIT.usage, `${file}: expected one document with a Pod`);
  }
  const [problem] = documents[0].errors;
  if (problem !== undefined) throw new CliError(EXIT.usage, `${file}: ${problem.message}`);
  return documents[0].toJS({ maxAliasCount: 100 }) as unknown;
}

/** Reads like a short story: a paragraph for each container. */
export function story(answer: ExplainAnswer): string {
  if (answer.containers.length === 0) return 'The Pod has no container with an image.';
  return answer.containers.map((container) => paragraph(container, answer.dryRun).join('\n')).join('\n\n');
}

function paragraph(container: ExplainedContainer, dryRun: boolean): string[] {
  const { list, name, image, source, result, swapped } = container;
  const lines = [`${list}/${name}: ${image}`];
  if (source !== undefined && source !== image) lines.push(`  is ${source} in full.`);
  container.filters.forEach((reading, index) =>
    lines.push(...filterLines(`Filter ${index + 1}`, reading, 'leaves it alone')),
  );
  for (const target of container.targets) {
    if (target.match === undefined) lines.push(`  Target ${target.name} takes every image.`);
    else lines.push(...filterLines(`Target ${target.name}`, target.match, 'takes it'));
  }
  if (container.action === 'keep') {
    lines.push(`  It keeps its image: ${container.detail}.`);
    return lines;
  }
  lines.push(`  Its place in the target is ${container.reference ?? ''}.`);
  lines.push(`  ${existenceSentence(container)}`);
  if (container.copy !== undefined) lines.push(`  Its copy is ${container.copy}.`);
  if (swapped) lines.push(`  => It is swapped for ${result} (imageSwapPolicy ${container.swapPolicy ?? ''}).`);
  else if (dryRun) lines.push('  => It keeps its image: dryRun is on.');
  else
    lines.push(
      `  => It keeps its image for now (imageSwapPolicy exists, imageCopyPolicy ${container.copyPolicy ?? ''}).`,
    );
  return lines;
}

function existenceSentence({ existence }: ExplainedContainer): string {
  switch (existence?.state) {
    case 'present':
      return existence.digest === undefined ? 'The target has it.' : `The target has it (${existence.digest}).`;
    case 'absent':
      return 'The target does not have it.';
    case 'unknown':
      return `Whether the target has it is not known: ${existence.message}.`;
    case undefined:
      return 'The target was not asked.';
  }
}

function filterLines(what: string, reading: ExpressionReading, whenTrue: string): string[] {
  const { expression, outcome, message, trace } = reading;
  const verdict = {
    true: `is true: ${whenTrue}`,
    false: 'is false',
    'not-boolean': `is not true or false (${message ?? ''}): counts as false`,
    error: `fails (${message ?? ''}): no later filter is read`,
    'not-read': 'is not read',
  }[outcome];
  return [`  ${what} ${verdict}: ${expression}`, ...(trace?.children ?? []).flatMap((child) => traceLines(child, 2))];
}

function traceLines(trace: FilterTrace, depth: number): string[] {
  const value = trace.error === undefined ? shown(trace.value) : `error: ${trace.error}`;
  return [
    `${'  '.repeat(depth)}${trace.text} -> ${value}`,
    ...trace.children.flatMap((child) => traceLines(child, depth + 1)),
  ];
}
