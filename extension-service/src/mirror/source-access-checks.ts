import { createHash, randomBytes } from 'node:crypto';
import type { RegistryConfig } from '../core/config/model.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import { parseReference, referenceName } from '../core/image/reference.js';
import type { Reference } from '../core/image/reference.js';
import type { RegistryClient } from '../registry/client.js';
import { RegistryError } from '../registry/errors.js';
import type { Keychain } from '../registry/types.js';
import { messageOf } from '../util/message-of.js';
import { AccessCache, NOT_PUBLIC_MS, REFUSED_MS, UNANSWERED_RETRY_MS } from './access-cache.js';
import { AccessShares } from './access-shares.js';
import { notObservedHint } from './observed-pods.js';
import type { IsPodObserved } from './observed-pods.js';
import { ObservedPodCache } from './observed-pod-cache.js';
import { inTime } from '../util/in-time.js';

/** Milliseconds after which a request to a source is aborted, even though its admission has already continued. */
const QUESTION_TIMEOUT_MS = 5_000;
/** Maximum milliseconds that a throttling source can request us to wait. */
const MAX_UNANSWERED_RETRY_MS = 60_000;

export interface SourceAccessOptions {
  /** The current clients, and the configuration of shared access. */
  readonly current: () => {
    readonly registries: {
      sharedSource(host: string): RegistryClient;
      strict(host: string, keychain: Keychain): RegistryClient;
    };
    readonly shared: readonly RegistryConfig[];
  };
  readonly forPod: (context: PullContext) => Promise<Keychain | undefined>;
  readonly isShown: IsPodObserved;
  readonly now?: () => number;
}

/** One access check of one image. */
interface Question {
  readonly source: Reference;
  /** The digest, or the name for an image whose digest in the target differs from the source's. */
  readonly names: readonly string[];
  readonly namespace: string;
}

/** The last grant, for when the source does not answer. */
interface LastAnswer {
  good: SourceAccess | undefined;
}

type Answer = { readonly state: 'granted'; readonly freshFor: number } | Exclude<SourceAccess, { state: 'granted' }>;

/**
 * Checks at sources who may read an image: first everyone (anonymously, or with `source.registries`), then the Pod with
 * its own pull secrets. It sends a HEAD for the manifest's digest, so that moving a tag has no effect. Only answers are
 * kept, so that every replica decides the same and a restart loses nothing.
 */
export class SourceAccessChecks {
  private readonly memory: AccessCache;
  private readonly shares = new AccessShares();
  private readonly flights = new Map<string, Promise<Answer>>();
  private readonly shown: ObservedPodCache;
  /** Passwords may be weak: their salted hashes are useless outside this process. */
  private readonly salt = randomBytes(16);
  private readonly now: () => number;

  constructor(private readonly options: SourceAccessOptions) {
    this.now = options.now ?? Date.now;
    this.memory = new AccessCache(this.now);
    this.shown = new ObservedPodCache(options.isShown, this.now);
  }

  /**
   * Never rejects. A check without an answer in time continues and is remembered for the next Pod; until then the last
   * grant counts.
   *
   * @param digest of the target's image, if known
   */
  async check(job: MirrorJob, digest: string | undefined, milliseconds: number): Promise<SourceAccess> {
    const last: LastAnswer = { good: undefined };
    const unknown = (message: string): SourceAccess =>
      last.good ?? { state: 'unknown', message: `${job.source}: ${message}` };
    try {
      return await inTime(this.judge(job, digest, last), milliseconds, () =>
        unknown('the source did not report in time whether the Pod can read it'),
      );
    } catch (error) {
      return unknown(messageOf(error));
    }
  }

  private async judge(job: MirrorJob, digest: string | undefined, last: LastAnswer): Promise<SourceAccess> {
    const question = questionOf(job, digest);
    const { host } = placeOf(question);
    const sharedKey = this.keyOf(question, ['everybody', this.options.current().shared]);
    const known = this.grantedTo('everybody', sharedKey);
    if (known !== undefined && known.freshFor > 0) return known;
    last.good = known;
    // Read before the source is contacted: it may count in an outage.
    const own = job.pull?.unproven === true ? undefined : await this.podsKey(job.pull, question);
    const ofPod = own && this.grantedTo('pod', own.key);
    if (ofPod !== undefined && ofPod.freshFor > 0) return ofPod;
    last.good ??= ofPod;

    const client = (): RegistryClient => this.options.current().registries.sharedSource(host);
    const open = await this.ask(sharedKey, question, client, NOT_PUBLIC_MS);
    if (open.state === 'granted') return { ...open, to: 'everybody' };
    // A refusal is certain: earlier anonymous access no longer counts.
    if (open.state === 'refused') last.good = ofPod;
    const closed = await this.checkForPod(job, question, own);
    if (closed?.state === 'granted') return { ...closed, to: 'pod' };
    if (closed?.state === 'refused') last.good = open.state === 'refused' ? undefined : known;
    if (last.good !== undefined) return last.good;
    if (open.state === 'refused' && closed?.state !== 'unknown') {
      return refusal(job, closed?.message ?? reasonOf(job, host, open.message));
    }
    const message = open.state === 'unknown' ? open.message : (closed?.message ?? '');
    return { state: 'unknown', message: `${job.source}: ${message}` };
  }

  private async checkForPod(
    job: MirrorJob,
    question: Question,
    own: { readonly key: string; readonly keychain: Keychain } | undefined,
  ): Promise<Answer | undefined> {
    const found =
      own ??
      (job.pull?.unproven === true && (await this.shown.isShown(job))
        ? await this.podsKey(job.pull, question)
        : undefined);
    if (found === undefined) return undefined;
    const { key, keychain } = found;
    const client = (): RegistryClient => this.options.current().registries.strict(placeOf(question).host, keychain);
    return this.ask(key, question, client, REFUSED_MS);
  }

  /** Undefined if the Pod has no credentials for the source. */
  private async podsKey(
    pull: PullContext | undefined,
    question: Question,
  ): Promise<{ readonly key: string; readonly keychain: Keychain } | undefined> {
    if (pull === undefined) return undefined;
    const { namespace, serviceAccount, secretNames } = pull;
    const keychain = await this.options.forPod({ namespace, serviceAccount, secretNames });
    const { host, repository } = placeOf(question);
    const credentials = (await keychain?.resolve(host, repository)) ?? [];
    if (keychain === undefined || credentials.length === 0) return undefined;
    return { key: this.keyOf(question, ['pod', credentials]), keychain };
  }

  private grantedTo(to: 'everybody' | 'pod', key: string): (SourceAccess & { readonly state: 'granted' }) | undefined {
    const freshFor = this.memory.granted(key);
    return freshFor === undefined ? undefined : { state: 'granted', to, freshFor };
  }

  /** From the cache, or by one request for all concurrent callers. */
  private ask(key: string, question: Question, client: () => RegistryClient, refusedFor: number): Promise<Answer> {
    const freshFor = this.memory.granted(key);
    if (freshFor !== undefined && freshFor > 0) return Promise.resolve({ state: 'granted', freshFor });
    const refused = this.memory.refusal(key);
    if (refused !== undefined) return Promise.resolve({ state: 'refused', message: refused });
    const outage = this.memory.recentOutage(key);
    if (outage !== undefined) return Promise.resolve({ state: 'unknown', message: outage });
    const pending = this.flights.get(key);
    if (pending !== undefined) return pending;
    const { host } = placeOf(question);
    const release = this.shares.take(question.namespace, host);
    if (release === undefined) {
      const message = `too many images are being checked at ${host} or for namespace ${question.namespace}; the next Pod triggers another check`;
      return Promise.resolve({ state: 'unknown', message });
    }
    const flight = this.checkAtSource(key, question, client(), refusedFor).finally(() => {
      release();
      this.flights.delete(key);
    });
    this.flights.set(key, flight);
    return flight;
  }

  private async checkAtSource(
    key: string,
    question: Question,
    client: RegistryClient,
    refusedFor: number,
  ): Promise<Answer> {
    const { source, names } = question;
    const signal = AbortSignal.timeout(QUESTION_TIMEOUT_MS);
    try {
      for (const name of names) {
        if ((await client.headManifest(source.repository, name, { signal })) === undefined) continue;
        this.memory.grant(key);
        return { state: 'granted', freshFor: this.memory.granted(key) ?? 0 };
      }
      const message = `${client.host} does not have ${names[0] ?? ''}, or hides it`;
      this.memory.refuse(key, message, refusedFor);
      return { state: 'refused', message };
    } catch (error) {
      const message = signal.aborted ? `${client.host} does not respond` : messageOf(error);
      if (isRefusal(error)) {
        this.memory.refuse(key, message, refusedFor);
        return { state: 'refused', message };
      }
      const wait = error instanceof RegistryError ? (error.retryAfter ?? 0) : 0;
      this.memory.recordOutage(key, message, Math.min(MAX_UNANSWERED_RETRY_MS, Math.max(UNANSWERED_RETRY_MS, wait)));
      return { state: 'unknown', message };
    }
  }

  private keyOf({ source, names }: Question, reader: unknown): string {
    const { registry, repository } = source;
    const hash = createHash('sha256')
      .update(this.salt)
      .update(JSON.stringify([reader, registry, repository, names]));
    return hash.digest('base64');
  }
}

function questionOf({ source: text, platforms, pull }: MirrorJob, digest: string | undefined): Question {
  const source = parseReference(text);
  const name = referenceName(source);
  // The source does not know the digest of an index that was reduced to some platforms.
  const names =
    digest === undefined ? [name] : platforms === 'all' || source.digest !== undefined ? [digest] : [digest, name];
  return { source, names, namespace: pull?.namespace ?? '' };
}

function placeOf({ source }: Question): { readonly host: string; readonly repository: string } {
  return { host: source.registry, repository: source.repository };
}

/** Refused for these credentials, rather than by a temporary fault; the host guard may also refuse. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof RegistryError)) return false;
  return ['unauthorized', 'forbidden', 'absent', 'refused'].includes(error.kind);
}

function refusal({ source }: MirrorJob, message: string): SourceAccess {
  return { state: 'refused', message: `${source}: the Pod cannot read it at its source: ${message}` };
}

function reasonOf({ pull }: MirrorJob, host: string, message: string): string {
  if (pull?.unproven === true) return `${message}${notObservedHint(pull)}`;
  return `${message}; no pull secret of the Pod or its ServiceAccount is for ${host}`;
}
