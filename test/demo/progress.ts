import { DemoError } from './error.js';
import { get } from '../fakes/https-client.js';

interface Mirror {
  readonly source: string;
  readonly state: string;
  readonly attempts: number;
  readonly progress?: { readonly transferred: number; readonly total: number };
  readonly failure?: { readonly reason: string; readonly message: string };
}

/** Follows `GET /v1/mirrors` until every copy is done; shows a bar on a terminal, and lines elsewhere. */
export async function waitForMirrors(operations: string, seconds: number, out: NodeJS.WriteStream): Promise<void> {
  const until = Date.now() + seconds * 1_000;
  let last = '';
  for (;;) {
    const { mirrors } = (await get(`${operations}/v1/mirrors`)).json() as { mirrors: Mirror[] };
    const line = mirrors.map(describe).join('   ');
    if (line !== last) out.write(out.isTTY ? `\r\x1b[2K   ${line}` : `   ${line}\n`);
    last = line;
    const failed = mirrors.find(
      ({ failure, state }) => failure !== undefined && state !== 'running' && state !== 'done',
    );
    if (failed?.failure !== undefined) {
      if (out.isTTY) out.write('\n');
      throw new DemoError(`${failed.failure.message}\n${advice(failed.failure.reason)}`);
    }
    if (mirrors.length > 0 && mirrors.every(({ state }) => state === 'done')) break;
    if (Date.now() > until) {
      throw new DemoError(`the mirror did not finish within ${seconds} s; give it longer with --timeout SECONDS`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (out.isTTY) out.write('\n');
}

function describe({ source, state, progress }: Mirror): string {
  const fraction =
    state === 'done' ? 1 : progress === undefined || progress.total === 0 ? 0 : progress.transferred / progress.total;
  const filled = Math.round(fraction * 20);
  return `[${'#'.repeat(filled)}${'.'.repeat(20 - filled)}] ${state} ${source}`;
}

function advice(reason: string): string {
  switch (reason) {
    case 'unreachable':
      return 'Is there a network? Without one run `npm run demo`, which needs none. Behind a proxy set HTTPS_PROXY.';
    case 'absent':
    case 'unauthorized':
    case 'forbidden':
      return 'Check the name and the tag; private images need credentials, which the demo does not take.';
    case 'throttled':
      return 'The registry allows no more pulls for now; try later or another image.';
    default:
      return 'Run `npm run demo` without --image to see whether the demo itself works here.';
  }
}
