import { formatDuration } from '../core/config/duration.js';
import type { ExpressionReading } from '../core/decide/explain.js';
import { shown } from '../core/decide/explain.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import { oneLine } from '../core/image/quote.js';
import type { FilterTrace } from '../core/filters/trace.js';
import type { CopyStatus } from '../mirror/status.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import { timeAgo } from './time-ago.js';
import type { TableState } from './table-knowledge.js';
import type { ExplainAnswer, ExplainedContainer } from './explain.js';

/** The explanation as text: a paragraph for each container. */
export function explainText(answer: ExplainAnswer, now: number): string {
  if (answer.containers.length === 0) return 'The Pod has no container with an image.';
  const refused = (answer.refused ?? []).map((why) => plainLine(`The Pod is refused: ${why}.`));
  const paragraphs = answer.containers.map((container) =>
    paragraph(container, answer.dryRun, now).map(plainLine).join('\n'),
  );
  return [...refused, ...paragraphs].join('\n\n');
}

/** Names, images and reasons come from Pods and registries: no line may control a terminal or contain a template. */
function plainLine(line: string): string {
  return oneLine(line.replaceAll('{{', '{ {'));
}

function paragraph(container: ExplainedContainer, dryRun: boolean, now: number): string[] {
  const { list, name, image, source } = container;
  const lines = [`${list}/${name}: ${image}`];
  if (source !== undefined && source !== image) lines.push(`  Full name: ${source}`);
  if (container.hint !== undefined) lines.push(`  ${container.hint}.`);
  container.filters.forEach((reading, index) =>
    lines.push(...filterLines(`Filter ${index + 1}`, reading, 'the container keeps its image')),
  );
  for (const target of container.targets) {
    if (target.refusal !== undefined) lines.push(`  Target ${target.name} ${target.refusal}.`);
    else if (target.match === undefined && target.hasPaths === true)
      lines.push(`  Target ${target.name} has a path for it.`);
    else if (target.match === undefined) lines.push(`  Target ${target.name} matches every image.`);
    else lines.push(...filterLines(`Target ${target.name}`, target.match, 'the image goes here'));
  }
  if (container.action === 'keep') {
    lines.push(`  It keeps its image: ${container.detail}.`);
    return lines;
  }
  lines.push(`  In the target it is ${container.reference ?? ''}`);
  lines.push(`  ${existenceSentence(container)}`);
  if (container.gate !== undefined) lines.push(`  ${checksSentence(container.gate)}`);
  if (container.copy !== undefined) lines.push(...copySentences(container.copy, now).map((line) => `  ${line}`));
  if (container.access !== undefined) lines.push(`  ${accessSentence(container.access)}`);
  if (container.decidedBy !== undefined)
    lines.push(
      '  The API server cannot decide the Pod alone, so the service decides it (policies.undecidable webhook).',
    );
  else if (container.table !== undefined) lines.push(`  ${tableSentence(container.table)}`);
  lines.push(`  => ${outcomeSentence(container, dryRun)}`);
  return lines;
}

function outcomeSentence(container: ExplainedContainer, dryRun: boolean): string {
  const { result, swapped, swapPolicy = '', copyPolicy = '', waitsMs, existence, access } = container;
  if (dryRun) return 'It keeps its image: dryRun is on.';
  if (access !== undefined && access.state !== 'granted') return 'It keeps its image (source.accessCheck pullSecrets).';
  if (waitsMs !== undefined) return waitingSentence(container, waitsMs);
  if (swapped) {
    const isMissing = copyPolicy === 'none' && existence?.state !== 'present';
    const warning = isMissing ? ' The service does not copy it (imageCopyPolicy none).' : '';
    return `It is swapped for ${result} (imageSwapPolicy ${swapPolicy}).${warning}`;
  }
  const policies = `(imageSwapPolicy exists, imageCopyPolicy ${copyPolicy})`;
  if (copyPolicy === 'none') return `It keeps its image, and the service does not copy it ${policies}.`;
  return `It keeps its image for now ${policies}.`;
}

function waitingSentence(container: ExplainedContainer, waitsMs: number): string {
  const { otherwise, reference = '', swapPolicy = '', copyPolicy = '' } = container;
  const end = {
    kept: 'It keeps its image if the copy is not done by then',
    swapped: 'It is swapped even if the copy is not done by then',
    denied: 'The Pod is refused if the copy is not done by then',
  }[otherwise ?? 'kept'];
  const wait = `The Pod waits up to ${formatDuration(waitsMs)} for the copy, and is then swapped for ${reference}`;
  return `${wait}. ${end} (imageSwapPolicy ${swapPolicy}, imageCopyPolicy ${copyPolicy}).`;
}

function existenceSentence({ existence }: ExplainedContainer): string {
  switch (existence?.state) {
    case 'present':
      return existence.digest === undefined ? 'The target has it.' : `The target has it (${existence.digest}).`;
    case 'absent':
      return existence.archived === undefined
        ? 'The target does not have it.'
        : `The target does not give it: it ${existence.archived}. A copy restores it.`;
    case 'unknown':
      return `It is not known whether the target has it: ${existence.message}.`;
    case undefined:
      return 'The target was not checked.';
  }
}

function tableSentence(table: TableState): string {
  if (table.state === 'absent') return "The API server's table does not have it.";
  return `The API server's table has had it${table.since === undefined ? ' since before this replica became the leader' : ` since ${table.since}`}.`;
}

function accessSentence(access: SourceAccess): string {
  switch (access.state) {
    case 'granted':
      return access.to === 'everybody'
        ? 'Any Pod can read it at its source.'
        : 'The pull secrets of the Pod can read it at its source.';
    case 'refused':
      return `The Pod cannot read it: ${access.message}.`;
    case 'unknown':
      return `It is not known whether the Pod can read it at its source: ${access.message}.`;
  }
}

function filterLines(what: string, reading: ExpressionReading, whenTrue: string): string[] {
  const { expression, outcome, message, trace } = reading;
  const verdict = {
    true: `is true: ${whenTrue}`,
    false: 'is false',
    'not-boolean': `is not true or false (${message ?? ''}): counts as false`,
    error: `fails (${message ?? ''}): later filters are not evaluated`,
    'not-read': 'is not evaluated',
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

function checksSentence(checks: readonly string[]): string {
  return `The target has a gate (${checks.join(', ')}): it gets the image once the gate lets it through.`;
}

/** The message contains the check, the reason, and the time. */
function gateSentence({ gate, message }: CopyFailure): string {
  return gate?.verdict === 'held'
    ? `The gate of the target holds it: ${message}.`
    : `The gate of the target refuses it: ${message}.`;
}

function copySentences(copy: CopyStatus, now: number): string[] {
  const { state, attempts, since, progress, failure, nextTry } = copy;
  const first = {
    queued: `Its copy has been queued for ${timeAgo(since, now)}.`,
    running: `Its copy has been running for ${timeAgo(since, now)}${progress === undefined ? '' : `: ${progress.transferred} of ${progress.total} bytes`}.`,
    waiting: `Its copy failed ${attempts === 1 ? 'once' : `${attempts} times`} and will be retried.`,
    failed: `Its copy failed${attempts > 1 ? ` ${attempts} times` : ''}.`,
    done: `It was copied ${timeAgo(since, now)} ago.`,
  }[state];
  const next =
    nextTry === undefined || nextTry <= now ? 'when the next Pod requests it' : `in ${timeAgo(now, nextTry)}`;
  if (failure?.gate !== undefined && (state === 'waiting' || state === 'failed')) return [gateSentence(failure)];
  return [
    first,
    ...(failure === undefined ? [] : [`The reason is ${failure.reason}: ${failure.message}.`]),
    ...(state === 'waiting' ? [`The next attempt is ${next}.`] : []),
    ...(state === 'failed'
      ? [`A new Pod can retry it ${next === 'when the next Pod requests it' ? 'now' : next}.`]
      : []),
  ];
}
