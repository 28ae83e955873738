import { z } from 'zod';
import { USUAL_DEADLINE } from '../../core/engines/waiting.js';
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
  leaseSchema,
  mirrorSchema,
  podsSchema,
  queueSchema,
  reconcileSchema,
  secretReaderSchema,
  tlsSchema,
} from './service.js';
import { sourceSchema } from './source.js';

/** More would eat up Gatekeeper's whole second. */
const answerBudgetLimit = 700;

/** The whole file; what comes out is {@link Config}. */
export const configSchema = z.strictObject({
  dryRun: flag('Decide, log and count; change and copy nothing.').default(false),
  logLevel: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], 'The least severity that is logged.').default(
    'info',
  ),
  logFormat: choice(['json', 'console'], '`console` is for people.').default('json'),
  imageSwapPolicy: imageSwapPolicy(
    '`exists`: swap an image only when the target has it now. `always`: swap without looking.',
  ).default('exists'),
  imageCopyPolicy: imageCopyPolicy(
    '`delayed`: answer, then copy. `immediate`: wait for the copy. `force`: look at all of what is there too, its layers by reading them, and copy what is missing. `none`: never copy.',
  ).default('delayed'),
  imageCopyDeadline: duration(
    1,
    longestDuration,
    'How long `immediate` and `force` wait for the copies of a Pod; at most `28s`, as the API server gives a webhook 30s.',
  ).default(USUAL_DEADLINE),
  imageCopyFailure: choice(
    ['ignore', 'deny'],
    '`deny`: a Pod whose `immediate` or `force` copy failed is refused; with `policies.engine` `kyverno` and `kyverno-clusterpolicy` only under `policies.failClosed`.',
  ).default('ignore'),
  answerBudget: duration(1, answerBudgetLimit, 'How long an admission may take for looking into targets.').default(200),
  source: described(sourceSchema, 'Where images come from.').prefault({}),
  pods: described(podsSchema, 'Fields that swapped Pods get in addition to their images.').prefault({}),
  target: described(targetSchema, 'The registry for all images that no entry of `targets` takes.').exactOptional(),
  targets: described(
    z.array(namedTargetSchema).readonly(),
    'Registries in order: the first whose `match` is true takes the image.',
  ).default([]),
  mirror: described(mirrorSchema, 'How images are copied.').prefault({}),
  queue: described(queueSchema, 'Where copies wait.').prefault({}),
  reconcile: described(reconcileSchema, 'How missing images are found.').prefault({}),
  secretReader: described(secretReaderSchema, 'Which pull secrets are read.').prefault({}),
  lease: described(leaseSchema, 'What makes one replica the leader.').prefault({}),
  events: described(eventsSchema, 'Whether copies are told as Events.').prefault({}),
  tls: described(tlsSchema, 'Where the serving certificate comes from.').prefault({}),
  server: described(serverSchema, 'Routes that the service answers.').prefault({}),
  auth: described(authSchema, 'How callers show who they are.').prefault({}),
  policies: described(enginePoliciesSchema, 'Whether the service writes policies into the cluster.').prefault({}),
}) satisfies z.ZodType<Config>;

/** {@link configSchema}, or one with other defaults. */
export type ConfigSchema = typeof configSchema;

/** All keys. */
export const rootField: Field = fieldOf(configSchema);
