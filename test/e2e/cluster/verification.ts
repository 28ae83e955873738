import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { until } from '../../fakes/until.js';
import { blocks } from '../../tools/docs.js';
import { cosign } from '../../tools/signing.js';
import { installEngine, uninstallEngine } from './engine-install.js';
import type { Engine } from './engines.js';
import type { ApiObject } from './kube-api.js';
import { DocumentedTable } from './outcomes.js';
import { create, pod, tryOut } from './pods.js';
import type { Admission } from './pods.js';
import type { World } from './world.js';

/** The outcomes of one policy, for Pods whose image the target has. */
export interface VerificationRow {
  readonly signed: string;
  readonly unsigned: string;
  /** The outcome for a signed image while the original registry is down. */
  readonly sourceDown: string;
}

interface VerificationPolicy {
  readonly name: string;
  /** Part of the URL of the mutating webhook that pins or verifies images; undefined if the policy has none. */
  readonly pinsBy?: string;
  object(options: { readonly key: string; readonly mirror: string }): ApiObject;
}

/** Written by test/matrix/engines-matrix.test.ts. */
export const VERIFICATION_TABLE = new DocumentedTable('docs/kyverno.md', 'verification');
export const VERIFICATION_HEAD = [
  'policy',
  'swap by',
  'signed image',
  'image without a signature',
  'signed image, original registry down',
];

/** Returns the lines of that table without its header. */
export function verificationLines(
  seen: Readonly<Record<string, Readonly<Record<string, VerificationRow>>>>,
): string[][] {
  return Object.entries(seen).flatMap(([engine, policies]) =>
    Object.entries(policies).map(([policy, { signed, unsigned, sourceDown }]) => [
      policy,
      engine.replace(/^Kyverno |, http$/g, ''),
      ...[signed, unsigned, sourceDown],
    ]),
  );
}

const PODS = [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }];

function imageValidatingPolicy(mutateDigest: boolean): VerificationPolicy {
  return {
    name: `ImageValidatingPolicy, \`mutateDigest: ${mutateDigest}\``,
    ...(mutateDigest && { pinsBy: '/ivpol/mutate' }),
    object: ({ key }) => {
      const [text = ''] = blocks('docs/kyverno.md', 'yaml').filter((block) => block.includes('ImageValidatingPolicy'));
      const documented = parse(text) as ApiObject & { readonly spec: { readonly validationConfigurations: object } };
      const validationConfigurations = { ...documented.spec.validationConfigurations, mutateDigest };
      return {
        ...documented,
        spec: {
          ...documented.spec,
          validationConfigurations,
          matchConstraints: { resourceRules: PODS },
          attestors: [{ name: 'key', cosign: { key: { data: key }, ctlog: OFFLINE } }],
          validations: [
            {
              expression: 'images.containers.map(image, verifyImageSignatures(image, [attestors.key])).all(e, e > 0)',
              message: 'not signed',
            },
          ],
        },
      };
    },
  };
}

const OFFLINE = { insecureIgnoreTlog: true, insecureIgnoreSCT: true };

function verifyImages(mutateDigest: boolean, all: boolean): VerificationPolicy {
  return {
    name: `\`verifyImages\` of ${all ? 'all images' : 'the mirror'}, \`mutateDigest: ${mutateDigest}\``,
    pinsBy: '/mutate/fail',
    object: ({ key, mirror }) => ({
      apiVersion: 'kyverno.io/v1',
      kind: 'ClusterPolicy',
      metadata: { name: 'signed' },
      spec: {
        background: false,
        rules: [
          {
            name: 'signed',
            match: { any: [{ resources: { kinds: ['Pod'], operations: ['CREATE'] } }] },
            verifyImages: [
              {
                imageReferences: [all ? '*' : `${mirror}*`],
                failureAction: 'Enforce',
                mutateDigest,
                verifyDigest: mutateDigest,
                attestors: [
                  { entries: [{ keys: { publicKeys: key, rekor: { ignoreTlog: true }, ctlog: { ignoreSCT: true } } }] },
                ],
              },
            ],
          },
        ],
      },
    }),
  };
}

const VERIFICATION_POLICIES: readonly VerificationPolicy[] = [
  imageValidatingPolicy(false),
  imageValidatingPolicy(true),
  verifyImages(false, false),
  verifyImages(true, false),
  verifyImages(true, true),
];

/**
 * Returns engine → policy → outcomes for Pods with a swap. It does not assert anything, and stops the source registry.
 */
export async function observeVerification(
  world: World,
  engines: readonly Engine[],
): Promise<Record<string, Record<string, VerificationRow>>> {
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-verify-'));
  const cases = engines.flatMap((engine) => VERIFICATION_POLICIES.map((policy) => ({ engine, policy })));
  try {
    const signer = await cosign(folder, 'tags');
    const key = await readFile(signer.publicKey, 'utf8');
    // Kyverno caches verifications, so each case needs its own image in each state of the source.
    const images = await Promise.all(cases.flatMap(() => [world.image(), world.image()]));
    for (const image of images) await signer.sign(image);
    const unsigned = await world.probe();
    await world.mirror(...images);

    /** Returns the outcome of each case for each of its images. */
    const seeAll = async (imagesOf: (index: number) => readonly string[]): Promise<string[][]> => {
      const all: string[][] = [];
      for (const engine of engines) {
        await installEngine(world, engine, { failClosed: false });
        for (const [index, { policy }] of cases.entries()) {
          if (cases[index]?.engine !== engine) continue;
          all.push(await enforced(world, policy, key, imagesOf(index)));
        }
        await uninstallEngine(world, engine);
      }
      return all;
    };
    const up = await seeAll((index) => [images[2 * index] ?? '', unsigned]);
    await world.source.stop();
    const down = await seeAll((index) => [images[2 * index + 1] ?? '']);

    const seen: Record<string, Record<string, VerificationRow>> = {};
    for (const [index, { engine, policy }] of cases.entries()) {
      const [signed = '', other = ''] = up[index] ?? [];
      (seen[engine.name] ??= {})[policy.name] = { signed, unsigned: other, sourceDown: down[index]?.[0] ?? '' };
    }
    return seen;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns the outcomes of new Pods with these images while the policy is in effect. */
async function enforced(
  world: World,
  policy: VerificationPolicy,
  key: string,
  images: readonly string[],
): Promise<string[]> {
  const { api } = world.plane;
  const unsigned = await world.probe();
  const object = policy.object({ key, mirror: world.prefix });
  const refuses = async (): Promise<boolean> => !(await tryOut(api, pod(unsigned))).admitted;
  await api.apply(object);
  try {
    // Kyverno registers its two webhooks, one that pins and one that refuses, at different times.
    await until('the policy is in force', async () => (await pins(world, policy)) && (await refuses()));
    const outcomes: string[] = [];
    for (const image of images) outcomes.push(outcome(world, image, await create(api, pod(image))));
    return outcomes;
  } finally {
    await api.remove(object);
    const gone = async (): Promise<boolean> => policy.pinsBy === undefined || !(await pins(world, policy));
    await until('the policy is gone', async () => (await gone()) && !(await refuses()));
  }
}

/**
 * Returns whether the API server has the webhook with which Kyverno pins images for this policy, if the policy has a
 * separate one.
 */
async function pins({ plane }: World, { pinsBy }: VerificationPolicy): Promise<boolean> {
  if (pinsBy === undefined) return true;
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
  const { body } = await plane.api.send('GET', `${path}/kyverno-resource-mutating-webhook-cfg`);
  return JSON.stringify(body).includes(pinsBy);
}

function outcome(world: World, image: string, admission: Admission): string {
  if (!admission.admitted) return 'refused';
  const { app = '' } = admission.images;
  const pinned = app.includes('@sha256:') ? ', pinned by digest' : '';
  const name = repositoryOf(app);
  if (name === repositoryOf(world.swapped(image))) return `swapped${pinned}`;
  return name === repositoryOf(image) ? `unchanged${pinned}` : app;
}

function repositoryOf(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^:/]*$/, '');
}
