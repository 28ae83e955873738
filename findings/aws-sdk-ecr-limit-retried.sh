#!/usr/bin/env bash
# @aws-sdk/client-ecr 3.1169.0: CreateRepository is repeated after LimitExceededException, an error that no repetition solves.
#
# ECR answers LimitExceededException when an account has reached its maximum number of repositories. Only a person can raise
# that quota. The SDK counts the name among the throttling errors of all services, so it sends the call again, three times by
# default, with growing delays. Other final errors, such as RepositoryAlreadyExistsException, are sent once. With a larger
# `maxAttempts`, as a client that respects real throttling sets it, the error arrives only after half a minute.
#
# Seen on 2026-11-30: "LimitExceededException: 3 calls, RepositoryAlreadyExistsException: 1 call"
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @aws-sdk/client-ecr@3.1169.0 >/dev/null || exit 2
cat >main.cjs <<'JS'
const { createServer } = require('node:http');
const { ECRClient, CreateRepositoryCommand } = require('@aws-sdk/client-ecr');

async function main() {
  let name;
  let calls;
  const server = createServer((request, response) => {
    calls += 1;
    request.resume();
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify({ __type: name, message: 'refused' }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new ECRClient({
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${server.address().port}`,
    credentials: { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example' },
  });
  const seen = [];
  for (name of ['LimitExceededException', 'RepositoryAlreadyExistsException']) {
    calls = 0;
    const error = await client.send(new CreateRepositoryCommand({ repositoryName: 'app' })).catch((caught) => caught);
    if (error.name !== name) throw error;
    seen.push(`${name}: ${calls} call${calls === 1 ? '' : 's'}`);
  }
  console.log(seen.join(', '));
  server.close();
  server.closeAllConnections();
}
main();
JS
seen=$(node main.cjs 2>/dev/null)
echo "$seen"
[ "$seen" = "LimitExceededException: 3 calls, RepositoryAlreadyExistsException: 1 call" ]
