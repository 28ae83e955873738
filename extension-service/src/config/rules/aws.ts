import { quoteInput } from '../../core/image/quote.js';
import { hasDualStack } from '../../core/naming/ecr.js';
import type { Problems } from '../problem.js';
import { ecrLimits } from '../schema/aws.js';
import type { Path, TreeNode } from '../tree.js';
import { childOf, formatPath, itemsOf, nodeAt, placeAt, textOf } from '../tree.js';
import type { RuleContext } from './context.js';

/** Partitions of AWS with their regions (botocore's partitions.json, `regionRegex`). */
const partitions: readonly { readonly name: string; readonly regions: RegExp }[] = [
  { name: 'aws-cn', regions: /^cn-/ },
  { name: 'aws-us-gov', regions: /^us-gov-/ },
  { name: 'aws-iso', regions: /^us-iso-/ },
  { name: 'aws-iso-b', regions: /^us-isob-/ },
  { name: 'aws-iso-e', regions: /^eu-isoe-/ },
  { name: 'aws-iso-f', regions: /^us-isof-/ },
  { name: 'aws-eusc', regions: /^eusc-/ },
  { name: 'aws', regions: /^(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-/ },
];

/** What the keys of one `aws` must be together. */
export function checkAws(
  { tree, dialect, problems }: Pick<RuleContext, 'tree' | 'dialect' | 'problems'>,
  path: Path,
  isSource: boolean,
): void {
  checkAccount(tree, [...path, 'accountId'], problems);
  if (isSource) checkAwsSource(tree, path, problems);
  checkRole(tree, path, problems);
  checkPartition(tree, path, dialect === 'anchor' ? 'warning' : 'error', problems);
  checkEcrOptions(tree, [...path, 'ecrOptions'], problems);
}

function checkAccount(tree: TreeNode, path: Path, problems: Problems): void {
  const account = textOf(nodeAt(tree, path)) ?? '';
  if (!/^[0-9]+$/.test(account) || account.length === 12) return;
  const message = `${quoteInput(account)} has ${account.length} digits, and AWS accounts have 12`;
  problems.warning(placeAt(tree, path), formatPath(path), message);
}

/** ECR Public is in no account and no region; any other registry is in one of each. */
function checkAwsSource(tree: TreeNode, path: Path, problems: Problems): void {
  const aws = nodeAt(tree, path);
  if (aws?.kind !== 'mapping') return;
  const isPublic = aws.entries.get('public');
  const open = isPublic?.node.kind === 'scalar' && isPublic.node.value === true;
  for (const key of ['accountId', 'region']) {
    const where = [...path, key];
    if (open && aws.entries.has(key)) {
      problems.error(placeAt(tree, where), formatPath(where), 'is of no use with public: true', 'leave it out');
    }
    if (!open && !aws.entries.has(key)) {
      problems.error(placeAt(tree, where), formatPath(where), 'is missing', 'public: true is for public.ecr.aws');
    }
  }
}

function checkRole(tree: TreeNode, path: Path, problems: Problems): void {
  const aws = nodeAt(tree, path);
  if (aws?.kind !== 'mapping' || aws.entries.has('role')) return;
  for (const key of ['externalId', 'roleSessionName']) {
    const where = [...path, key];
    if (aws.entries.has(key)) problems.error(placeAt(tree, where), formatPath(where), 'is of no use without role');
  }
}

function checkPartition(tree: TreeNode, path: Path, severity: 'error' | 'warning', problems: Problems): void {
  const region = textOf(nodeAt(tree, [...path, 'region'])) ?? '';
  if (!/^[a-z]{2,4}(?:-[a-z]+)+-[0-9]+$/.test(region)) return;
  const partition = partitions.find(({ regions }) => regions.test(region));
  if (partition === undefined) {
    const place = placeAt(tree, [...path, 'region']);
    const message = `${quoteInput(region)} is in no partition of AWS`;
    const allowed = 'regions begin with us, eu, ap, sa, ca, me, af, il, mx, cn, us-gov, us-iso, eu-isoe or eusc';
    problems.error(place, formatPath([...path, 'region']), message, allowed);
    return;
  }
  const endpoint = [...path, 'endpoint'];
  if (textOf(nodeAt(tree, endpoint))?.endsWith('dual-stack') === true && !hasDualStack(region)) {
    const message = `region ${region} has no dual-stack hosts`;
    problems.error(placeAt(tree, endpoint), formatPath(endpoint), message, 'allowed are standard, fips');
  }
  const role = [...path, 'role'];
  const arn = /^arn:(aws[a-z-]*):iam::/.exec(textOf(nodeAt(tree, role)) ?? '');
  if (arn === null || arn[1] === partition.name) return;
  const message = `is a role of partition ${arn[1] ?? ''}, and region ${region} is in ${partition.name}`;
  const allowed = `the ARN must begin with arn:${partition.name}:`;
  problems.add(severity, placeAt(tree, role), formatPath(role), message, allowed);
}

function checkEcrOptions(tree: TreeNode, path: Path, problems: Problems): void {
  const tags = [...path, 'tags'];
  const items = itemsOf(nodeAt(tree, tags));
  if (items.length > ecrLimits.tags) {
    const message = `there are ${items.length} tags`;
    problems.error(placeAt(tree, tags), formatPath(tags), message, `ECR allows ${ecrLimits.tags}`);
  }
  const keys = items.map((item) => textOf(childOf(item, 'key')));
  keys.forEach((key, index) => {
    if (key === undefined || keys.indexOf(key) === index) return;
    const where = [...tags, index, 'key'];
    problems.error(placeAt(tree, where), formatPath(where), `the tag ${quoteInput(key)} is there twice`);
  });
  checkExclusions(tree, path, problems);
  const encryption = [...path, 'encryptionConfiguration'];
  const type = textOf(nodeAt(tree, [...encryption, 'encryptionType'])) ?? 'AES256';
  const kmsKey = [...encryption, 'kmsKey'];
  const hasKey = nodeAt(tree, kmsKey) !== undefined;
  if (type.startsWith('KMS') && !hasKey) {
    const place = placeAt(tree, [...encryption, 'encryptionType']);
    const allowed = 'the ARN, id or alias of a KMS key; alias/aws/ecr is the one that AWS manages';
    problems.error(place, formatPath(kmsKey), `is missing, and encryptionType is ${type}`, allowed);
  }
  if (type === 'AES256' && hasKey) {
    const message = 'is not used, because encryptionType is AES256';
    problems.warning(placeAt(tree, kmsKey), formatPath(kmsKey), message, 'set encryptionType: KMS to use it');
  }
}

function checkExclusions(tree: TreeNode, path: Path, problems: Problems): void {
  const mutability = textOf(nodeAt(tree, [...path, 'imageTagMutability'])) ?? 'MUTABLE';
  const where = [...path, 'imageTagMutabilityExclusionFilters'];
  const filters = itemsOf(nodeAt(tree, where));
  const key = formatPath(where);
  if (filters.length > ecrLimits.exclusionFilters) {
    const allowed = `ECR allows ${ecrLimits.exclusionFilters}`;
    problems.error(placeAt(tree, where), key, `there are ${filters.length} filters`, allowed);
  }
  const wanted = mutability.endsWith('_WITH_EXCLUSION');
  if (wanted && filters.length === 0) {
    const message = `is missing, and imageTagMutability is ${mutability}`;
    problems.error(placeAt(tree, [...path, 'imageTagMutability']), key, message, 'a list such as [{filter: latest}]');
  }
  if (!wanted && filters.length > 0) {
    const message = `is of no use with imageTagMutability ${quoteInput(mutability)}`;
    problems.error(placeAt(tree, where), key, message, 'use IMMUTABLE_WITH_EXCLUSION or MUTABLE_WITH_EXCLUSION');
  }
}
