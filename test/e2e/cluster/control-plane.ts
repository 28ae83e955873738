import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { makeCertificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import type { Surroundings } from '../../fakes/surroundings.js';
import { debianTool } from '../../tools/debian.js';
import { KubeApi } from './kube-api.js';
import { Program } from './program.js';
import { kubeApiserver } from './versions.js';
import type { KubernetesVersion } from './versions.js';

const TOKEN = 'e2e-admin';

export interface ControlPlaneOptions {
  readonly files?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Version of kube-apiserver. @default the current one */
  readonly version?: KubernetesVersion;
  /** The environment in which both run. */
  readonly surroundings?: Surroundings;
  /** Names and addresses in the API server's certificate, in addition to those of loopback. */
  readonly hosts?: readonly string[];
  /** Whether Pods get the token of a service account, which a controller creates. @default false */
  readonly serviceAccounts?: boolean;
}

/** etcd and kube-apiserver. Pods are admitted and stored, but do not run. */
export class ControlPlane {
  private constructor(
    readonly folder: string,
    readonly api: KubeApi,
    /** Path of a kubeconfig with all permissions. */
    readonly kubeconfig: string,
    private readonly programs: readonly Program[],
  ) {}

  /** `files` are written beside the API server's own, in its working folder, before it starts with `flags`. */
  static async start(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const { files = {}, flags = [], surroundings, hosts = [] } = options;
    const etcd = debianTool('etcd', 'etcd-server');
    if (etcd === undefined) throw new Error('there is no etcd; install the Debian package etcd-server');
    const command = await kubeApiserver(options.version);
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-cluster-'));
    const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
    const start = (name: string, command: string, args: readonly string[]): Program =>
      Program.start(name, { ...(surroundings?.within(command, args, folder) ?? { command, args }), cwd: folder });
    await surroundings?.forward(port);
    const store = start('etcd', etcd, etcdFlags(folder, client, peer));
    const programs = [store];
    try {
      const { ca } = await writeFiles(folder, port, files, hosts);
      const args = [...apiserverFlags(client, port), ...(options.serviceAccounts ? [] : WITHOUT_ACCOUNTS), ...flags];
      const server = start('kube-apiserver', command, args);
      programs.push(server);
      const api = new KubeApi(port, TOKEN, ca);
      await server.waitFor('being ready', 120, async () =>
        api.send('GET', '/readyz').then(
          ({ status }) => status === 200,
          () => false,
        ),
      );
      return new ControlPlane(folder, api, join(folder, 'kubeconfig'), programs);
    } catch (error) {
      await stop(programs, folder);
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.api.close();
    await stop(this.programs, this.folder);
  }
}

/** Flags with which Pods do not need a service account, which a controller would have to create. */
const WITHOUT_ACCOUNTS = ['--disable-admission-plugins=ServiceAccount'];

function etcdFlags(folder: string, client: number, peer: number): string[] {
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  return [
    ...['--data-dir', join(folder, 'etcd'), '--logger', 'zap', '--log-level', 'warn'],
    ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
    ...['--initial-cluster', `default=${peerUrl}`],
  ];
}

function apiserverFlags(etcd: number, port: number): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${etcd}`,
    `--secure-port=${port}`,
    '--bind-address=127.0.0.1',
    '--tls-cert-file=apiserver.crt',
    '--tls-private-key-file=apiserver.key',
    '--cert-dir=apiserver-certs',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-account-key-file=service-account.pub',
    '--service-account-signing-key-file=service-account.key',
    '--token-auth-file=tokens.csv',
    // The kubeconfig's user may do everything (system:masters). Service accounts have only the permissions that they are granted.
    '--authorization-mode=RBAC',
    '--v=1',
  ];
}

async function writeFiles(
  folder: string,
  port: number,
  more: Readonly<Record<string, string>>,
  hosts: readonly string[],
): Promise<{ readonly ca: string }> {
  const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1', 'localhost', ...hosts] });
  const serviceAccount = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const name = 'e2e';
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': 'apiserver-ca.crt' } }],
    users: [{ name, user: { token: TOKEN } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  const files: Readonly<Record<string, string>> = {
    'apiserver-ca.crt': ca,
    'apiserver.crt': cert,
    'apiserver.key': key,
    'service-account.key': serviceAccount.privateKey,
    'service-account.pub': serviceAccount.publicKey,
    'tokens.csv': `${TOKEN},admin,admin,system:masters\n`,
    kubeconfig: stringify(kubeconfig),
    ...more,
  };
  await Promise.all(Object.entries(files).map(([file, text]) => writeFile(join(folder, file), text)));
  return { ca };
}

async function stop(programs: readonly Program[], folder: string): Promise<void> {
  // The API server stops first, because without etcd it would only log errors.
  for (const program of [...programs].reverse()) await program.stop();
  await rm(folder, { recursive: true, force: true });
}
