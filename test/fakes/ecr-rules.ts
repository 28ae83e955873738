import { AwsError, invalidParameter } from './aws-error.js';

/**
 * Finds parameters that are invalid for ECR, with ECR's error names. The rules come from ECR's API reference, not from
 * our own checks.
 */

export type Parameters = Readonly<Record<string, unknown>>;

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

export interface ExclusionFilter {
  readonly filterType: 'WILDCARD';
  readonly filter: string;
}

export interface Mutability {
  readonly imageTagMutability: 'MUTABLE' | 'IMMUTABLE' | 'IMMUTABLE_WITH_EXCLUSION' | 'MUTABLE_WITH_EXCLUSION';
  readonly imageTagMutabilityExclusionFilters: readonly ExclusionFilter[];
}

export interface Encryption {
  readonly encryptionType: 'AES256' | 'KMS' | 'KMS_DSSE';
  readonly kmsKey?: string;
}

const REPOSITORY_NAME = '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*';

export function repositoryNameIsLegal(name: string): boolean {
  return name.length >= 2 && name.length <= 256 && new RegExp(`^${REPOSITORY_NAME}$`).test(name);
}

export function checkRepositoryName(name: unknown): string {
  if (typeof name === 'string' && repositoryNameIsLegal(name)) return name;
  throw invalidParameter('repositoryName', `must satisfy regular expression '${REPOSITORY_NAME}'`);
}

/** ECR ignores unknown members. The fake rejects them because they are mistakes of image-swapper. */
export function rejectUnknown(parameters: Parameters, ...known: readonly string[]): void {
  const unknown = Object.keys(parameters).filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new AwsError('SerializationException', `unknown parameters: ${unknown.join(', ')}`);
}

export function checkTags(value: unknown, others: readonly Tag[] = []): readonly Tag[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalidParameter('tags', 'must be a list');
  const tags = value.map((tag: unknown) => {
    const { Key, Value } = record('tags', tag, 'Key', 'Value');
    const legal = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
    if (typeof Key !== 'string' || Key.length === 0 || Key.length > 128 || !legal.test(Key) || /^aws:/i.test(Key)) {
      throw new AwsError('InvalidTagParameterException', `Invalid tag key: ${String(Key)}`);
    }
    if (typeof Value !== 'string' || Value.length > 256 || !legal.test(Value)) {
      throw new AwsError('InvalidTagParameterException', `Invalid tag value: ${String(Value)}`);
    }
    return { Key, Value };
  });
  const keys = new Set(tags.map(({ Key }) => Key));
  if (keys.size < tags.length) throw new AwsError('InvalidTagParameterException', 'Duplicate tag keys');
  for (const { Key } of others) keys.add(Key);
  if (keys.size > 50) throw new AwsError('TooManyTagsException', 'A repository can have at most 50 tags');
  return tags;
}

export function checkMutability(parameters: Parameters): Mutability {
  const { imageTagMutability: setting = 'MUTABLE', imageTagMutabilityExclusionFilters: filters } = parameters;
  if (setting === 'MUTABLE' || setting === 'IMMUTABLE') {
    if (filters === undefined) return { imageTagMutability: setting, imageTagMutabilityExclusionFilters: [] };
    throw invalidParameter('imageTagMutabilityExclusionFilters', `must not be given with ${setting}`);
  }
  if (setting !== 'IMMUTABLE_WITH_EXCLUSION' && setting !== 'MUTABLE_WITH_EXCLUSION') {
    throw invalidParameter('imageTagMutability', 'must be one of the known settings');
  }
  if (!Array.isArray(filters) || filters.length < 1 || filters.length > 5) {
    throw invalidParameter('imageTagMutabilityExclusionFilters', `must have 1 to 5 filters with ${setting}`);
  }
  const checked = filters.map((item: unknown): ExclusionFilter => {
    const { filterType, filter } = record('imageTagMutabilityExclusionFilters', item, 'filterType', 'filter');
    if (filterType === 'WILDCARD' && typeof filter === 'string' && /^[0-9a-zA-Z._*-]{1,128}$/.test(filter)) {
      return { filterType, filter };
    }
    throw invalidParameter('imageTagMutabilityExclusionFilters', "must match '^[0-9a-zA-Z._*-]{1,128}'");
  });
  return { imageTagMutability: setting, imageTagMutabilityExclusionFilters: checked };
}

/** Returns whether an existing tag must not be pushed again. */
export function tagIsImmutable(
  { imageTagMutability, imageTagMutabilityExclusionFilters: filters }: Mutability,
  tag: string,
): boolean {
  const excluded = filters.some(({ filter }) =>
    new RegExp(`^${filter.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(tag),
  );
  return imageTagMutability.startsWith('IMMUTABLE') !== excluded;
}

export function checkScanning(value: unknown): { readonly scanOnPush: boolean } {
  if (value === undefined) return { scanOnPush: false };
  const { scanOnPush } = record('imageScanningConfiguration', value, 'scanOnPush');
  if (typeof scanOnPush === 'boolean') return { scanOnPush };
  throw invalidParameter('imageScanningConfiguration.scanOnPush', 'must be a boolean');
}

export function checkEncryption(value: unknown): Encryption {
  if (value === undefined) return { encryptionType: 'AES256' };
  const { encryptionType, kmsKey } = record('encryptionConfiguration', value, 'encryptionType', 'kmsKey');
  if (encryptionType === 'AES256' && kmsKey === undefined) return { encryptionType };
  if (encryptionType !== 'KMS' && encryptionType !== 'KMS_DSSE') {
    throw invalidParameter('encryptionConfiguration', 'must have a known encryptionType, and a kmsKey only with KMS');
  }
  if (kmsKey === undefined) return { encryptionType };
  if (typeof kmsKey !== 'string' || kmsKey.length < 1 || kmsKey.length > 2048) {
    throw invalidParameter('encryptionConfiguration.kmsKey', 'must have 1 to 2048 characters');
  }
  return { encryptionType, kmsKey };
}

export function checkRepositoryPolicy(text: unknown): string {
  const refusal = invalidParameter('PolicyText', 'Invalid repository policy provided');
  const policy = jsonObject(text, 10_240, refusal);
  const { Statement: statements } = policy;
  for (const statement of Array.isArray(statements) ? (statements as unknown[]) : [statements]) {
    const { Effect, Principal, Action, NotAction, Resource } = (statement ?? {}) as Parameters;
    const complete = Principal !== undefined && (Action ?? NotAction) !== undefined;
    // A repository policy applies to its repository, so ECR does not accept a Resource.
    if ((Effect !== 'Allow' && Effect !== 'Deny') || !complete || Resource !== undefined) throw refusal;
  }
  return String(text);
}

export function checkLifecyclePolicy(text: unknown): string {
  const refusal = invalidParameter('LifecyclePolicyText', 'Lifecycle policy validation failure');
  const { rules } = jsonObject(text, 30_720, refusal);
  if (!Array.isArray(rules) || rules.length < 1 || rules.length > 50) throw refusal;
  const priorities = new Set<unknown>();
  for (const rule of rules as Parameters[]) {
    const { rulePriority, selection, action } = rule;
    const { tagStatus, countType, countNumber } = (selection ?? {}) as Parameters;
    const { type } = (action ?? {}) as Parameters;
    const known = ['tagged', 'untagged', 'any'].includes(String(tagStatus));
    const legal = Number.isInteger(rulePriority) && known && typeof countType === 'string' && Number(countNumber) > 0;
    if (!legal || !['expire', 'transition'].includes(String(type)) || priorities.has(rulePriority)) throw refusal;
    priorities.add(rulePriority);
  }
  return String(text);
}

function record(parameter: string, value: unknown, ...known: readonly string[]): Parameters {
  if (typeof value !== 'object' || value === null) throw invalidParameter(parameter, 'must be an object');
  const parameters = value as Parameters;
  rejectUnknown(parameters, ...known);
  return parameters;
}

function jsonObject(text: unknown, limit: number, refusal: AwsError): Parameters {
  if (typeof text !== 'string' || text.length > limit) throw refusal;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refusal;
  }
  if (typeof value !== 'object' || value === null) throw refusal;
  return value as Parameters;
}
