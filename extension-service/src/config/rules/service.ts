import { quoteInput } from '../../core/image/quote.js';
import { waitsForCopy } from '../../core/policies/gatekeeper-limits.js';
import { parseDuration } from '../../core/config/duration.js';
import { queueUrlFault } from '../schema/service.js';
import type { Path } from '../tree.js';
import { formatPath, itemsOf, nodeAt, placeAt, textOf } from '../tree.js';
import type { RuleContext } from './context.js';
import { copyPolicies, copyPolicyPaths } from './copy-policies.js';

/** What keys about the service itself must be together. */
export function checkService({ tree, problems, dialect }: RuleContext): void {
  const has = (...path: Path) => nodeAt(tree, path) !== undefined;
  const at = (...path: string[]) => [placeAt(tree, path), formatPath(path)] as const;

  const type = textOf(nodeAt(tree, ['queue', 'type'])) ?? 'memory';
  const url = textOf(nodeAt(tree, ['queue', 'url']));
  if (type === 'redis' || type === 'postgres') {
    if (!has('queue', 'url') && !has('queue', 'secretName')) {
      problems.error(...at('queue', 'url'), `is missing, and type is ${type}`, 'url or secretName is needed');
    }
    const fault = url === undefined ? undefined : queueUrlFault(type, url);
    if (fault !== undefined) problems.error(...at('queue', 'url'), fault);
  } else if (type === 'memory') {
    for (const key of ['url', 'secretName']) {
      if (has('queue', key)) {
        problems.error(...at('queue', key), 'is of no use with type memory', 'set type: redis or type: postgres');
      }
    }
  }
  if (has('queue', 'url') && has('queue', 'secretName')) {
    problems.error(...at('queue', 'secretName'), 'is there besides url', 'one of url, secretName is allowed');
  }

  const manage = nodeAt(tree, ['policies', 'manage']);
  if (manage?.kind === 'scalar' && manage.value === true && textOf(nodeAt(tree, ['policies', 'engine'])) === 'none') {
    problems.error(...at('policies', 'manage'), 'is true, and engine is none', 'name an engine');
  }

  checkTls({ tree, problems }, manage?.kind === 'scalar' && manage.value === true);
  checkCopies({ tree, problems, dialect });
}

/** The API server waits no longer for a webhook than 30 s, of which the rest of an answer needs some. */
const LONGEST_WAIT = 28_000;

/** What requests that wait for copies can have. */
function checkCopies({ tree, problems, dialect }: Pick<RuleContext, 'tree' | 'problems' | 'dialect'>): void {
  const at = (key: string) => [placeAt(tree, [key]), key] as const;
  const engine = textOf(nodeAt(tree, ['policies', 'engine'])) ?? 'kyverno';
  // Gatekeeper's requests wait for nothing, as is told elsewhere.
  if (engine !== 'gatekeeper' && copyPolicies(tree).some(waitsForCopy)) {
    const deadline = parseDuration(textOf(nodeAt(tree, ['imageCopyDeadline'])) ?? '') ?? 0;
    if (deadline > LONGEST_WAIT) {
      problems.add(
        // k8s-image-swapper starts with it.
        dialect === 'anchor' ? 'warning' : 'error',
        ...at('imageCopyDeadline'),
        'is longer than 28s, and imageCopyPolicy immediate or force waits: the API server gives a webhook 30s at most',
        'set 28s or less',
      );
    }
  }
  if (textOf(nodeAt(tree, ['imageCopyFailure'])) !== 'deny') return;
  if (copyPolicyPaths(tree).every((path) => !waitsForCopy(textOf(nodeAt(tree, path))))) {
    problems.warning(
      ...at('imageCopyFailure'),
      'has no effect, because nothing waits for a copy',
      'it goes with imageCopyPolicy immediate or force',
    );
    return;
  }
  const failClosed = nodeAt(tree, ['policies', 'failClosed']);
  const isClosed = failClosed?.kind === 'scalar' && failClosed.value === true;
  if ((engine === 'kyverno' || engine === 'kyverno-clusterpolicy') && !isClosed) {
    problems.warning(
      ...at('imageCopyFailure'),
      `has no effect, because policies.engine is ${engine}, which takes a refusal for a failure of the service, and policies.failClosed is false: the Pod is admitted`,
      'set policies.failClosed: true, or policies.engine: webhook',
    );
  }
}

/** The serving certificate, and the authority that managed policies carry. */
function checkTls({ tree, problems }: Pick<RuleContext, 'tree' | 'problems'>, managed: boolean): void {
  const at = (...path: string[]) => [placeAt(tree, path), formatPath(path)] as const;
  const selfSigned = textOf(nodeAt(tree, ['tls', 'mode'])) === 'selfSigned';
  const names = itemsOf(nodeAt(tree, ['tls', 'dnsNames'])).map(textOf);
  if (selfSigned && names.length === 0) {
    problems.error(
      ...at('tls', 'dnsNames'),
      'is empty, and mode is selfSigned',
      'name the hosts that call the service, such as image-swapper.image-swapper.svc',
    );
  }
  if (!managed) return;
  const engine = textOf(nodeAt(tree, ['policies', 'engine'])) ?? 'kyverno';
  const caFile = nodeAt(tree, ['policies', 'caFile']) !== undefined;
  if (caFile && (selfSigned || engine === 'kyverno')) {
    const why = selfSigned
      ? 'is there besides tls.mode selfSigned, which brings an authority of its own'
      : "has no place in a MutatingPolicy: the authority belongs into Kyverno's trust store";
    problems.error(...at('policies', 'caFile'), why, 'leave it out');
  }
  if (engine === 'gatekeeper' && !caFile && !selfSigned) {
    problems.error(
      ...at('policies', 'caFile'),
      'is missing, and engine is gatekeeper, which trusts no other authority',
      'name a PEM file, or set tls.mode: selfSigned',
    );
  }
  const url = textOf(nodeAt(tree, ['policies', 'url']));
  if (url !== undefined && selfSigned && url.startsWith('https:') && URL.canParse(url)) {
    const host = new URL(url).hostname;
    if (!names.includes(host)) {
      problems.warning(
        ...at('tls', 'dnsNames'),
        `does not name ${quoteInput(host)}, the host of policies.url`,
        'engines refuse a certificate for another host',
      );
    }
  }
}
