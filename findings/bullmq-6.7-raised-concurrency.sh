#!/usr/bin/env bash
# bullmq 6.7.0 with redis-server 7.0 (Debian 12): a worker whose jobs are all running does not notice that `concurrency` was raised.
#
# `worker.concurrency = 3` takes effect when a running job ends, or after `pause` and `resume`. While one long job runs, the
# other jobs wait although two more could run. A worker with long jobs (here: copies of images) that is allowed more of them must
# call `pause(true)` and `resume()` itself.
#
# Seen on 2026-11-30: "running with concurrency 1: 1; raised to 3, after 3 s: 1; after pause and resume: 3"
set -euo pipefail
dir=$(mktemp -d); pid=
trap '[ -z "$pid" ] || kill $pid; rm -rf "$dir"' EXIT
command -v redis-server >/dev/null || { echo "needs Debian 12's package redis-server"; exit 2; }
(cd "$dir" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund --ignore-scripts bullmq@6.7.0 ioredis@6.0.0)
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' >/dev/null & pid=$!
cat >"$dir/run.cjs" <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const { Queue, Worker } = require('bullmq');
const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
(async () => {
  let running = 0;
  const forever = new Promise(() => {});
  const queue = new Queue('copies', { connection });
  const worker = new Worker('copies', () => { running += 1; return forever; }, { connection, concurrency: 1 });
  await worker.waitUntilReady();
  await queue.addBulk([1, 2, 3].map((n) => ({ name: `copy-${n}`, data: {} })));
  while (running < 1) await sleep(50);
  const before = running;
  worker.concurrency = 3;
  await sleep(3000);
  const raised = running;
  await worker.pause(true);
  worker.resume();
  for (let i = 0; i < 100 && running < 3; i += 1) await sleep(50);
  console.log(`running with concurrency 1: ${before}; raised to 3, after 3 s: ${raised}; after pause and resume: ${running}`);
  process.exit(0);
})();
JS
seen=$(node "$dir/run.cjs" "$port")
echo "$seen"
[ "$seen" = 'running with concurrency 1: 1; raised to 3, after 3 s: 1; after pause and resume: 3' ]
