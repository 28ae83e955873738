import { quoteInput } from '../../core/image/quote.js';
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

/** Every registry of the configuration, by its path. */
export function registryPaths(tree: TreeNode): readonly Path[] {
  return [
    ...(childOf(tree, 'target') === undefined ? [] : [['target']]),
    ...itemsOf(childOf(tree, 'targets')).map((_, index) => ['targets', index]),
    ...itemsOf(nodeAt(tree, ['source', 'registries'])).map((_, index) => ['source', 'registries', index]),
  ];
}

/** What the parts of one registry must be together. */
export function checkRegistries({ tree, dialect, problems }: RuleContext): void {
  for (const path of registryPaths(tree)) {
    const part = (...keys: string[]): Path => [...path, ...keys];
    checkAccount(tree, part('aws', 'accountId'), problems);
    checkPartition(tree, part('aws'), dialect === 'anchor' ? 'warning' : 'error', problems);
    checkEcrOptions(tree, part('aws', 'ecrOptions'), problems);
    checkCredentials(tree, part('oci', 'credentials'), problems);
    const plain = childOf(nodeAt(tree, part('oci')), 'insecure');
    const caFile = part('oci', 'caFile');
    if (plain?.kind === 'scalar' && plain.value === true && nodeAt(tree, caFile) !== undefined) {
      problems.warning(placeAt(tree, caFile), formatPath(caFile), 'is not read, because insecure is true');
    }
  }
}

function checkAccount(tree: TreeNode, path: Path, problems: Problems): void {
  const account = textOf(nodeAt(tree, path)) ?? '';
  if (!/^[0-9]+$/.test(account) || account.length === 12) return;
  const message = `${quoteInput(account)} has ${account.length} digits, and AWS accounts have 12`;
  problems.warning(placeAt(tree, path), formatPath(path), message);
}

function checkPartition(tree: TreeNode, path: Path, severity: 'error' | 'warning', problems: Problems): void {
  const region = textOf(nodeAt(tree, [...path, 'region'])) ?? '';
  if (!/^[a-z]{2,4}(?:-[a-z]+)+-[0-9]+$/.test(region)) return;
  const partition = partitions.find(({ regions }) => regions.test(region));
  if (partition === undefined) {
    const place = placeAt(tree, [...path, 'region']);
    const message = `${quoteInput(region)} is in no partition of AWS that is known here; it is taken as one of the usual`;
    problems.warning(place, formatPath([...path, 'region']), message);
    return;
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

function checkCredentials(tree: TreeNode, path: Path, problems: Problems): void {
  const node = nodeAt(tree, path);
  if (node?.kind !== 'mapping') return;
  const sources = ['secretName', 'password', 'passwordFile', 'dockerConfigFile'];
  const given = sources.filter((key) => node.entries.has(key));
  const report = (key: string, message: string, allowed?: string) => {
    const where = key === '' ? path : [...path, key];
    problems.error(placeAt(tree, where), formatPath(where), message, allowed);
  };
  if (given.length === 0) {
    report('', 'says nothing about how to log in', `one of ${sources.join(', ')} is needed`);
  } else if (given.length > 1) {
    report(given[1] ?? '', `is there besides ${given[0] ?? ''}`, `one of ${sources.join(', ')} is allowed`);
  }
  const withUser = node.entries.has('password') || node.entries.has('passwordFile');
  if (withUser && !node.entries.has('username')) report('username', 'is missing, and there is a password');
  if (node.entries.has('username') && !withUser && given.length > 0) {
    report('username', `is of no use with ${given[0] ?? ''}`, 'it goes with password or passwordFile');
  }
  if (node.entries.has('namespace') && !node.entries.has('secretName')) {
    report('namespace', 'is of no use without secretName');
  }
}
