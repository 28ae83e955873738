import { get as httpGet } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { GoogleCloud, POD_ACCOUNT, TARGET_CONFIG } from '../fakes/google/cloud.js';
import { RunningService } from '../fakes/service.js';
import { processStats } from './process-stats.js';
import { median, printTable } from './table.js';

const ROUNDS = 3;
/** Milliseconds from the start until memory is read. Logins are complete by then. */
const SETTLED = 17_000;

interface Start {
  /** Milliseconds from the start of the process to the first response of /readyz. */
  readonly ready: number;
  readonly rss: number;
  readonly cpu: number;
}

/**
 * Measures start time and memory of `serve` with a target outside any cloud, and with a Google target for each login
 * method.
 */
export async function run(): Promise<void> {
  const google = await GoogleCloud.start();
  google.auth.impersonators.set(POD_ACCOUNT, ['robot@my-project-123.iam.gserviceaccount.com']);
  const key = await google.writeJson('key.json', google.auth.keyFile(POD_ACCOUNT));
  const gcp = (more: object = {}): object => ({ type: 'gcp', gcp: { ...TARGET_CONFIG, ...more } });
  const withKey = { ...google.outside, GOOGLE_APPLICATION_CREDENTIALS: key };
  const cases: readonly (readonly [string, object, Readonly<Record<string, string>>])[] = [
    ['oci: no SDK', { type: 'oci', oci: { registry: '127.0.0.1:1', insecure: true } }, google.env],
    ['gcp, metadata server: no SDK', gcp(), google.env],
    ['gcp, key file: SDK in the background worker', gcp(), withKey],
    [
      'gcp, key file, settings: SDK and one call of its API',
      gcp({ repository: { description: 'Mirrored images' } }),
      withKey,
    ],
  ];
  const rows: (string | number)[][] = [];
  for (const [name, target, env] of cases) {
    const starts: Start[] = [];
    for (let round = 0; round < ROUNDS; round++) starts.push(await start(target, env));
    const of = (key: keyof Start): number => median(starts.map((one) => one[key]));
    rows.push([name, of('ready'), of('rss'), of('cpu')]);
  }
  await google.close();
  printTable([`median of ${ROUNDS}`, 'ready ms', 'RSS MiB', 'CPU s'], rows);
}

async function start(target: object, env: Readonly<Record<string, string>>): Promise<Start> {
  const before = performance.now();
  const service = await RunningService.start({ config: stringify({ target }), env, plain: true });
  await isReady(`${service.operations}/readyz`);
  const ready = performance.now() - before;
  await sleep(SETTLED);
  const stats = processStats(service.process.pid ?? 0);
  await service.stop('SIGKILL');
  return { ready, rss: stats?.rss ?? 0, cpu: stats?.cpu ?? 0 };
}

async function isReady(url: string): Promise<void> {
  const status = await new Promise<number>((resolve, reject) => {
    httpGet(url, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
  if (status !== 200) throw new Error(`${url} answers ${status}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await run();
