import { quoteInput } from '../../core/image/quote.js';
import { engineOf } from '../../core/engines/engines.js';
import { canWait, MAX_WAIT_MS, waitsForCopy } from '../../core/engines/waiting.js';
import { queueUrlFault } from '../../core/config/queue-url.js';
import type { RuleContext } from './context.js';
import { copyPolicies, statedCopyPolicies } from './copy-policies.js';

/** Rules that involve several keys of the service itself. */
export function checkService(context: RuleContext): void {
  checkQueue(context);
  const { policies } = context.config;
  if (policies?.manage === true && policies.engine === 'none') {
    context.error(['policies', 'manage'], 'requires an engine, but policies.engine is none', 'name an engine');
  }
  checkServingCertificate(context);
  if (policies?.manage === true) {
    checkCaFile(context);
    checkServedHost(context);
  }
  checkDeadline(context);
  checkFailure(context);
}

function checkQueue(context: RuleContext): void {
  const has = (key: string) => context.isWritten(['queue', key]);
  const { type, url } = context.config.queue ?? {};
  if (type === 'redis' || type === 'postgres') {
    if (!has('url') && !has('secretName')) {
      context.error(['queue', 'url'], `required with type ${type}`, 'set url or secretName');
    }
    const fault = url === undefined ? undefined : queueUrlFault(type, url);
    if (fault !== undefined) context.error(['queue', 'url'], fault);
    checkQueueServer(context, type);
  } else if (type === 'memory') {
    const ofServer = ['url', 'secretName', 'passwordFile', 'caFile', 'prefix', 'sentinels', 'sentinelPasswordFile'];
    for (const key of ofServer.filter(has)) {
      context.error(['queue', key], 'has no effect when type is memory', 'set type: redis or type: postgres');
    }
  }
  if (has('url') && has('secretName')) {
    context.error(['queue', 'secretName'], 'cannot be combined with url', 'set only one of url, secretName');
  }
}

function checkQueueServer(context: RuleContext, type: 'redis' | 'postgres'): void {
  const has = (key: string) => context.isWritten(['queue', key]);
  if (type === 'postgres') {
    for (const key of ['sentinels', 'sentinelPasswordFile'].filter(has)) {
      context.error(['queue', key], 'has no effect when type is postgres', 'leave it out');
    }
  } else if (has('sentinelPasswordFile') && !has('sentinels')) {
    context.error(['queue', 'sentinelPasswordFile'], 'has no effect without sentinels', 'set sentinels');
  }
  const { url } = context.config.queue ?? {};
  if (has('caFile') && url?.startsWith('redis:') === true) {
    context.error(['queue', 'caFile'], 'has no effect with redis://, which does not use TLS', 'use rediss://');
  }
}

/** Requests that wait for copies must end before the API server times out. */
function checkDeadline(context: RuleContext): void {
  const { imageCopyDeadline, policies } = context.config;
  // With an engine that starts no copies, requests never wait; the rules of such engines report this.
  const engine = engineOf(policies);
  if (engine !== undefined && !canWait(engine)) return;
  if (!copyPolicies(context).some(waitsForCopy)) return;
  if (imageCopyDeadline === undefined || imageCopyDeadline <= MAX_WAIT_MS) return;
  context.report(
    // k8s-image-swapper starts with it.
    context.dialect === 'k8s-image-swapper' ? 'warning' : 'error',
    ['imageCopyDeadline'],
    'is longer than 28s, but imageCopyPolicy immediate or force waits this long, and the API server gives a webhook at most 30s',
    'set 28s or less',
  );
}

/** Refusing a Pod needs a copy that the request waits for, and an engine that supports it. */
function checkFailure(context: RuleContext): void {
  const { imageCopyFailure, policies } = context.config;
  if (imageCopyFailure !== 'deny') return;
  if (statedCopyPolicies(context).every(([, policy]) => !waitsForCopy(policy))) {
    context.warn(
      ['imageCopyFailure'],
      'has no effect, because nothing waits for a copy',
      'set imageCopyPolicy to immediate or force',
    );
    return;
  }
  const engine = engineOf(policies);
  if (engine?.decides.denies === 'fail-closed' && policies?.failClosed === false) {
    context.warn(
      ['imageCopyFailure'],
      `has no effect, because policies.engine is ${engine.name}, which treats a refusal as a failure of the service, and policies.failClosed is false: the Pod is admitted`,
      'set policies.failClosed: true, or policies.engine: webhook',
    );
  }
}

function checkServingCertificate(context: RuleContext): void {
  const { tls } = context.config;
  if (tls?.mode !== 'selfSigned' || tls.dnsNames?.length !== 0) return;
  context.error(
    ['tls', 'dnsNames'],
    'required with mode selfSigned',
    'name the hosts that call the service, such as image-swapper.image-swapper.svc',
  );
}

/** Checks the CA certificate that managed policies embed for the serving certificate. */
function checkCaFile(context: RuleContext): void {
  const { tls, policies } = context.config;
  const engine = engineOf(policies);
  const authority = engine?.transport?.ca;
  const selfSigned = tls?.mode === 'selfSigned';
  const caFile = ['policies', 'caFile'];
  const hasFile = context.isWritten(caFile);
  if (hasFile && (selfSigned || authority?.place === 'trust-store')) {
    const why = selfSigned
      ? 'conflicts with tls.mode selfSigned, which creates its own CA certificate'
      : `is not allowed in a ${engine?.kinds[0]?.kind ?? 'policy'}: the CA certificate belongs in ${authority?.carrier ?? 'another place'}`;
    context.error(caFile, why, 'leave it out');
  }
  if (engine !== undefined && authority?.required === true && !hasFile && tls?.mode === 'files') {
    context.error(
      caFile,
      `required with engine ${engine.name}, which trusts no other CA`,
      'name a PEM file, or set tls.mode: selfSigned',
    );
  }
}

/** Engines reject a certificate that is not valid for the host that they call. */
function checkServedHost(context: RuleContext): void {
  const { tls, policies } = context.config;
  const url = policies?.url;
  if (tls?.mode !== 'selfSigned' || tls.dnsNames === undefined || url?.startsWith('https:') !== true) return;
  const { hostname } = new URL(url);
  if (tls.dnsNames.includes(hostname)) return;
  context.warn(
    ['tls', 'dnsNames'],
    `does not name ${quoteInput(hostname)}, the host of policies.url`,
    'engines reject a certificate for another host',
  );
}
