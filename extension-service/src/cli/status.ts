import { oneLine } from '../core/image/quote.js';
import type { MirrorState, MirrorStatus } from '../mirror/status.js';
import { timeAgo } from '../server/time-ago.js';
import type { MirrorsAnswer } from '../server/app.js';
import { fetchMirrors } from './service-client.js';
import type { CommandContext } from './context.js';
import { EXIT } from './exit.js';
import { bytes, render, table } from './output.js';
import type { OutputFormat } from './output.js';

export interface StatusFlags {
  readonly server: string;
  readonly caFile?: string;
  readonly all?: boolean;
  readonly output: OutputFormat;
}

/** @returns 0, or 1 if a copy has failed permanently */
export async function status(context: CommandContext, flags: StatusFlags): Promise<number> {
  const { answer, now } = await fetchMirrors(flags);
  context.stdout.write(render(answer, flags.output, () => statusText(answer, now, flags.all === true)));
  return answer.mirrors.some(({ state }) => state === 'failed') ? EXIT.findings : EXIT.ok;
}

/** A line with the counts, then a row for each copy; completed copies only with `all`. */
export function statusText({ mirrors, leader }: MirrorsAnswer, now: number, all: boolean): string {
  const count = (state: MirrorState): string => `${mirrors.filter((row) => row.state === state).length} ${state}`;
  const counts = (['running', 'queued', 'waiting', 'failed', 'done'] as const).map(count).join(', ');
  const shown = mirrors.filter(({ state }) => all || state !== 'done');
  const rows = shown.map((row) => [row.state, row.source, row.target, detail(row, now)]);
  return [
    counts,
    ...(leader === undefined ? [] : [leaderLine(leader)]),
    ...(rows.length === 0 ? [] : ['', table([['STATE', 'IMAGE', 'TARGET', 'DETAIL'], ...rows])]),
  ].join('\n');
}

function leaderLine({ leading, holder }: NonNullable<MirrorsAnswer['leader']>): string {
  if (leading) return 'this replica is the leader and makes the copies';
  return holder === undefined
    ? 'no replica is the leader, so nothing is copied'
    : `the leader is ${holder}; ask it for the state of copies`;
}

function detail(
  { source, state, attempts, since, progress, failure, nextTry, waitsFor, digest }: MirrorStatus,
  now: number,
): string {
  const reason = failure === undefined ? '' : `: ${oneLine(failure.message)}`;
  const tries = attempts === 1 ? '1 try' : `${attempts} attempts`;
  const next = nextTry === undefined || nextTry <= now ? 'now' : `in ${timeAgo(now, nextTry)}`;
  switch (state) {
    case 'queued':
      return `for ${timeAgo(since, now)}`;
    case 'running':
      return progress === undefined
        ? `for ${timeAgo(since, now)}`
        : `${bytes(progress.transferred)} of ${bytes(progress.total)}, for ${timeAgo(since, now)}`;
    case 'waiting':
      if (failure?.gate !== undefined) return gateDetail(source, failure.message);
      return waitsFor === undefined
        ? `${failure?.reason ?? 'failed'} after ${tries}, next attempt ${next}${reason}`
        : `waiting for ${waitsFor.host} (${waitsFor.reason}), next attempt ${next}${reason}`;
    case 'failed':
      if (failure?.gate !== undefined) return gateDetail(source, failure.message);
      return `${failure?.reason ?? 'failed'} after ${tries}, retried on request ${next}${reason}`;
    case 'done':
      return `${digest?.slice(0, 19) ?? ''}, ${timeAgo(since, now)} ago`;
  }
}

/** The message names the check, the time and the reason, after the image, which the row already shows. */
function gateDetail(source: string, message: string): string {
  const repeated = `${source}: `;
  return oneLine(message.startsWith(repeated) ? message.slice(repeated.length) : message);
}
