/**
 * Compares the CPU time with which HTTP clients transfer blobs: GET from one server, SHA-256 of the bytes, PUT to
 * another server. Each server is a separate child process. Prints MiB/s, CPU seconds per GiB and peak RSS of each way,
 * and its ratio to the first. Run with `npx tsx test/bench/http-clients.ts [MiB per blob] [rounds]`.
 */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { Agent, request as undiciRequest } from 'undici';

const SIZE = Number(process.argv[2] ?? 512) * 1024 * 1024;
const ROUNDS = Number(process.argv[3] ?? 3);
const CHUNK = Buffer.alloc(256 * 1024, 'x');

interface Urls {
  readonly from: string;
  readonly to: string;
}
interface Outcome {
  readonly seconds: number;
  readonly cpu: number;
  readonly rss: number;
}
type ClientUnderTest = (urls: Urls, size: number) => Promise<string>;

const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const dispatcher = new Agent({ connections: 8, pipelining: 1 });

async function nodeGet(url: string): Promise<http.IncomingMessage> {
  const [response] = (await once(http.get(url, { agent }), 'response')) as [http.IncomingMessage];
  return response;
}

async function finish(put: http.ClientRequest): Promise<void> {
  const [response] = (await once(put, 'response')) as [http.IncomingMessage];
  response.resume();
  await once(response, 'end');
}

async function* hashing(source: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  for await (const piece of source) {
    hash.update(piece);
    yield piece;
  }
}

function hashTransform(hash: ReturnType<typeof createHash>): Transform {
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      hash.update(piece);
      done(null, piece);
    },
  });
}

const CLIENTS_BY_NAME: Readonly<Record<string, ClientUnderTest>> = {
  'node:http, data listener and pause/resume': async ({ from, to }, size) => {
    const hash = createHash('sha256');
    const body = await nodeGet(from);
    const put = http.request(to, { method: 'PUT', agent, headers: { 'content-length': size } });
    const done = finish(put);
    body.on('data', (piece: Buffer) => {
      hash.update(piece);
      if (!put.write(piece)) body.pause();
    });
    put.on('drain', () => body.resume());
    body.on('end', () => put.end());
    await done;
    return hash.digest('hex');
  },
  'node:http, Transform and pipeline': async ({ from, to }, size) => {
    const hash = createHash('sha256');
    const body = await nodeGet(from);
    const put = http.request(to, { method: 'PUT', agent, headers: { 'content-length': size } });
    const done = finish(put);
    await pipeline(body, hashTransform(hash), put);
    await done;
    return hash.digest('hex');
  },
  'undici request, generator': async ({ from, to }, size) => {
    const hash = createHash('sha256');
    const { body } = await undiciRequest(from, { dispatcher });
    const headers = { 'content-length': String(size) };
    const put = await undiciRequest(to, {
      dispatcher,
      method: 'PUT',
      headers,
      body: Readable.from(hashing(body, hash)),
    });
    await put.body.dump();
    return hash.digest('hex');
  },
  'undici request, Transform': async ({ from, to }, size) => {
    const hash = createHash('sha256');
    const { body } = await undiciRequest(from, { dispatcher });
    const through: Readable = body.pipe(hashTransform(hash));
    const headers = { 'content-length': String(size) };
    const put = await undiciRequest(to, { dispatcher, method: 'PUT', headers, body: through });
    await put.body.dump();
    return hash.digest('hex');
  },
};

async function serve(): Promise<void> {
  const server = http.createServer((request, response) => {
    if (request.method === 'PUT') {
      request.on('data', () => undefined).on('end', () => response.writeHead(201).end());
      return;
    }
    response.writeHead(200, { 'content-length': SIZE });
    let left = SIZE;
    const more = (): void => {
      while (left > 0) {
        left -= CHUNK.length;
        if (!response.write(CHUNK)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send?.({ port: (server.address() as AddressInfo).port });
}

async function measure(name: string, parallel: number, urls: Urls): Promise<void> {
  const way = CLIENTS_BY_NAME[name];
  if (way === undefined) throw new Error(`no way is called ${name}`);
  const before = process.cpuUsage();
  const start = performance.now();
  const digests = await Promise.all(Array.from({ length: parallel }, () => way(urls, SIZE)));
  if (new Set(digests).size !== 1) throw new Error('digests differ');
  const { user, system } = process.cpuUsage(before);
  const outcome: Outcome = {
    seconds: (performance.now() - start) / 1000,
    cpu: (user + system) / 1e6,
    rss: process.resourceUsage().maxRSS / 1024,
  };
  process.send?.(outcome);
}

async function child<T>(args: readonly string[]): Promise<{ message: T; stop: () => void }> {
  const process_ = fork(fileURLToPath(import.meta.url), [String(SIZE / 1024 / 1024), String(ROUNDS), ...args]);
  const [message] = (await Promise.race([
    once(process_, 'message'),
    once(process_, 'exit').then(() => Promise.reject(new Error(`${args.join(' ')} stopped early`))),
  ])) as [T];
  return { message, stop: () => process_.kill() };
}

async function main(): Promise<void> {
  const servers = await Promise.all([child<{ port: number }>(['serve']), child<{ port: number }>(['serve'])]);
  const [from = '', to = ''] = servers.map(({ message }) => `http://127.0.0.1:${message.port}/blob`);
  for (const parallel of [1, 4]) {
    console.log(`${parallel} at once, ${SIZE / 1024 / 1024} MiB each, best of ${ROUNDS}`);
    let base: number | undefined;
    for (const name of Object.keys(CLIENTS_BY_NAME)) {
      const outcomes: Outcome[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const run = await child<Outcome>(['measure', name, String(parallel), from, to]);
        run.stop();
        outcomes.push(run.message);
      }
      const gib = (SIZE * parallel) / 1024 ** 3;
      const cpu = Math.min(...outcomes.map((o) => o.cpu)) / gib;
      const rate = (gib * 1024) / Math.min(...outcomes.map((o) => o.seconds));
      const rss = Math.max(...outcomes.map((o) => o.rss));
      base ??= cpu;
      const figures = `${rate.toFixed(0).padStart(5)} MiB/s ${cpu.toFixed(2)} CPU s/GiB ${rss.toFixed(0).padStart(4)} MiB peak`;
      console.log(`  ${name.padEnd(44)} ${figures}  CPU × ${(cpu / base).toFixed(2)}`);
    }
  }
  for (const { stop } of servers) stop();
}

const [role, name = '', parallel = '1', from = '', to = ''] = process.argv.slice(4);
if (role === 'serve') await serve();
else if (role === 'measure') await measure(name, Number(parallel), { from, to });
else await main();
