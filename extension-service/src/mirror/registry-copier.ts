import type { Config, SecretReaderConfig } from '../core/config/model.js';
import { parseReference } from '../core/image/reference.js';
import type { Reference } from '../core/image/reference.js';
import type { RegistryLogin } from '../credentials/renewed-login.js';
import { checkImage, copyImage } from '../registry/copy.js';
import type { CopyProgress as CopyEvent, CopyOptions, CopyResult } from '../registry/copy.js';
import { withHiddenManifests } from '../registry/hidden-manifests.js';
import type { ImageStore } from '../registry/image-store.js';
import { RegistryError } from '../registry/errors.js';
import { planCopy, planRepair } from '../registry/plan.js';
import type { CopyPlan } from '../registry/plan.js';
import { findRoot } from '../registry/presence.js';
import type { CompleteImage } from '../registry/complete-images.js';
import { Limiter } from '../registry/limiter.js';
import { BlobLedger, type LedgerOptions } from '../registry/ledger.js';
import type { Keychain, LoginCredentials } from '../registry/types.js';
import type { ArchivedImage, PushRequests } from '../kinds/cloud.js';
import { Registries } from '../targets/registries.js';
import type { RegistriesOptions } from '../targets/registries.js';
import { CopyFailedError } from '../registry/copy-failure.js';
import type { Copier, CopyOutcome, CopyProgress } from './copier.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import { SourceAccessChecks } from './source-access-checks.js';
import { GateError } from '../gate/gate-error.js';
import { gateMemory, Gates } from '../gate/gates.js';
import { SeenDigests } from '../gate/seen-digests.js';
import type { SeenStore } from '../gate/seen-digests.js';
import { LineBudget } from '../util/line-budget.js';
import { messageOf } from '../util/message-of.js';
import { notObservedHint, withObservedSecrets } from './observed-pods.js';
import type { IsPodObserved } from './observed-pods.js';

export interface RegistryCopierOptions extends RegistriesOptions, LedgerOptions {
  readonly pullSecrets: PodPullSecrets;
  /** For pull contexts that only an unauthenticated request names. @default no Pod is observed */
  readonly isShown?: IsPodObserved;
  /** Persistent storage of the times at which digests were first seen. @default none */
  readonly seenStore?: (config: Config) => Promise<SeenStore | undefined>;
  /** Maximum parallel blobs of all copies together. @default each copy has a limit of its own */
  readonly parallelBlobs?: number;
  /** Replaces the registries at one end of every copy. */
  readonly layout?: LayoutEnd;
}

/** An OCI image layout that images are read from, or written to. */
export interface LayoutEnd {
  readonly end: 'source' | 'target';
  readonly store: ImageStore;
}

/** Milliseconds between two checks of an image that a registry is restoring. */
const RESTORE_PAUSE_MS = 60_000;

export interface PodPullSecrets {
  /** The credentials that a Pod may pull with; undefined if it has none. */
  forPod(context: PullContext): Promise<Keychain | undefined>;
  configure(reader: SecretReaderConfig): void;
}

const WARNINGS_OF_NAMESPACE = { burst: 200, perSecond: 1 };
const WARNINGS_OF_ALL = { burst: 1_000, perSecond: 10 };

/** Copies between registries, with the credentials of the configuration and of the requesting Pod. */
export class RegistryCopier implements Copier {
  private registries: Registries;
  private readonly ledger: BlobLedger;
  private readonly blobs: Limiter | undefined;
  private readonly lines = new LineBudget(WARNINGS_OF_NAMESPACE, WARNINGS_OF_ALL);
  private readonly access: SourceAccessChecks;
  private readonly seen: SeenDigests;
  private readonly judged = gateMemory();
  private gates: Gates;

  constructor(
    private config: Config,
    private readonly options: RegistryCopierOptions,
  ) {
    this.ledger = new BlobLedger(Date.now, options);
    if (options.parallelBlobs !== undefined) this.blobs = new Limiter(options.parallelBlobs);
    this.registries = new Registries(config, options);
    this.access = new SourceAccessChecks({
      current: () => ({ registries: this.registries, shared: this.config.source.registries }),
      forPod: (context) => options.pullSecrets.forPod(context),
      isShown: options.isShown ?? (() => Promise.resolve(false)),
      ...(options.now !== undefined && { now: options.now }),
    });
    this.seen = new SeenDigests({
      store: () => options.seenStore?.(this.config) ?? Promise.resolve(undefined),
      report: options.report,
      now: options.now ?? Date.now,
    });
    this.gates = this.gatesOf(config);
  }

  /** Like {@link SourceAccessChecks.check}. */
  checkAccess(job: MirrorJob, digest: string | undefined, milliseconds: number): Promise<SourceAccess> {
    return this.access.check(job, digest, milliseconds);
  }

  /** Logs in to clouds before the first copy, and starts their background tasks. */
  start(): void {
    this.registries.start();
  }

  /** Resolves when the work that copies left behind at clouds is done or has timed out. */
  async settled(): Promise<void> {
    await Promise.all([this.registries.settled(), this.seen.flush()]);
  }

  /** The images that the next run need not check completely. */
  completeImages(): readonly CompleteImage[] {
    return this.ledger.completeImages();
  }

  /** Running copies keep their configuration. */
  configure(config: Config): void {
    const before = this.registries;
    const gates = this.gatesOf(config);
    this.registries = new Registries(config, this.options);
    this.gates = gates;
    this.config = config;
    this.options.pullSecrets.configure(config.secretReader);
    before.retire();
    this.start();
  }

  /** The current configuration's. */
  get currentRegistries(): Registries {
    return this.registries;
  }

  async logIn(registry: string, refused: LoginCredentials | undefined): Promise<RegistryLogin> {
    const cloud = this.registries.cloud(registry);
    if (cloud === undefined) throw new Error(`${registry} is no longer in the configuration`);
    if (refused !== undefined) cloud.login.rejected(refused);
    return cloud.login.get();
  }

  async copy(job: MirrorJob, signal: AbortSignal, onProgress: (progress: CopyProgress) => void): Promise<CopyOutcome> {
    try {
      return await this.copyWith(job, signal, onProgress);
    } catch (error) {
      const { isShown = () => Promise.resolve(false) } = this.options;
      const shown = await withObservedSecrets(job, error, isShown);
      if (shown === undefined) throw error;
      return this.copyWith(shown, signal, onProgress);
    }
  }

  private async copyWith(
    job: MirrorJob,
    signal: AbortSignal,
    onProgress: (progress: CopyProgress) => void,
  ): Promise<CopyOutcome> {
    const { registries } = this;
    const source = parseReference(job.source);
    try {
      const target = this.layoutAt('target') ?? withHiddenManifests(registries.target(job.target));
      const repositories = registries.cloudTarget(job.target)?.repositories;
      const { repository, tag } = job.reference;
      // A killed replica may have pushed a part of the image.
      if (this.config.queue.type !== 'memory') this.ledger.newRepositories.share(target.host, repository);
      const { digest: presentDigest, isUnnamed } = job.force
        ? PRESENCE_UNKNOWN
        : await this.present(job, target, signal);
      const archived = await this.archivedInTarget(registries, job, target.host, presentDigest, signal);
      const isDone = presentDigest !== undefined && job.presenceCheck === undefined;
      if (isDone && !this.areReferrersDue(target.host, repository, presentDigest)) {
        repositories?.used(repository);
        return upToDate(presentDigest);
      }
      const optionsFrom = (from: CopyOptions['source']): CopyOptions => ({
        source: from,
        target: { client: target, reference: job.reference, isUnnamed },
        platforms: job.platforms,
        referrers: this.config.mirror.referrers,
        ...this.look(job, target.host, presentDigest),
        ...this.admission(job, from, signal),
        immutable: tag !== undefined && repositories?.isImmutable(tag) === true,
        ledger: this.ledger,
        ...(this.blobs !== undefined && { blobs: this.blobs }),
        signal,
        onProgress: sum(onProgress),
      });
      const options = async (): Promise<CopyOptions> => optionsFrom(await this.source(registries, source, job));
      const result = isDone
        ? await this.compareReferrers(options, presentDigest, signal)
        : await (presentDigest === undefined ? copyImage(await options()) : checkImage(await options(), presentDigest));
      repositories?.used(repository);
      if (result === undefined) return upToDate(presentDigest ?? '');
      for (const warning of isDone ? [] : result.warnings) this.warn(job, `${job.source}: ${warning}`);
      for (const repaired of result.repaired)
        this.options.report(`${job.reference.text} was damaged: restored ${repaired}`);
      if (archived !== undefined) this.options.report(`${job.reference.text} ${archived.words}: the copy restores it`);
      return outcome(result);
    } catch (error) {
      const named = await nameArchived(error, registries, source, signal);
      throw new CopyFailedError(failure(named, job, this.sourceHost(source)));
    }
  }

  /**
   * Queries a cloud only if a missing image may be archived: it existed before, or the configuration archives images.
   */
  private async archivedInTarget(
    registries: Registries,
    { target, reference, presenceCheck }: MirrorJob,
    host: string,
    there: string | undefined,
    signal: AbortSignal,
  ): Promise<ArchivedImage | undefined> {
    if (there !== undefined) return undefined;
    if (presenceCheck === undefined && registries.cloudTarget(target)?.archives !== true) return undefined;
    const { repository, digest, published } = reference;
    return registries.findArchived(host, repository, digest ?? published, signal);
  }

  /**
   * Plans what the copy would send; sends nothing.
   *
   * @throws CopyFailedError
   */
  async plan(job: MirrorJob, signal: AbortSignal): Promise<CopyPlan> {
    const source = parseReference(job.source);
    try {
      const target = this.target(this.registries, job);
      // Sends the source no request if manifests count as pulls.
      const { digest } = job.force ? PRESENCE_UNKNOWN : await this.present(job, target, signal);
      if (digest !== undefined && job.presenceCheck === undefined) {
        return { present: true, digest, platforms: [], manifests: new Map(), blobs: new Map(), pulls: 0 };
      }
      const from = await this.source(this.registries, source, job);
      const options = {
        source: from,
        target: { client: target, reference: job.reference },
        platforms: job.platforms,
        presence: job.presenceCheck ?? ('name' as const),
        isComplete: (image: string) => this.ledger.complete?.isFresh(image) === true,
        ...this.admission(job, from, signal),
        signal,
      };
      return await (digest === undefined ? planCopy(options) : planRepair(options, digest));
    } catch (error) {
      throw new CopyFailedError(failure(error, job, this.sourceHost(source)));
    }
  }

  /** The author of a Pod controls the bytes that cause warnings. */
  private warn({ pull }: MirrorJob, text: string): void {
    const leftOut = this.lines.take(pull?.namespace ?? '');
    if (leftOut === undefined) return;
    this.options.report(leftOut > 0 ? `${text} (omitted ${leftOut} more warnings for this namespace)` : text);
  }

  /** Minimum time for this many requests under the quotas of a target's registry; undefined if none are known. */
  estimate(
    target: string,
    requests: PushRequests,
  ): { readonly milliseconds: number; readonly limitedBy: string } | undefined {
    return this.registries.cloudTarget(target)?.estimate?.(requests);
  }

  close(): void {
    this.gates.close();
    this.registries.close();
  }

  private gatesOf(config: Config): Gates {
    const { env, report, now = Date.now } = this.options;
    return new Gates(config, { env, report, now, seen: this.seen, memory: this.judged, record: !config.dryRun });
  }

  /** The target's gate, which a copy checks before it sends anything. */
  private admission(
    { source: reference, target }: MirrorJob,
    from: CopyOptions['source'],
    signal: AbortSignal,
  ): Pick<CopyOptions, 'admit'> {
    const { gates } = this;
    if (!gates.has(target)) return {};
    const source = { client: from.client, repository: from.reference.repository };
    return {
      admit: (digest, platforms) => gates.admit({ target, reference, digest, platforms, source }, signal),
    };
  }

  /** Requests the source's list of referrers at most once per interval, or again if some of them are unfinished. */
  private areReferrersDue(host: string, repository: string, digest: string): boolean {
    const { referrers, refresh } = this.config.mirror;
    return referrers && this.ledger.referrers.isDue(`${host}/${repository}@${digest}`, refresh.interval);
  }

  /** An image in the target stays up to date even if its referrers fail; undefined if they are not known. */
  private async compareReferrers(
    options: () => Promise<CopyOptions>,
    digest: string,
    signal: AbortSignal,
  ): Promise<CopyResult | undefined> {
    try {
      return await checkImage(await options(), digest);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  private look(
    { presenceCheck, allReferrers, reference }: MirrorJob,
    host: string,
    digest: string | undefined,
  ): Partial<CopyOptions> {
    const key = `${host}/${reference.repository}@${digest ?? ''}`;
    // Unfinished referrers may be anywhere below the image.
    const areUnfinished = digest !== undefined && this.ledger.referrers.isUnfinished(key);
    const all = allReferrers === true || areUnfinished;
    const presence = presenceCheck ?? (areUnfinished ? 'tree' : 'name');
    return { presence, presentReferrers: all ? 'all' : 'top' };
  }

  /** Queries the target, and not the source. */
  private async present({ reference }: MirrorJob, client: ImageStore, signal: AbortSignal): Promise<Present> {
    const { repository, digest, published } = reference;
    if (digest === undefined) {
      if (this.ledger.newRepositories.has(client.host, repository, published) === false) return { isUnnamed: true };
      const head = await client.headManifest(repository, published, { signal });
      return { isUnnamed: head === undefined, ...(head?.digest !== undefined && { digest: head.digest }) };
    }
    const root = await findRoot({ client, reference }, digest, { signal }, this.ledger.newRepositories);
    if (root.state === 'published') return { isUnnamed: false, digest };
    return { isUnnamed: !root.isNamed };
  }

  /** Clients of sources without secrets are shared, and so are their tokens. */
  private async source(registries: Registries, source: Reference, { pull }: MirrorJob): Promise<CopyOptions['source']> {
    const store = this.layoutAt('source');
    if (store !== undefined)
      return { client: store, reference: { ...source, repository: `${source.registry}/${source.repository}` } };
    const isOwn = pull !== undefined && pull.unproven !== true;
    const client = registries.source(source.registry, isOwn ? await this.options.pullSecrets.forPod(pull) : undefined);
    return { client, reference: source };
  }

  private target(registries: Registries, job: MirrorJob): ImageStore {
    return this.layoutAt('target') ?? registries.target(job.target);
  }

  private layoutAt(end: LayoutEnd['end']): ImageStore | undefined {
    const { layout } = this.options;
    return layout?.end === end ? layout.store : undefined;
  }

  /** In the form of the source's errors. */
  private sourceHost({ registry }: Reference): string {
    return this.layoutAt('source')?.host ?? registry;
  }
}

/** The state of the name that a copy would write in the target. */
interface Present {
  readonly digest?: string;
  /** The name does not exist. */
  readonly isUnnamed: boolean;
}

const PRESENCE_UNKNOWN: Present = { isUnnamed: false };
/** A source that has archived an image answers as if the image did not exist. */
async function nameArchived(
  error: unknown,
  registries: Registries,
  { registry, repository, digest, tag }: Reference,
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof RegistryError) || error.kind !== 'absent' || error.host !== registry) return error;
  const archived = await registries.findArchived(registry, repository, digest ?? tag ?? 'latest', signal);
  if (archived === undefined) return error;
  const { isBeingRestored, words } = archived;
  return isBeingRestored
    ? error.as({ kind: 'absent', retryable: true, retryAfter: RESTORE_PAUSE_MS, advice: `the image ${words}` })
    : error.as({ kind: 'absent', advice: `the image ${words}: restore it there, or push it again` });
}

function upToDate(digest: string): CopyOutcome {
  return { digest, upToDate: true, platforms: [], bytes: { uploaded: 0, mounted: 0, skipped: 0 }, requests: 1 };
}

function outcome(result: CopyResult): CopyOutcome {
  const { digest, outcome: done, platforms, blobs, requests, repaired, unfinished } = result;
  return {
    digest,
    upToDate: done === 'present',
    platforms: Object.entries(platforms).map(([platform, child]) => ({ platform, digest: child })),
    bytes: { uploaded: blobs.uploaded.bytes, mounted: blobs.mounted.bytes, skipped: blobs.present.bytes },
    requests: requests.source + requests.target,
    ...(repaired.length > 0 && { repaired }),
    ...(unfinished.length > 0 && { unfinished: unfinished.map(({ what, kind }) => ({ what, kind })) }),
  };
}

function failure(error: unknown, job: MirrorJob, sourceHost: string): CopyFailedError['failure'] {
  if (error instanceof CopyFailedError) return error.failure;
  const message = `${job.source}: ${messageOf(error)}`;
  if (error instanceof GateError) {
    const { state: verdict, check } = error.refusal;
    const until = error.refusal.state === 'held' ? { until: error.refusal.until } : {};
    return { reason: 'gated', message, retryable: verdict === 'held', gate: { check, verdict, ...until } };
  }
  if (!(error instanceof RegistryError)) return { reason: 'internal', message, retryable: true };
  const { kind, retryable, retryAfter, host, answeredBy = host, advised } = error;
  const atSource = host === sourceHost;
  const unproven = job.pull?.unproven === true ? notObservedHint(job.pull) : '';
  const hint =
    (kind === 'unauthorized' || kind === 'forbidden') && !advised
      ? atSource
        ? `; neither the Pod's pull secrets nor source.registries have credentials for ${answeredBy} that can read it${unproven}`
        : `; check the credentials of target ${job.target}`
      : '';
  // Only the source can report that an image is absent.
  const reason = kind === 'absent' && !atSource ? 'missing' : kind;
  return { reason, message: message + hint, retryable, host, ...(retryAfter !== undefined && { retryAfter }) };
}

/** Sums up the blobs: each reports its own bytes. */
function sum(onProgress: (progress: CopyProgress) => void): (event: CopyEvent) => void {
  const blobs = new Map<string, { transferred: number; total: number }>();
  let transferred = 0;
  let total = 0;
  return ({ kind, descriptor, state, transferred: sent }) => {
    if (kind !== 'blob') return;
    const blob = blobs.get(descriptor.digest) ?? { transferred: 0, total: 0 };
    const now = state === 'running' || state === 'waiting' ? sent : descriptor.size;
    transferred += now - blob.transferred;
    total += descriptor.size - blob.total;
    blobs.set(descriptor.digest, { transferred: now, total: descriptor.size });
    onProgress({ transferred, total });
  };
}
