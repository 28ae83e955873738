// Runs the suites beside the policies against the service itself, which is started for it; nothing else is needed.
//
//   node policies/test.mjs                                  every suite of Kyverno's policies, without a cluster
//   node policies/test.mjs kyverno/mutatingpolicy/ecr …     only these
//   node policies/test.mjs --cluster gatekeeper/ecr         in the cluster of the current kubectl context, into which you
//                                                           put the policy and the service: Pods are only tried out there
//
// KYVERNO, KUBECTL and IMAGE_SWAPPER say where the programs are when they are not on the PATH and not built here.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const policies = fileURLToPath(new URL('.', import.meta.url));
const { env } = process;
const kyverno = env.KYVERNO ?? 'kyverno';
const kubectl = env.KUBECTL ?? 'kubectl';
const program = env.IMAGE_SWAPPER ?? join(policies, '..', 'extension-service', 'dist', 'image-swapper.cjs');
/** Where the policies say that the service is. */
const ADDRESS = /https?:\/\/image-swapper\.image-swapper\.svc:\d+/g;

const [first, ...others] = process.argv.slice(2);
const failed = first === '--cluster' ? inCluster(others) : await offline(first === undefined ? all() : [first, ...others]);
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

/** Every policy that has a suite for `kyverno test`. */
function all() {
  return ['kyverno/mutatingpolicy', 'kyverno/clusterpolicy'].flatMap((folder) =>
    readdirSync(join(policies, folder, 'tests'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${folder}/${name}`),
  );
}

async function offline(names) {
  const failures = [];
  for (const name of names) {
    const suite = join(name, '..', 'tests', basename(name));
    if (!existsSync(join(policies, suite, 'kyverno-test.yaml'))) {
      throw new Error(`${name} has no suite for kyverno test; give some of ${all().join(', ')}, or --cluster`);
    }
    const service = await start(configurationOf(name));
    const folder = mkdtempSync(join(tmpdir(), 'image-swapper-suite-'));
    try {
      cpSync(policies, folder, { recursive: true });
      const policy = join(folder, `${name}.yaml`);
      writeFileSync(policy, readFileSync(policy, 'utf8').replaceAll(ADDRESS, service.url));
      // The service is on loopback here, which Kyverno calls only when it is told that it may.
      const options = { encoding: 'utf8', env: { ...env, FLAG_HTTP_BLOCKLIST: '' } };
      const result = spawnSync(kyverno, ['test', join(folder, suite), '--remove-color'], options);
      const { status, error, stdout, stderr } = result;
      if (error !== undefined) throw new Error(`${kyverno}: ${error.message}; set KYVERNO to its path`);
      console.log(`${name}\n${stdout}`);
      // Kyverno counts only what it has a result for: a Pod that a policy did not act upon would not be missed.
      const [, passed] = /Test Summary: (\d+) tests passed and 0 tests failed/.exec(stdout) ?? [];
      const wanted = readFileSync(join(policies, suite, 'kyverno-test.yaml'), 'utf8').match(/^ +result: /gm)?.length;
      if (status === 0 && Number(passed) === wanted) continue;
      console.error(`${stderr}${name}: ${passed ?? 0} of ${wanted} Pods are as they are to be`);
      failures.push(name);
    } finally {
      service.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return failures;
}

/** The service with this configuration, swapping without looking and copying nothing: no registry is asked. */
async function start(configuration) {
  const flags = ['--set', 'imageSwapPolicy=always', '--set', 'imageCopyPolicy=none', '--log-format', 'json'];
  const addresses = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'];
  const config = join(policies, 'configurations', configuration, 'image-swapper.yaml');
  const service = spawn(process.execPath, [program, 'serve', '--config', config, ...addresses, ...flags], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const lines = [];
  const url = await new Promise((resolve, reject) => {
    service.on('exit', () => reject(new Error(`the service ended: ${lines.join('\n')}`)));
    createInterface({ input: service.stderr }).on('line', (line) => {
      lines.push(line);
      const [, address] = /"purpose":"admission","address":"([^"]+)"/.exec(line) ?? [];
      if (address !== undefined) resolve(`http://${address}`);
    });
  });
  return { url, stop: () => service.kill() };
}

/** Names of policies whose Pods are not admitted with the images that they are to have. */
function inCluster(names) {
  if (names.length === 0) throw new Error('give the policies that are in the cluster, such as gatekeeper/ecr');
  return names.filter((name) => {
    const configuration = join(policies, 'configurations', configurationOf(name));
    const expected = podsOf(configuration, 'expected.yaml', 'client');
    const admitted = podsOf(configuration, 'pods.yaml', 'server');
    let right = true;
    expected.forEach((pod, index) => {
      const [wanted, got] = [images(pod), images(admitted[index])];
      const same = wanted.join() === got.join();
      console.log(`${same ? 'ok  ' : 'FAIL'} ${name} ${pod.metadata.name}: ${got.join(' ')}`);
      if (!same) console.log(`     expected ${wanted.join(' ')}`);
      right &&= same;
    });
    return !right;
  });
}

/** What becomes of the Pods of a file, which are not created. */
function podsOf(folder, file, where) {
  const flags = ['create', `--dry-run=${where}`, '--output', 'json', '--filename', join(folder, file)];
  const text = execFileSync(kubectl, flags, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  // One object after another, or a list, as the version of kubectl likes.
  const objects = text.trim().split(/^}\n(?=\{)/m).map((part) => JSON.parse(part.endsWith('}') ? part : `${part}}`));
  return objects.flatMap((object) => object.items ?? [object]);
}

function images({ spec }) {
  return [...(spec.initContainers ?? []), ...spec.containers].map(({ image }) => image);
}

/** The folder of the configuration that a policy is of; those that are to be changed by hand share one. */
function configurationOf(name) {
  return existsSync(join(policies, 'configurations', basename(name))) ? basename(name) : 'registry';
}
