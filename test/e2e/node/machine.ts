import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { access, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Program } from '../cluster/program.js';
import type { CommandLine, Surroundings } from '../../fakes/surroundings.js';

/** The machine's own address, on its loopback interface. Pods reach it through their default route. */
export const ADDRESS = '10.245.0.1';

/**
 * The first process in the machine, which keeps it alive. Everything in the machine ends with this process, including
 * mounts and network.
 */
const INIT = [
  'ip link set lo up',
  `ip address add ${ADDRESS}/32 dev lo`,
  // No interface has the addresses of Services. A connection needs a route before kube-proxy's rules redirect it.
  `ip route add 10.96.0.0/16 dev lo src ${ADDRESS}`,
  'echo 1 >/proc/sys/net/ipv4/ip_forward',
  'echo ready',
  'exec sleep infinity',
].join(' && ');

/** Forwards connections from sockets in a folder into the machine's network. */
const CARRY = `
const { connect, createServer } = require('node:net');
const carry = (from, to) => { from.pipe(to); from.on('error', () => to.destroy()); };
createServer((outer) => {
  outer.once('data', (first) => {
    const end = first.indexOf('\\n');
    const [address, port] = first.subarray(0, end).toString().split(' ');
    const inner = connect({ host: address, port: Number(port) });
    if (end + 1 < first.length) inner.write(first.subarray(end + 1));
    carry(outer, inner);
    carry(inner, outer);
    outer.on('close', () => inner.destroy());
    inner.on('close', () => outer.destroy());
  });
  outer.on('error', () => undefined);
}).listen(process.argv[1]);
`;

/**
 * A machine within this one: separate namespaces for network, mounts and processes, and a separate group in each
 * hierarchy of control groups. All of its resources end with the machine. Needs root.
 */
export class Machine implements Surroundings {
  private readonly servers: Server[] = [];
  private carrier: Program | undefined;

  private constructor(
    readonly folder: string,
    private readonly holder: ChildProcess,
    private readonly init: number,
    /** Path of the machine's control groups, from the root of each hierarchy. */
    readonly cgroup: string,
  ) {}

  static async start(): Promise<Machine> {
    if (process.getuid?.() !== 0)
      throw new Error('a node needs namespaces, mounts and control groups: run this as root');
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-node-'));
    const flags = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
    // The machine also ends with this process.
    const holder = spawn('setpriv', ['--pdeathsig=KILL', '--', 'unshare', ...flags, 'sh', '-c', INIT], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [holder.stdout, holder.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    for (let i = 0; i < 200 && !output.includes('ready') && holder.exitCode === null; i += 1) await sleep(50);
    if (!output.includes('ready')) {
      holder.kill('SIGKILL');
      throw new Error(
        `no machine within this one: ${output}; namespaces (unshare) and the Debian package iproute2 are required`,
      );
    }
    const children = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8');
    const machine = new Machine(
      folder,
      holder,
      Number(children.trim().split(' ')[0]),
      `/image-swapper-node-${holder.pid}`,
    );
    try {
      await machine.makeGroups();
      await machine.carry();
    } catch (error) {
      await machine.stop();
      throw error;
    }
    return machine;
  }

  within(command: string, args: readonly string[], cwd = this.folder): CommandLine {
    const enter = [`--target=${this.init}`, '--net', '--mount', '--pid', `--wdns=${cwd}`, '--'];
    // nsenter starts the program as its child. Without this option, the child would outlive nsenter.
    const ending = ['setpriv', '--pdeathsig=TERM', '--'];
    return { command: 'nsenter', args: [...enter, ...ending, command, ...args] };
  }

  start(name: string, command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
    return Program.start(name, { ...this.within(command, args), cwd: this.folder, env });
  }

  async forward(port: number, address = '127.0.0.1'): Promise<void> {
    const server = createServer((outer) => {
      const inner = connect(join(this.folder, 'carrier.sock'));
      inner.write(`${address} ${port}\n`);
      outer.pipe(inner).pipe(outer);
      for (const [one, other] of [[outer, inner] as const, [inner, outer] as const]) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
      }
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
    this.servers.push(server);
  }

  async stop(): Promise<void> {
    for (const server of this.servers) server.close();
    if (this.holder.exitCode === null && this.holder.signalCode === null) {
      const ended = new Promise((resolve) => this.holder.once('exit', resolve));
      process.kill(this.init, 'SIGKILL');
      await ended;
    }
    await this.carrier?.stop();
    await removeGroups(this.cgroup);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private async carry(): Promise<void> {
    const socket = join(this.folder, 'carrier.sock');
    this.carrier = this.start('carrier', process.execPath, ['-e', CARRY, socket]);
    await this.carrier.waitFor('its socket', 30, async () =>
      access(socket).then(
        () => true,
        () => false,
      ),
    );
  }

  private async makeGroups(): Promise<void> {
    for (const hierarchy of hierarchies()) await mkdir(join(hierarchy, this.cgroup), { recursive: true });
  }
}

/**
 * Returns the mount points of the control group hierarchies: one for version 2, or one for each controller of version
 * 1.
 */
function hierarchies(): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  const found = mounts.filter(([, , type]) => type === 'cgroup' || type === 'cgroup2').map(([, path = '']) => path);
  if (found.length === 0) throw new Error('no control groups are mounted under /sys/fs/cgroup: a kubelet needs them');
  return found;
}

/** A group can be removed after its last process has ended, which the kernel may notice a moment later. */
async function removeGroups(cgroup: string): Promise<void> {
  for (const hierarchy of hierarchies()) {
    for (let i = 0; i < 50; i += 1) {
      try {
        removeTree(join(hierarchy, cgroup));
        break;
      } catch {
        await sleep(100);
      }
    }
  }
}

function removeTree(folder: string): void {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) if (entry.isDirectory()) removeTree(join(folder, entry.name));
  rmdirSync(folder);
}
