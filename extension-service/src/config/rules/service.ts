import { quoteInput } from '../../core/image/quote.js';
import { queueUrlFault } from '../schema/service.js';
import type { Path } from '../tree.js';
import { formatPath, itemsOf, nodeAt, placeAt, textOf } from '../tree.js';
import type { RuleContext } from './context.js';
import { copyPolicyPaths, waitsForCopy } from './copy-policies.js';

/** What keys about the service itself must be together. */
export function checkService({ tree, problems }: RuleContext): void {
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
  if (textOf(nodeAt(tree, ['imageCopyFailure'])) === 'deny') {
    if (copyPolicyPaths(tree).every((path) => !waitsForCopy(textOf(nodeAt(tree, path))))) {
      problems.warning(
        ...at('imageCopyFailure'),
        'has no effect, because nothing waits for a copy',
        'it goes with imageCopyPolicy immediate or force',
      );
    }
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
