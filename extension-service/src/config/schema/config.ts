import * as z from 'zod';
import { DEFAULT_DEADLINE_MS } from '../../core/engines/waiting.js';
import type { Config } from '../../core/config/model.js';
import { longestDuration } from '../../core/config/duration.js';
import { described, fieldOf } from '../../schema/field.js';
import type { Field } from '../../schema/field.js';
import { choice, duration, flag } from '../../schema/leaves.js';
import { authSchema, serverSchema } from './access.js';
import { imageCopyPolicy, imageSwapPolicy } from './policies.js';
import { namedTargetSchema, targetSchema } from './registry.js';
import {
  enginePoliciesSchema,
  eventsSchema,
  gcSchema,
  leaseSchema,
  mirrorSchema,
  podsSchema,
  queueSchema,
  reconcileSchema,
  secretReaderSchema,
  tlsSchema,
} from './service.js';
import { sourceSchema } from './source.js';

/** More would use up Gatekeeper's whole second. */
const answerBudgetLimit = 700;

/** Does not compile if the schema and {@link Config} differ: the core holds the type, since it imports nothing. */
function exactSchema<S extends z.ZodType<Config>>(schema: Config extends z.output<S> ? S : never): S {
  return schema;
}

/** The whole file; its output is {@link Config}. */
export const configSchema = exactSchema(
  z.strictObject({
    dryRun: flag('Only decide, log and count; change and copy nothing.').default(false),
    logLevel: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], 'Minimum log level.').default('info'),
    logFormat: choice(['json', 'console'], '`json`, or human-readable `console`.').default('json'),
    imageSwapPolicy: imageSwapPolicy(
      '`exists`: swap an image only when the target has it. `always`: swap without checking.',
    ).default('exists'),
    imageCopyPolicy: imageCopyPolicy(
      '`delayed`: answer, then copy. `immediate`: wait for the copy. `force`: also check everything that the target holds, reading its layers, and copy what is missing. `none`: never copy.',
    ).default('delayed'),
    imageCopyDeadline: duration(
      1,
      longestDuration,
      'How long `immediate` and `force` wait for the copies of a Pod; at most `28s`, because the API server gives a webhook 30s.',
    ).default(DEFAULT_DEADLINE_MS),
    imageCopyFailure: choice(
      ['ignore', 'deny'],
      '`deny`: refuse a Pod whose `immediate` or `force` copy failed. With `policies.engine` `kyverno` or `kyverno-clusterpolicy`, this needs `policies.failClosed`.',
    ).default('ignore'),
    answerBudget: duration(1, answerBudgetLimit, 'Time limit for target lookups in an admission request.').default(200),
    source: described(sourceSchema, 'Where images come from.').prefault({}),
    pods: described(podsSchema, 'Fields that are added to swapped Pods.').prefault({}),
    target: described(targetSchema, 'The registry for all images that no entry of `targets` matches.').exactOptional(),
    targets: described(
      z.array(namedTargetSchema).readonly(),
      'Registries in order: an image goes to the first whose `match` is true.',
    ).default([]),
    mirror: described(mirrorSchema, 'How images are copied.').prefault({}),
    queue: described(queueSchema, 'The queue of copies.').prefault({}),
    gc: described(gcSchema, 'Deletion of images that no cluster uses any more; off by default.').prefault({}),
    reconcile: described(reconcileSchema, 'The periodic check for missing images.').prefault({}),
    secretReader: described(secretReaderSchema, 'Which pull secrets the service reads.').prefault({}),
    lease: described(leaseSchema, 'Leader election.').prefault({}),
    events: described(eventsSchema, 'Whether copy results are reported as Kubernetes Events.').prefault({}),
    tls: described(tlsSchema, 'The serving certificate and client certificates.').prefault({}),
    server: described(serverSchema, 'The routes that the service answers.').prefault({}),
    auth: described(authSchema, 'How callers authenticate.').prefault({}),
    policies: described(enginePoliciesSchema, 'Whether the service writes policies into the cluster.').prefault({}),
  }),
);

/** {@link configSchema}, or one with other defaults. */
export type ConfigSchema = typeof configSchema;

/** All keys. */
export const rootField: Field = fieldOf(configSchema);
