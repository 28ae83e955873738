import { expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../../extension-service/src/core/naming/name.js';
import { leaderWillCopy } from '../../../extension-service/src/server/leader-will-copy.js';
import { configOf, ociTarget, rulesOf } from '../decide/rules-of.js';
import { imageJob, pullOf } from '../kubernetes/workloads.js';

const LONG = `docker.io/team/${'a'.repeat(250)}:1`;
const SHORT = 'docker.io/library/app:1';
const below = { target: ociTarget('mirror.test', { prefix: 'mirror' }) };
const KEPT = { isAwaited: false, swapped: false };
const SWAPPED = { isAwaited: false, swapped: true };

interface Case {
  readonly config?: Partial<Config>;
  readonly source?: string;
  readonly force?: boolean;
  readonly namespace?: string;
  readonly wish?: { readonly isAwaited: boolean; readonly swapped: boolean };
}

it.each<readonly [string, Case, boolean]>([
  ['it sees the source', {}, true],
  ['it reads the source out of the name', { wish: SWAPPED }, true],
  ['it sees the source of a name that is too long', { source: LONG }, true],
  ['a shortened name says nothing', { source: LONG, wish: SWAPPED }, false],
  ['what only reads like a mirror is not overwritten', { force: true, wish: SWAPPED }, false],
  ['below a path of its own it is a mirror', { config: below, force: true, wish: SWAPPED }, true],
  ['the source is there to be compared', { force: true }, true],
  ['it does not look there', { namespace: 'kube-system' }, false],
  ['the Pod comes', { wish: { isAwaited: true, swapped: false } }, true],
  ['the Pod is refused', { config: { imageCopyFailure: 'deny' }, wish: { isAwaited: true, swapped: false } }, false],
])('%s', (_, { config = {}, source = SHORT, force = false, namespace = 'team-a', wish = KEPT }, would) => {
  const rules = rulesOf(config);
  const [rule] = rules.targets;
  if (rule === undefined) throw new Error('there is no target');
  const reference = targetReference(rule.naming, parseReference(source));
  const job = imageJob('app', pullOf(namespace), { source, force, reference });
  const view = { config: configOf(config), rules, notWatched: new Set(['kube-system']) };
  expect(leaderWillCopy(view, job, wish)).toBe(would);
});
