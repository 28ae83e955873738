import { WorkBudgetError, withinBudget } from '../filters/work-budget.js';
import { matchFilters } from '../filters/match.js';
import type { Filter } from '../filters/compile.js';
import { InvalidReferenceError, parseReference } from '../image/reference.js';
import type { Reference } from '../image/reference.js';
import { imagePlace, takesUpdates } from './image-places.js';
import { missingPlatform, namedPlatforms } from './named-platforms.js';
import type { NamedPlatforms } from './named-platforms.js';
import { operatorOf } from './operators.js';
import { PLACEHOLDER_IMAGES } from './placeholders.js';
import { refusalOf, targetReference } from '../naming/name.js';
import type { TargetReference } from '../naming/name.js';
import type { JsonObject, PodContainer } from './pod.js';
import {
  filterContainer,
  filterObject,
  isOptedOut,
  isStaticMirrorPod,
  optedOutContainers,
  podContainers,
} from './pod.js';
import type { Rules, TargetRule } from './rules.js';

/** The subject of an admission request. `oldPod` is set on updates. */
export interface DecisionInput {
  readonly pod: JsonObject;
  readonly oldPod?: JsonObject;
  readonly namespace: string;
  readonly operation: string;
}

export type KeepReason =
  | 'static-pod'
  | 'opted-out'
  | 'existing-container'
  | 'volumes-off'
  | 'operator'
  | 'never-pulled'
  | 'platform'
  | 'placeholder'
  | 'too-large'
  | 'filtered'
  | 'invalid-image'
  | 'in-target'
  | 'no-target';

/** The container keeps its image, with the reason. */
export interface KeepDecision {
  readonly action: 'keep';
  readonly container: PodContainer;
  readonly reason: KeepReason;
  /** One sentence for users. */
  readonly detail: string;
  readonly filter?: Filter;
  readonly warnings: readonly DecisionWarning[];
}

/** The container's image belongs in a target; whether it is swapped now depends on what the target has. */
export interface Mirror {
  readonly action: 'mirror';
  readonly container: PodContainer;
  readonly source: Reference;
  readonly target: TargetRule;
  readonly reference: TargetReference;
  readonly warnings: readonly DecisionWarning[];
}

export type ContainerDecision = KeepDecision | Mirror;

export interface DecisionWarning {
  readonly expression: string;
  readonly kind: 'not-boolean' | 'error';
  readonly message: string;
}

/** No real Pod has as many; each costs a target lookup and maybe a copy. */
export const MAX_CONTAINERS = 500;

/**
 * Decides every container of a Pod, in the Pod's order. Pure: contacts no registry, reads no clock, never throws for
 * any JSON. An oversized Pod is not changed at all, and its first containers are reported for all.
 */
export function decide(rules: Rules, input: DecisionInput): ContainerDecision[] {
  const containers = podContainers(input.pod);
  const wholePod = keepWholePod(rules, input.pod);
  if (wholePod !== undefined) return containers.map((container) => ({ ...wholePod, container }));
  if (containers.length > MAX_CONTAINERS) {
    const detail = `the Pod has ${containers.length} containers and image volumes; more than ${MAX_CONTAINERS} are not checked`;
    return containers.slice(0, MAX_CONTAINERS).map((container) => keep(container, 'too-large', detail));
  }
  try {
    return withinBudget(() => decideContainers(rules, input, containers));
  } catch (error) {
    if (!(error instanceof WorkBudgetError)) throw error;
    return containers.map((container) => keep(container, 'too-large', error.message));
  }
}

function decideContainers(
  rules: Rules,
  input: DecisionInput,
  containers: readonly PodContainer[],
): ContainerDecision[] {
  const obj = filterObject(input.pod, input.namespace);
  const optedOut = optedOutContainers(input.pod);
  const existing = existingContainers(input);
  const platforms = rules.targets.some((target) => target.platforms !== 'all') ? namedPlatforms(input.pod) : undefined;
  return containers.map((container): ContainerDecision => {
    if (existing(container)) {
      const detail = 'it is already running: a new image would restart it, and ephemeral containers cannot change';
      return keep(container, 'existing-container', detail);
    }
    if (!rules.volumes && imagePlace(container.list).kind === 'volume') {
      return keep(container, 'volumes-off', 'source.volumes is false: image volumes are not changed');
    }
    if (optedOut(container)) {
      return keep(container, 'opted-out', 'the annotation image-swapper.io/skip-containers names it');
    }
    if (container.imagePullPolicy === 'Never') {
      return keep(container, 'never-pulled', 'its pull policy is Never: the node has the image under this name only');
    }
    const decision = decideContainer(rules, obj, container);
    return decision.action === 'mirror' && platforms !== undefined ? onPlatforms(decision, platforms) : decision;
  });
}

/** The same, unless the Pod may run on a platform that the mirror does not contain. */
function onPlatforms(mirror: Mirror, named: NamedPlatforms): ContainerDecision {
  const { container, target, warnings } = mirror;
  const missing = missingPlatform(named, target.platforms);
  if (missing === undefined) return mirror;
  const detail = `the Pod needs ${missing}, but target ${target.config.name} holds ${target.platforms.toString()}`;
  return { ...keep(container, 'platform', detail), warnings };
}

/** Decides one image, of which only the name and the given context are known. */
export function decideContainer(rules: Rules, obj: JsonObject, container: PodContainer): ContainerDecision {
  if (PLACEHOLDER_IMAGES.includes(container.image)) {
    return keep(container, 'placeholder', `${container.image} is not an image: Istio's injector replaces it`);
  }
  let source: Reference;
  try {
    source = parseReference(container.image);
  } catch (error) {
    if (!(error instanceof InvalidReferenceError)) throw error;
    return keep(container, 'invalid-image', error.message);
  }
  const inside = rules.origins.find(source);
  if (inside !== undefined) return keep(container, 'in-target', `the image is already in target ${inside.name}`);

  const context = { obj, container: filterContainer(container) };
  const verdict = matchFilters(rules.filters, context);
  if (verdict.skip) {
    const { filter } = verdict;
    const detail = `filter ${filter.index + 1} matches: ${filter.expression}`;
    return { ...keep(container, 'filtered', detail), filter };
  }
  const warnings: DecisionWarning[] = verdict.warnings.map(({ filter, kind, message }) => ({
    expression: filter.expression,
    kind,
    message,
  }));
  const target = rules.targets.find((candidate) => {
    if (refusalOf(candidate.naming, source) !== undefined) return false;
    if (candidate.match === undefined) return true;
    const result = matchFilters([candidate.match], context);
    if (result.skip) return true;
    for (const warning of result.warnings) {
      warnings.push({ expression: warning.filter.expression, kind: warning.kind, message: warning.message });
    }
    return false;
  });
  if (target === undefined) {
    return { ...keep(container, 'no-target', noTargetMessage(rules, source)), warnings };
  }
  return { action: 'mirror', container, source, target, reference: targetReference(target.naming, source), warnings };
}

function noTargetMessage({ targets }: Rules, source: Reference): string {
  const refusals = targets.flatMap(({ naming }) => {
    const refusal = refusalOf(naming, source);
    return refusal === undefined ? [] : [`target ${naming.name} ${refusal}`];
  });
  if (refusals.length === 0) return 'no target matches it, and there is no default target';
  return `no target matches it: ${refusals.join(', ')}`;
}

function keepWholePod(rules: Rules, pod: JsonObject): Omit<KeepDecision, 'container'> | undefined {
  const base = { action: 'keep', warnings: [] } as const;
  if (isStaticMirrorPod(pod))
    return { ...base, reason: 'static-pod', detail: 'the Pod mirrors a static Pod of a node' };
  if (isOptedOut(pod))
    return { ...base, reason: 'opted-out', detail: 'the Pod is marked image-swapper.io/skip: "true"' };
  const operator = operatorOf(rules.operators, pod);
  if (operator !== undefined) {
    const detail = `it belongs to a ${operator.kind} of ${operator.apiGroup}, whose operator compares the images of its Pods with those that it requested (source.operators)`;
    return { ...base, reason: 'operator', detail };
  }
  return undefined;
}

/** In an update, only ephemeral containers that the old Pod did not have are new; all others are running. */
function existingContainers(input: DecisionInput): (container: PodContainer) => boolean {
  if (input.operation !== 'UPDATE') return () => false;
  const old = new Set(podContainers(input.oldPod ?? {}).map(({ list, name }) => `${list}/${name}`));
  return ({ list, name }) => !takesUpdates(imagePlace(list)) || old.has(`${list}/${name}`);
}

function keep(container: PodContainer, reason: KeepReason, detail: string): KeepDecision {
  return { action: 'keep', container, reason, detail, warnings: [] };
}
