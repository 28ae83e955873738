import type { Engine } from '../../core/engines/engine.js';
import { engineOf, enginesThat } from '../../core/engines/engines.js';
import { waitsForCopy } from '../../core/engines/waiting.js';
import { InvalidPolicyOptionError } from '../../core/policies/problem.js';
import { formatPath } from '../tree.js';
import type { RuleContext } from './context.js';
import { copyPolicies, statedCopyPolicies } from './copy-policies.js';
import type { LocatedExpression } from './expressions.js';
import { filtersOf, matchesOf } from './expressions.js';

/**
 * Reports the parts of this configuration that the engine does not support. Without the report, no Pod would be
 * swapped, or no image copied, for no visible reason.
 */
export function checkEngine(context: RuleContext): void {
  const engine = engineOf(context.config.policies);
  checkTable(context, engine);
  if (engine === undefined) return;
  checkUndecidable(context, engine);
  checkManaged(context, engine);
  if (!engine.decides.startsCopies) checkCopies(context, engine);
  checkFilters(context, engine);
  checkMatches(context, engine);
  checkSourceAccess(context, engine);
  checkDirectTarget(context, engine);
  checkAdditions(context, engine);
  if (engine.decides.sees === 'images') warnOfHiddenExclusions(context, engine);
}

/** Only an engine that decides without the service can leave something undecided. */
function checkUndecidable(context: RuleContext, { name, title, decides }: Engine): void {
  if ((context.config.policies?.undecidable ?? 'refuse') === 'refuse' || decides.alone === true) return;
  const why =
    decides.sees === 'images' ? `${title} sends only image names` : 'its requests already show the service every Pod';
  const problem = `is webhook, but policies.engine is ${name}: ${why}`;
  context.error(['policies', 'undecidable'], problem, 'leave it out, or set policies.engine: mutatingadmissionpolicy');
}

/** The table of an engine that can also ask the service. */
function checkTable(context: RuleContext, engine: Engine | undefined): void {
  const { policies, source, reconcile } = context.config;
  if (policies?.table !== true) return;
  const path = ['policies', 'table'];
  const name = engine?.name ?? 'none';
  const table = engine?.table;
  if (table === undefined) {
    const readers = enginesThat((one) => one.withTable !== undefined).join(', ');
    const why = engine === undefined ? '' : ', whose policies cannot read a table of images';
    const problem = `is true, but policies.engine is ${name}${why}`;
    context.error(path, problem, `leave it out, or set policies.engine: ${readers}`);
    return;
  }
  if (table !== 'objects') {
    context.error(path, `is true, but policies.engine is ${name}, which always has a table`, 'leave it out');
    return;
  }
  if (policies.manage !== true) {
    const problem = 'is true, but policies.manage is false: nothing would write the table';
    context.error(path, problem, 'set policies.manage: true');
  }
  if (reconcile?.enabled === false) {
    const problem = 'is true, but reconcile.enabled is false: the table would stay empty';
    context.error(path, problem, 'set reconcile.enabled: true');
  }
  if (source?.directTarget === 'refuse') {
    const problem = 'is true, but source.directTarget is refuse: the service must see every Pod';
    context.error(path, problem, 'set source.directTarget: keep');
  }
  for (const [at, policy] of statedCopyPolicies(context)) {
    if (policy !== 'none' && policy !== 'force') continue;
    const why =
      policy === 'none'
        ? 'the table holds only images that the service copies'
        : 'the service checks every image again';
    context.warn(
      at,
      `is ${policy}, so Pods of this target call the service despite policies.table: ${why}`,
      'set delayed',
    );
  }
}

/** Fields in addition to images, for an engine that only writes images. */
function checkAdditions(context: RuleContext, { name, title, decides }: Engine): void {
  const { pods } = context.config;
  if (decides.addsToPods === true) return;
  for (const [key, isOn] of [
    ['pullSecret', pods?.pullSecret !== undefined],
    ['annotate', pods?.annotate === true],
  ] as const) {
    if (!isOn) continue;
    const problem = `has no effect, because policies.engine is ${name}: ${title} changes only the images of Pods`;
    context.error(['pods', key], problem, 'use another engine (webhook, kyverno), or remove it');
  }
}

/** Pods that the service excludes if it sees them. */
function warnOfHiddenExclusions(context: RuleContext, { name, title }: Engine): void {
  const { source, policies } = context.config;
  const hidden = (source?.operators ?? []).filter((operator) => operator?.label === undefined);
  if (hidden.length === 0 || (policies?.excludedNamespaces?.length ?? 0) > 0) return;
  context.warn(
    ['source', 'operators'],
    `has no effect for operators without a label, because policies.engine is ${name}: ${title} does not show the service a Pod's owner, pull policy or platform, so Pods of these operators are swapped and replaced in a loop`,
    'list their namespaces in policies.excludedNamespaces, or set source.operators: [] if none of these operators runs',
  );
}

/** Private images stay private only if the service sees the Pod and its pull secrets. */
function checkSourceAccess(context: RuleContext, { name, title, decides }: Engine): void {
  const { source, secretReader } = context.config;
  if (source?.accessCheck !== 'pullSecrets') return;
  const path = ['source', 'accessCheck'];
  if (decides.sees === 'images') {
    context.error(
      path,
      `is pullSecrets, but policies.engine is ${name}: ${title} sends only image names, so the Pod and its pull secrets are unknown`,
      'use another engine (kyverno, webhook), or none',
    );
  }
  if (decides.alone === true) {
    if (swapPolicies(context).includes('always')) {
      context.error(
        path,
        `is pullSecrets, but policies.engine is ${name} and imageSwapPolicy is always: ${title} computes names, and nothing asks the service which Pods can read an image`,
        'set imageSwapPolicy: exists, or use another engine (webhook, kyverno)',
      );
      return;
    }
    context.warn(
      path,
      `is pullSecrets, and policies.engine is ${name}: ${title} knows no pull secrets, so Pods keep the source of images that not everybody can read`,
      'use another engine (webhook, kyverno) to swap these too',
    );
    return;
  }
  if (secretReader?.enabled === false) {
    context.warn(
      path,
      "is pullSecrets, but secretReader.enabled is false: images that need a Pod's pull secret are never swapped",
      'set secretReader.enabled: true',
    );
  }
}

/** Refusing a Pod needs an engine that supports it. */
function checkDirectTarget(context: RuleContext, { name, title, decides }: Engine): void {
  const { source, policies } = context.config;
  if (source?.directTarget !== 'refuse') return;
  const path = ['source', 'directTarget'];
  if (decides.denies === 'never') {
    context.error(
      path,
      `is refuse, but policies.engine is ${name}: ${title} cannot refuse a Pod for the service`,
      'use another engine (webhook, or kyverno with policies.failClosed: true)',
    );
  }
  if (decides.denies === 'fail-closed' && policies?.failClosed === false) {
    context.error(
      path,
      `is refuse, but policies.engine is ${name}, which treats a refusal as a failure of the service, and policies.failClosed is false: the Pod would be admitted`,
      'set policies.failClosed: true, or policies.engine: webhook',
    );
  }
}

function checkManaged(context: RuleContext, { name, chart }: Engine): void {
  const { config } = context;
  if (chart.managedOnly === undefined) return;
  if (swapPolicies(context).every((policy) => policy === 'always')) return;
  for (const [path, policy] of statedCopyPolicies(context)) {
    if (policy !== 'none') continue;
    context.warn(
      path,
      `is none, but policies.engine is ${name}: the table holds only images that the service copies`,
      'set delayed, or imageSwapPolicy: always',
    );
  }
  if (config.policies?.manage === true) return;
  context.error(
    ['policies', 'manage'],
    `is false, but policies.engine is ${name}: no image would be swapped, because ${chart.managedOnly}`,
    'set it to true, or imageSwapPolicy: always',
  );
}

/** Of each target. */
function swapPolicies({ config }: RuleContext): readonly (string | undefined)[] {
  const { targets = [], target, imageSwapPolicy } = config;
  return [...targets, ...(target == null ? [] : [target])].map((one) => one?.imageSwapPolicy ?? imageSwapPolicy);
}

function checkCopies(context: RuleContext, { name, title, decides }: Engine): void {
  const isOff = context.config.reconcile?.enabled === false;
  if (isOff && copyPolicies(context).some((policy) => policy !== 'none')) {
    context.error(
      ['reconcile', 'enabled'],
      `is false, but policies.engine is ${name}: nothing would ever be copied, because ${title} never requests a copy`,
      'set it to true, or imageCopyPolicy: none',
    );
  }
  for (const [path, policy] of statedCopyPolicies(context)) {
    if (!waitsForCopy(policy)) continue;
    const most = decides.startsSomeCopies === true ? ' for most Pods' : '';
    context.warn(
      path,
      `does not wait for copies${most}: policies.engine is ${name}, ${
        most === '' ? 'whose requests start no copy' : 'which makes no request for them'
      }; it works like delayed`,
      'set delayed, or use another engine (kyverno, webhook)',
    );
  }
}

function checkFilters(context: RuleContext, { decides }: Engine): void {
  if (decides.checkFilters === undefined) return;
  const filters = filtersOf(context);
  // Invalid expressions are already reported; they still count for the position of the others.
  const { length } = context.config.source?.filters ?? [];
  if (filters.length < length || filters.some((filter) => isBroken(context, filter))) return;
  try {
    decides.checkFilters(filters.map(({ expression }) => expression));
  } catch (error) {
    if (!(error instanceof InvalidPolicyOptionError)) throw error;
    const index = Number(/\[(\d+)\]/.exec(error.option)?.[1] ?? 0);
    context.error(filters[index]?.path ?? ['source', 'filters'], error.reason);
  }
}

function checkMatches(context: RuleContext, { decides }: Engine): void {
  if (decides.checkMatches === undefined) return;
  for (const match of matchesOf(context)) {
    if (isBroken(context, match)) continue;
    try {
      decides.checkMatches([{ option: formatPath(match.path), match: match.expression }]);
    } catch (error) {
      if (!(error instanceof InvalidPolicyOptionError)) throw error;
      context.error(match.path, error.reason);
    }
  }
}

function isBroken({ compile }: RuleContext, { expression, index }: LocatedExpression): boolean {
  return compile(expression, index).problems.some(({ severity }) => severity === 'error');
}
