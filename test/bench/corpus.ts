/**
 * Copies a corpus and one image of 520 MB between two real registries on loopback, compared with crane, regsync and
 * regctl in the same run. The corpus has 40 images of 3 platforms on 4 shared bases under 50 tags (300 MB). It is
 * copied twice: into an empty registry, and again with nothing to do. The transports are plain HTTP, a slow link
 * (link-relay.ts) and TLS. `npx tsx test/bench/corpus.ts [rounds] [plain|link|tls]...`
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeCertificates, type Certificates } from '../fakes/certificates.js';
import { buildImage } from '../fakes/images.js';
import { RealRegistry } from '../fakes/real-registry.js';
import { buildCorpus } from './corpus-images.js';
import { bigImagePeers, corpusPeers, type Peer, type Place } from './copy-peers.js';
import { ForkedLink } from './forked-link.js';
import { pushImage, pushMounting } from './push-image.js';
import { median, printTable } from './table.js';
import { timed } from './timed.js';

const TRANSPORTS = ['plain', 'link', 'tls'] as const;
type Transport = (typeof TRANSPORTS)[number];

const TITLES: Readonly<Record<Transport, string>> = {
  plain: 'plain HTTP',
  link: 'link: 20 ms round trips, 400 Mbit/s per direction',
  tls: 'TLS',
};

const BIG_IMAGE = { platforms: ['linux/amd64', 'linux/arm64', 'linux/s390x'], layersPerPlatform: 5 };
const BIG_LAYER_BYTES = Math.round(520_000_000 / 15);

/** The end of an access log may still be in the pipe when the client has received its last response. */
const LOG_PAUSE_MS = 300;

interface Figures {
  readonly seconds: number;
  readonly cpu: number;
  readonly peak: number;
  readonly sourceRequests: number;
  readonly targetRequests: number;
  readonly duplicateMegabytes: number;
}

/** Images that several programs copy. */
interface Work {
  readonly name: string;
  readonly peers: readonly Peer[];
  readonly blobs: ReadonlyMap<string, number>;
  /** Also measures a second run, which finds everything in the target. */
  readonly warm: boolean;
}

export async function run(rounds: number, transports: readonly Transport[]): Promise<void> {
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-bench-'));
  const certificates = await makeCertificates({ hosts: ['127.0.0.1'] });
  await writeFile(join(folder, 'ca.crt'), certificates.ca);
  const plain = await RealRegistry.start();
  const overTls = await RealRegistry.start({ sameAs: plain, tls: certificates });
  try {
    const corpus = buildCorpus();
    await pushMounting(plain.host, corpus.images);
    const big = buildImage({ ...BIG_IMAGE, layerSize: BIG_LAYER_BYTES });
    await pushImage(plain.host, 'bench/big', big, '1.0');
    const works: Work[] = [
      { name: 'corpus', peers: await corpusPeers(corpus.images), blobs: corpus.blobs, warm: true },
      {
        name: 'one image of 520 MB',
        peers: await bigImagePeers('bench/big', '1.0'),
        blobs: new Map(big.blobs.map(({ digest, size }) => [digest, size])),
        warm: false,
      },
    ];
    for (const transport of transports) {
      const source = transport === 'tls' ? overTls : plain;
      const rows = new Map<string, Figures[]>();
      for (let round = 0; round < rounds; round += 1) {
        for (const work of works) {
          for (const peer of work.peers) await measure(work, peer, { transport, source, folder, certificates }, rows);
        }
      }
      print(transport, rounds, works, rows);
    }
  } finally {
    await overTls.stop();
    await plain.stop();
    await rm(folder, { recursive: true });
  }
}

interface TestSetup {
  readonly transport: Transport;
  readonly source: RealRegistry;
  readonly folder: string;
  readonly certificates: Certificates;
}

/** Copies with one program to a separate registry, and a second time if requested. */
async function measure(work: Work, peer: Peer, setup: TestSetup, rows: Map<string, Figures[]>): Promise<void> {
  const { transport, source, folder, certificates } = setup;
  const target = await RealRegistry.start(transport === 'tls' ? { tls: certificates } : {});
  const link = transport === 'link' ? await ForkedLink.start([source.port, target.port]) : undefined;
  const [sourceHost = source.host, targetHost = target.host] = link?.hosts ?? [];
  const place: Place = { source: sourceHost, target: targetHost, tls: transport === 'tls', folder };
  try {
    const cold = await copied(peer, place, setup, target, work.blobs);
    const sent = new Set(uploads(target));
    if (sent.size < work.blobs.size) {
      throw new Error(`${peer.name}: the target has ${sent.size} of ${work.blobs.size} blobs of the ${work.name}`);
    }
    add(rows, `${work.name}: ${peer.name}`, cold);
    if (work.warm) add(rows, `${warmName(work)}: ${peer.name}`, await copied(peer, place, setup, target, work.blobs));
  } finally {
    link?.stop();
    await target.stop();
  }
}

async function copied(
  peer: Peer,
  place: Place,
  { source, folder }: TestSetup,
  target: RealRegistry,
  blobs: ReadonlyMap<string, number>,
): Promise<Figures> {
  const before = { source: source.accessLog().length, target: target.accessLog().length };
  const uploadsBefore = uploads(target).length;
  const command = await peer.prepare(place);
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, SSL_CERT_FILE: join(folder, 'ca.crt') };
  const { seconds, cpu, peak } = await timed(command, env);
  await new Promise((resolve) => setTimeout(resolve, LOG_PAUSE_MS));
  const seen = new Set<string>();
  let twice = 0;
  for (const digest of uploads(target).slice(uploadsBefore)) {
    if (seen.has(digest)) twice += blobs.get(digest) ?? 0;
    seen.add(digest);
  }
  return {
    seconds,
    cpu,
    peak,
    sourceRequests: source.accessLog().length - before.source,
    targetRequests: target.accessLog().length - before.target,
    duplicateMegabytes: twice / 1_000_000,
  };
}

/** Returns the digests of the blobs that the registry received, in order. */
function uploads(registry: RealRegistry): string[] {
  return registry.accessLog().flatMap(({ method, path, status }) => {
    if (method !== 'PUT' || status !== 201 || !path.includes('/blobs/uploads/')) return [];
    return [new URL(path, 'http://registry').searchParams.get('digest') ?? ''];
  });
}

function add(rows: Map<string, Figures[]>, name: string, figures: Figures): void {
  const known = rows.get(name) ?? [];
  known.push(figures);
  rows.set(name, known);
}

function warmName({ name }: Work): string {
  return `${name}, nothing to do`;
}

function print(
  transport: Transport,
  rounds: number,
  works: readonly Work[],
  rows: ReadonlyMap<string, readonly Figures[]>,
): void {
  const load = loadavg()[0]?.toFixed(1) ?? '';
  console.log(`\n${TITLES[transport]}; medians of ${rounds} rounds; load ${load} at the end`);
  const lines = works.flatMap((work) =>
    [work.name, ...(work.warm ? [warmName(work)] : [])].flatMap((part) => {
      const of = (peer: Peer, key: keyof Figures): number =>
        median((rows.get(`${part}: ${peer.name}`) ?? []).map((figures) => figures[key]));
      const fastest = Math.min(...work.peers.filter(({ ours }) => !ours).map((peer) => of(peer, 'seconds')));
      return work.peers.map((peer) => [
        `${part}: ${peer.name}`,
        of(peer, 'seconds'),
        of(peer, 'seconds') / fastest,
        of(peer, 'cpu'),
        of(peer, 'peak'),
        String(of(peer, 'sourceRequests')),
        String(of(peer, 'targetRequests')),
        of(peer, 'duplicateMegabytes').toFixed(0),
      ]);
    }),
  );
  const headings = ['', 'wall s', 'ratio', 'CPU s', 'peak MiB', 'source requests', 'target requests', 'MB sent twice'];
  printTable(headings, lines);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [rounds = '3', ...names] = process.argv.slice(2);
  const wanted = TRANSPORTS.filter((transport) => names.length === 0 || names.includes(transport));
  await run(Number(rounds), wanted);
}
