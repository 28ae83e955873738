import { CONFIG_HASH_ANNOTATION, configHash, hashAnnotation } from '../../policies/config-hash.js';
import { DEFAULT_NAME } from '../../policies/options.js';
import type { PolicyObject } from '../../policies/objects.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { decidedKeys } from '../decided-hash.js';
import type { EngineInput, HashedConfig } from '../engine.js';
import { renderKyvernoMutatingPolicy } from '../kyverno/mutating-policy.js';
import { entriesHash } from '../mutating-admission-policy/table-hash.js';
import { imageTables, tableDefinition, tableEntry } from './objects.js';

/**
 * The policy that reads the table, with the GlobalContextEntry. With `policies.manage` also the table's objects, else the
 * definition of their kind, because only users create that.
 *
 * @throws InvalidPolicyOptionError
 */
export function renderWithTable(input: EngineInput): readonly PolicyObject[] {
  const { call, own, decided, managed = false, name = DEFAULT_NAME, ...others } = input;
  void own;
  if (decided === undefined) throw new InvalidPolicyOptionError('targets', 'must define how they name images');
  if (others.directTarget === 'refuse') {
    throw new InvalidPolicyOptionError(
      'table',
      'is true, but source.directTarget is refuse: the service must see every Pod',
    );
  }
  const { tables, targets, publicOnly, dryRun } = decided;
  const callerSecret = call.credentials?.secret;
  const { filters } = others;
  const hash = filters && readerHash({ ...others, filters, decided });
  const policy = renderKyvernoMutatingPolicy({
    ...{ ...others, name, url: call.url },
    ...(callerSecret !== undefined && { callerSecret }),
    ...(hash !== undefined && { hash }),
    // The service answers without images.
    ...(!dryRun && { table: { entry: name, targets } }),
  });
  const { labels, annotations } = others;
  const metadata = { ...(labels !== undefined && { labels }), ...(annotations !== undefined && { annotations }) };
  const options = { ...metadata, name, hash: entriesHash(targets, publicOnly) };
  const { pages = [], reload } = tables?.objects ?? {};
  const parts = managed ? imageTables(options, pages) : tableDefinition(metadata);
  const { [CONFIG_HASH_ANNOTATION]: ofConfig } = policy.metadata.annotations ?? {};
  const annotated = { ...options, annotations: { ...annotations, ...hashAnnotation(ofConfig) } };
  return [...parts, tableEntry(annotated, reload), policy];
}

/** Like the hash without the table, with the keys by which the policy decides. */
export function readerHash({ filters, targets, directTarget, pods, decided }: HashedConfig): string {
  return configHash(filters, targets, directTarget, pods, {
    table: true,
    ...(decided.publicOnly && { publicOnly: true }),
    ...decidedKeys(decided, { copyPolicy: true, names: true }),
  });
}
