#!/usr/bin/env bash
# bullmq 6.7.0 with PostgreSQL 15 (Debian 12): a worker whose clock is an hour ahead runs a job that another worker holds.
#
# In Redis, a lock is a key that expires by the server's clock. The PostgreSQL backend stores the time at which a lock ends, and each
# worker compares it with its own clock. A worker whose clock is ahead finds every lock of the others expired, although they
# renew them, and runs their jobs a second time.
#
# Seen on 2026-11-30: "starts of one job that is held and renewed: redis 1, postgres 2"
set -euo pipefail
dir=$(mktemp -d); pids=
trap 'for pid in $pids; do kill $pid 2>/dev/null || true; done; wait; rm -rf "$dir"' EXIT
bin=/usr/lib/postgresql/15/bin
command -v redis-server >/dev/null || { echo "needs Debian 12's package redis-server"; exit 2; }
[ -x "$bin/postgres" ] || { echo "needs Debian 12's package postgresql-15"; exit 2; }
(cd "$dir" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund --ignore-scripts bullmq@6.7.0 ioredis@6.0.0 pg@8.23.1)
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' >/dev/null & pids=$!
as=(); [ "$(id -u)" != 0 ] || { as=(runuser -u postgres --); chown -R postgres "$dir"; }
"${as[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync >/dev/null
"${as[@]}" "$bin/postgres" -D "$dir/data" -k "$dir" -h '' -F >/dev/null 2>&1 & pids="$pids $!"
until "$bin/psql" -h "$dir" -U postgres -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.2; done
# Arguments: server, milliseconds by which the clock is ahead, whether to add the job.
cat >"$dir/worker.cjs" <<'JS'
const [, , server, ahead, adds] = process.argv;
const now = Date.now;
Date.now = () => now() + Number(ahead);
const { Queue, Worker, createPostgresBackend, createRedisBackend } = require('bullmq');
const [connection, backend] = server === 'redis'
  ? [{ host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null }, createRedisBackend]
  : [{ host: process.env.PG_FOLDER, user: 'postgres', database: 'postgres', schema: 'queue', migrate: true }, createPostgresBackend];
(async () => {
  const settings = { connection, lockDuration: 4000, stalledInterval: 1000, maxStalledCount: 10 };
  const worker = new Worker('copies', () => { process.stdout.write('started\n'); return new Promise(() => {}); }, settings, backend);
  worker.on('error', () => {});
  await worker.waitUntilReady();
  if (adds === 'true') await new Queue('copies', { connection }, backend).add('copy', {});
})();
JS
# Prints how often the job starts at two workers.
starts() {
  local out="$dir/$1.out"
  : >"$out"
  (cd "$dir"; REDIS_PORT=$port PG_FOLDER=$dir exec node worker.cjs "$1" 0 true) >>"$out" & pids="$pids $!"
  until grep -q started "$out"; do sleep 0.2; done
  (cd "$dir"; REDIS_PORT=$port PG_FOLDER=$dir exec node worker.cjs "$1" 3600000 false) >>"$out" & pids="$pids $!"
  sleep 15
  starts=$(grep -c started "$out")
}
starts redis; redis=$starts
starts postgres; postgres=$starts
seen="starts of one job that is held and renewed: redis $redis, postgres $postgres"
echo "$seen"
[ "$seen" = 'starts of one job that is held and renewed: redis 1, postgres 2' ]
