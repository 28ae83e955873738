import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config, GateConfig } from '../core/config/model.js';
import { gateFiles, targetsOf } from '../core/config/registries.js';
import { decideGate, onError } from '../core/gate/decide-gate.js';
import type { ExternalCheck, CheckResult, GateFacts, GateDecision } from '../core/gate/decide-gate.js';
import { untilAborted } from '../registry/transport/abort.js';
import { BoundedMap } from '../util/bounded-map.js';
import { messageOf } from '../util/message-of.js';
import { GateError } from './gate-error.js';
import type { Refusal } from './gate-error.js';
import type { SignedImage } from './candidates.js';
import type { SeenDigests } from './seen-digests.js';
import { SignatureCheck } from './signature-check.js';
import { GateWebhook } from './webhook.js';

/** An image that is about to become visible in a target. */
export interface GatedImage {
  /** Name of the target. */
  readonly target: string;
  /** Fully normalized source reference. */
  readonly reference: string;
  /** The digest of the manifest or index that the reference points to at its source. */
  readonly digest: string;
  /** The platforms that are copied; read only if a check needs them. */
  readonly platforms: () => Promise<readonly string[]>;
  /** The source of its signatures. */
  readonly source: Pick<SignedImage, 'client' | 'repository'>;
}

/** Results of checks by gate, target and digest; kept across configuration changes that do not change the gate. */
export type GateMemory = Map<string, GateFacts['results']>;

const NOT_STORED_MESSAGE = 'nothing keeps this time when the process ends: run it in the cluster, or set KUBECONFIG';

/** Time limit for reading the signatures of an image and verifying them. */
const VERIFY_TIMEOUT_MS = 120_000;

/** Maximum number of digests whose results are kept. */
const MAX_REMEMBERED = 20_000;

export function gateMemory(): GateMemory {
  return new BoundedMap(MAX_REMEMBERED);
}

export interface GatesOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly seen: SeenDigests;
  readonly memory: GateMemory;
  readonly report: (problem: string) => void;
  readonly now: () => number;
  /** False: new digests are not recorded, as in a dry run. */
  readonly record: boolean;
}

interface Gate {
  readonly config: GateConfig;
  /** Hash of the configuration and the content of its files. Results with another fingerprint do not count. */
  readonly fingerprint: string;
  readonly signatures?: SignatureCheck;
  readonly webhook?: GateWebhook;
}

type ReadImage = Omit<GatedImage, 'platforms'> & { readonly platforms: readonly string[] };

/** The gates of one configuration. Each digest is checked once; checks without a verdict are repeated later. */
export class Gates {
  private readonly gates = new Map<string, Gate>();
  private readonly asking = new Map<string, Promise<CheckResult>>();
  private readonly end = new AbortController();

  /** @throws Error naming the key if a file cannot be used */
  constructor(
    config: Config,
    private readonly options: GatesOptions,
  ) {
    for (const { name, gate } of targetsOf(config)) {
      if (gate === undefined) continue;
      const webhook = gate.webhook && new GateWebhook(gate.webhook, options.env);
      const signatures = gate.verify && new SignatureCheck(gate.verify);
      this.gates.set(name, {
        config: gate,
        fingerprint: fingerprintOf(gate),
        ...(signatures !== undefined && { signatures }),
        ...(webhook !== undefined && { webhook }),
      });
    }
  }

  has(target: string): boolean {
    return this.gates.has(target);
  }

  /** @throws GateError for an image that must not be in the target, or must not be there yet */
  async admit(image: GatedImage, signal: AbortSignal): Promise<void> {
    const gate = this.gates.get(image.target);
    if (gate === undefined) return;
    const judgement = await this.judge(gate, image, signal);
    if (judgement.state === 'denied') throw new GateError(judgement);
    if (judgement.state === 'held') throw new GateError(await this.withAdvice(judgement));
  }

  /** Closes every connection. */
  close(): void {
    this.end.abort();
    for (const { webhook } of this.gates.values()) webhook?.close();
  }

  /** Adds advice if times are not stored: a process that ends soon then never sees an image reach its minimum age. */
  private async withAdvice(held: Extract<Refusal, { readonly state: 'held' }>): Promise<Refusal> {
    if (held.check !== 'minimumAge' || (await this.options.seen.isKept())) return held;
    return { ...held, reason: `${held.reason}; ${NOT_STORED_MESSAGE}` };
  }

  private async judge(gate: Gate, image: GatedImage, signal: AbortSignal): Promise<GateDecision> {
    const { seen, memory, now, record } = this.options;
    const { minimumAge = 0 } = gate.config;
    const firstSeen = minimumAge > 0 ? await untilAborted(seen.firstSeen(image.digest, record), signal) : now();
    const key = `${gate.fingerprint} ${image.target} ${image.digest}`;
    for (;;) {
      const judgement = decideGate(gate.config, { now: now(), firstSeen, results: memory.get(key) ?? {} });
      if (judgement.state !== 'ask') return judgement;
      const { check } = judgement;
      // The platforms are read before the check: if the registry does not return the manifest, the copy fails, and the
      // check has no result.
      const platforms = check === 'webhook' ? await image.platforms() : [];
      const result = await untilAborted(this.ask(gate, check, { ...image, platforms }, key), signal);
      memory.set(key, { ...memory.get(key), [check]: result });
      if (result.state === 'failed' && onError(gate.config, check) === 'allow') {
        this.options.report(`${image.reference}: gate.${check} lets it through (onError allow): ${result.reason}`);
      }
    }
  }

  /** Concurrent copies of one digest share a check. */
  private ask(gate: Gate, check: ExternalCheck, image: ReadImage, key: string): Promise<CheckResult> {
    const id = `${check} ${key}`;
    const asking = this.asking.get(id) ?? this.result(gate, check, image, key).finally(() => this.asking.delete(id));
    this.asking.set(id, asking);
    return asking;
  }

  private async result(gate: Gate, check: ExternalCheck, image: ReadImage, key: string): Promise<CheckResult> {
    const { memory, now } = this.options;
    try {
      return await this.verdict(gate, check, image);
    } catch (error) {
      const before = memory.get(key)?.[check];
      const tries = before?.state === 'failed' ? before.tries + 1 : 1;
      return { state: 'failed', reason: messageOf(error), at: now(), tries };
    }
  }

  private async verdict({ signatures, webhook }: Gate, check: ExternalCheck, image: ReadImage): Promise<CheckResult> {
    switch (check) {
      case 'verify': {
        const { digest, source } = image;
        const either = AbortSignal.any([this.end.signal, AbortSignal.timeout(VERIFY_TIMEOUT_MS)]);
        const verdict = await signatures?.check({ ...source, digest }, this.options.now(), either);
        return verdict ?? { state: 'allowed' };
      }
      case 'webhook': {
        const { reference, digest, platforms, target } = image;
        const answer = await webhook?.ask({ reference, digest, platforms, target }, this.end.signal);
        return answer?.verdict === 'deny' ? { state: 'denied', reason: answer.reason } : { state: 'allowed' };
      }
    }
  }
}

function fingerprintOf(gate: GateConfig): string {
  const hash = createHash('sha256').update(JSON.stringify(gate));
  for (const file of gateFiles(gate)) hash.update(readFileSync(file));
  return hash.digest('base64');
}
