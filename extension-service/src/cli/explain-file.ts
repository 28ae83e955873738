import { parseAllDocuments } from 'yaml';
import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import { CliError, EXIT } from './exit.js';

/** A Pod of a file, or the Pod that an object of the file creates. */
export interface PodInFile {
  /** `Deployment team-a/web` */
  readonly title: string;
  readonly pod: JsonObject;
}

export interface PodsInFile {
  readonly pods: readonly PodInFile[];
  /** Titles of the objects that create no Pods. */
  readonly others: readonly string[];
}

/** Documents, items of lists and requests in one file. */
const MAX_OBJECTS = 1_000;

/**
 * The Pods of a manifest: Pods, workloads with a Pod template, lists of them, and AdmissionReviews, in one or several
 * documents.
 *
 * @throws CliError when it is not YAML, or nothing in it has a Pod
 */
export function podsInFile(source: string, file: string): PodsInFile {
  const documents = parseAllDocuments(source);
  const pods: PodInFile[] = [];
  const others: string[] = [];
  for (const document of Array.isArray(documents) ? documents : []) {
    const [problem] = document.errors;
    if (problem !== undefined) throw new CliError(EXIT.usage, `${file}: ${problem.message}`);
    for (const object of objectsOf(document.toJS({ maxAliasCount: 100 }))) {
      const found = podOf(object);
      if (found === undefined) others.push(titleOf(object));
      else pods.push(found);
      if (pods.length + others.length > MAX_OBJECTS)
        throw new CliError(EXIT.usage, `${file}: more than ${MAX_OBJECTS} objects; give a part of them`);
    }
  }
  if (pods.length > 0) return { pods, others };
  const found = others.length === 0 ? 'it is empty' : `found ${others.slice(0, 5).join(', ')}`;
  const wanted = 'a Pod, a workload with a Pod template (such as a Deployment), a List or an AdmissionReview';
  throw new CliError(EXIT.usage, `${file}: no Pod to explain (${found}): give ${wanted}`);
}

/** The object, or the items of a list; nothing for an empty document. */
function objectsOf(value: unknown): readonly unknown[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap(objectsOf);
  if (isObject(value) && Array.isArray(value['items']) && value['spec'] === undefined) return value['items'];
  return [value];
}

function podOf(object: unknown): PodInFile | undefined {
  if (!isObject(object)) return undefined;
  const request = isObject(object['request']) ? object['request'] : isRequest(object) ? object : undefined;
  if (request !== undefined) {
    const inner = podOf(request['object']);
    const namespace = request['namespace'];
    return inner === undefined || typeof namespace !== 'string' ? inner : withNamespace(inner, namespace);
  }
  const template = templateOf(object);
  if (template !== undefined) {
    const { metadata, spec } = template;
    const own = isObject(metadata) ? metadata : {};
    // The Pods of a workload are in its namespace.
    const namespace = namespaceOf(object);
    const pod = { kind: 'Pod', metadata: { ...own, ...(namespace !== undefined && { namespace }) }, spec };
    return { title: titleOf(object), pod: pod };
  }
  const isPod = object['kind'] === 'Pod' || (object['kind'] === undefined && isPodSpec(object['spec']));
  return isPod ? { title: titleOf(object), pod: object } : undefined;
}

/** An AdmissionRequest as audit logs hold it, without the review around it. */
function isRequest(object: JsonObject): boolean {
  return typeof object['uid'] === 'string' && typeof object['operation'] === 'string' && isObject(object['object']);
}

/** `spec.template` of workloads, that of a CronJob's Jobs, and `template` of a PodTemplate. */
function templateOf(object: JsonObject): JsonObject | undefined {
  const spec = isObject(object['spec']) ? object['spec'] : {};
  const jobs = isObject(spec['jobTemplate']) ? spec['jobTemplate'] : {};
  const jobSpec = isObject(jobs['spec']) ? jobs['spec'] : {};
  return [spec['template'], jobSpec['template'], object['template']].find(
    (template): template is JsonObject => isObject(template) && isPodSpec(template['spec']),
  );
}

function isPodSpec(spec: unknown): boolean {
  return isObject(spec) && Array.isArray(spec['containers']);
}

/** The same Pod in that namespace. */
export function withNamespace({ title, pod }: PodInFile, namespace: string): PodInFile {
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : {};
  return { title, pod: { ...pod, metadata: { ...metadata, namespace } } };
}

function namespaceOf({ metadata }: JsonObject): string | undefined {
  const namespace = isObject(metadata) ? metadata['namespace'] : undefined;
  return typeof namespace === 'string' ? namespace : undefined;
}

function titleOf(object: unknown): string {
  if (!isObject(object)) return 'a document that is not an object';
  const metadata = isObject(object['metadata']) ? object['metadata'] : {};
  const name = metadata['name'] ?? metadata['generateName'];
  const namespace = namespaceOf(object);
  const kind = typeof object['kind'] === 'string' ? object['kind'] : 'object';
  const shown = typeof name === 'string' ? ` ${namespace === undefined ? '' : `${namespace}/`}${name}` : '';
  return `${kind}${shown}`;
}
