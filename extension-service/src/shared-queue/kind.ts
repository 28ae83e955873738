import type { BackendFactory } from 'bullmq';
import { inTime } from '../util/in-time.js';

/** The address of a queue server, with its secrets. They are read again for each connection and never logged. */
export interface ServerSettings {
  readonly url: URL;
  /** Overrides the password in the URL. */
  readonly password?: string;
  /** CA certificates that sign the server's certificate: PEM. */
  readonly ca?: string;
  readonly prefix: string;
  readonly sentinels: readonly string[];
  readonly sentinelPassword?: string;
}

/** The options with which BullMQ connects to a usable server. */
export interface OpenedServer {
  /** The option `connection` of BullMQ's classes. */
  readonly connection: object;
  /** Prefix of the key names; absent if the connection itself separates installs. */
  readonly prefix?: string;
  readonly backend: BackendFactory;
  /** Whether leases end by the clocks of the replicas instead of the server's. */
  readonly usesReplicaClocks?: boolean;
}

/** A property of a reachable server. */
export interface Finding {
  readonly check: 'version' | 'role' | 'memory' | 'clock' | 'rights';
  readonly ok: boolean;
  /** Why the check failed. @default failed */
  readonly state?: ServerState;
  /** The finding; for a failed check, text that continues the server's name. */
  readonly message: string;
}

/** Why a server cannot be used: no answer, a rejection, or anything else. */
export type ServerState = 'unreachable' | 'refused' | 'failed';

/** A kind of queue server. */
export interface QueueServerKind {
  readonly type: string;
  /** The server's address for messages, without a secret. */
  nameOf(settings: ServerSettings): string;
  /**
   * Connects once to check whether the server can be used.
   *
   * @throws QueueServerError with the reason if it cannot be used, without a secret
   */
  open(settings: ServerSettings): Promise<OpenedServer>;
  /**
   * Checks a server completely, and changes nothing in it that lasts.
   *
   * @throws QueueServerError if it does not answer, or rejects the credentials
   */
  check(settings: ServerSettings): Promise<readonly Finding[]>;
}

/** The queue server cannot be used. The message names the server and the reason, and contains no password. */
export class QueueServerError extends Error {
  override readonly name = 'QueueServerError';

  constructor(
    message: string,
    readonly state: ServerState = 'failed',
  ) {
    super(message);
  }
}

const UNREACHABLE =
  /ECONN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|timeout|no answer|All sentinels|closed the connection/i;
const REFUSED =
  /WRONGPASS|NOAUTH|NOPERM|password|certificate|self.signed|unable to (?:get|verify)|pg_hba|permission denied/i;

/** The state that an error of a driver shows. */
function stateOf(message: string): ServerState {
  if (REFUSED.test(message)) return 'refused';
  return UNREACHABLE.test(message) ? 'unreachable' : 'failed';
}

/** The error of a server that does not answer or rejects the credentials; `hint` explains the driver's message. */
export function connectError(name: string, message: string, hint: string): QueueServerError {
  return new QueueServerError(`${name}: ${hint}`, stateOf(`${message} ${hint}`));
}

/** What a server's role shows; `fault` is the reason why it stores nothing. */
export function roleFinding(fault: string | undefined): Finding {
  return { check: 'role', ok: fault === undefined, message: fault ?? 'stores data' };
}

/** @throws QueueServerError with the first failed check */
export function requireAll(findings: readonly Finding[], name: string): void {
  const fault = findings.find(({ ok }) => !ok);
  if (fault !== undefined) throw new QueueServerError(`${name} ${fault.message}`, fault.state);
}

/** `HOST:PORT` for messages: a URL may have a password in it. */
export function serverName({ url, sentinels }: ServerSettings, defaultPort: number): string {
  if (sentinels.length > 0) return `${url.hostname} (Sentinels ${sentinels.join(', ')})`;
  return `${url.hostname}:${url.port === '' ? defaultPort : url.port}`;
}

/** The password to use, decoded; undefined if there is none. */
export function passwordOf({ url, password }: ServerSettings): string | undefined {
  return password ?? (url.password === '' ? undefined : decodeURIComponent(url.password));
}

/** Advice that servers of every kind need. */
export const LOGIN_ADVICE =
  'the password or user is not accepted; check queue.passwordFile, or the user and password in queue.url';

/** Advice for a message about the server's certificate. */
export function certificateAdvice(message: string): string {
  return `its certificate is not accepted (${message}); set queue.caFile to the CA certificates`;
}

/** Milliseconds until a server that accepts no connection counts as unreachable. */
export const CONNECT_TIMEOUT_MS = 5_000;
/** The same for one that accepts connections, and answers too late or never. */
const PROBE_TIMEOUT_MS = 10_000;

/** Connects and asks. @throws Error for a server that does not answer in time; the caller closes the connection */
export function answeredInTime<T>(work: Promise<T>): Promise<T> {
  return inTime(work, PROBE_TIMEOUT_MS, () => {
    throw new Error(`no answer within ${PROBE_TIMEOUT_MS / 1_000} s`);
  });
}
