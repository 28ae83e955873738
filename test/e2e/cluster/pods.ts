import { expectOk, messageOf, pathOf } from './kube-api.js';
import type { ApiObject, ApiReply, KubeApi } from './kube-api.js';

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly [key: string]: unknown;
}
export interface VolumeSpec {
  readonly name: string;
  readonly image?: { readonly reference: string; readonly pullPolicy?: string };
  readonly [key: string]: unknown;
}
export interface PodSpec {
  readonly containers: readonly ContainerSpec[];
  readonly initContainers?: readonly ContainerSpec[];
  readonly ephemeralContainers?: readonly ContainerSpec[];
  readonly volumes?: readonly VolumeSpec[];
  readonly [key: string]: unknown;
}
export interface PodObject extends ApiObject {
  readonly spec: PodSpec;
}

export const NAMESPACE = 'team-a';
let made = 0;

/** A Pod of one container `app` unless `spec` says otherwise; each Pod has a unique name. */
export function pod(image: string, spec: Partial<PodSpec> = {}, metadata: object = {}): PodObject {
  made += 1;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `pod-${made}`, namespace: NAMESPACE, ...metadata },
    spec: { containers: [{ name: 'app', image }], ...spec },
  };
}

/** Returns the references of image volumes by volume name. */
export function volumesOf(object: unknown): Record<string, string> {
  const { volumes = [] } = (object as { readonly spec: PodSpec }).spec;
  return Object.fromEntries(
    volumes.flatMap(({ name, image }) => (image === undefined ? [] : [[name, image.reference]])),
  );
}

/** Returns the images of all three container lists by container name. */
export function imagesOf(object: unknown): Record<string, string> {
  const { spec } = object as { readonly spec: PodSpec };
  const lists = [spec.containers, spec.initContainers, spec.ephemeralContainers];
  return Object.fromEntries(lists.flatMap((list) => list ?? []).map(({ name, image }) => [name, image]));
}

export type Admission =
  | { readonly admitted: true; readonly object: PodObject; readonly images: Record<string, string> }
  | { readonly admitted: false; readonly message: string };

export function admissionOf(reply: ApiReply): Admission {
  if (reply.status >= 300) return { admitted: false, message: messageOf(reply) };
  return { admitted: true, object: reply.body as PodObject, images: imagesOf(reply.body) };
}

/** The result of creating a Pod. */
export async function create(api: KubeApi, object: ApiObject): Promise<Admission> {
  return admissionOf(await api.create(object));
}

/** The result of a dry run. */
export async function tryOut(api: KubeApi, object: ApiObject): Promise<Admission> {
  return admissionOf(await api.create(object, '?dryRun=All'));
}

/** Adds an ephemeral container like `kubectl debug`. */
export async function debug(api: KubeApi, object: ApiObject, container: ContainerSpec): Promise<Admission> {
  const path = `${pathOf(object)}/ephemeralcontainers`;
  const patch = { spec: { ephemeralContainers: [container] } };
  return admissionOf(await api.send('PATCH', path, patch, 'application/strategic-merge-patch+json'));
}

export async function label(api: KubeApi, object: ApiObject, labels: Record<string, string>): Promise<Admission> {
  const reply = await api.send('PATCH', pathOf(object), { metadata: { labels } }, 'application/merge-patch+json');
  return admissionOf(reply);
}

export async function stored(api: KubeApi, object: ApiObject): Promise<PodObject> {
  return expectOk(await api.get(object), 'get').body as PodObject;
}
