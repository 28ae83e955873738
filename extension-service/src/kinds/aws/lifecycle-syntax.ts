import { parseBoundedJson } from '../../core/json-bounds.js';
import { isRecord } from '../../util/is-record.js';

/**
 * What ECR rejects in a lifecycle policy, by its own description
 * (docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html): the words continue the rule's
 * number. Only what cannot become valid is listed, since ECR gets new kinds of rules. Undefined if nothing is found.
 */
export function rejectedRule(lifecyclePolicy: string): string | undefined {
  const { rules } = parseBoundedJson(lifecyclePolicy) as { readonly rules?: unknown };
  if (!Array.isArray(rules)) return undefined;
  const records = rules.filter(isRecord);
  const highest = Math.max(...records.map(({ rulePriority }) => Number(rulePriority)));
  for (const rule of records) {
    const fault = faultOf(rule, Number(rule['rulePriority']) === highest);
    if (fault !== undefined) return `rule ${records.indexOf(rule) + 1} ${fault}`;
  }
  return undefined;
}

function faultOf(rule: Readonly<Record<string, unknown>>, isLast: boolean): string | undefined {
  const { selection, action } = rule;
  // cloudposse/terraform-aws-ecr#132, #158: Terraform writes null for values that are not set.
  const empty = [rule, selection, action].filter(isRecord).flatMap((part) => nullKeys(part))[0];
  if (empty !== undefined) return `has the value null for ${empty}: leave it out`;
  if (!isRecord(selection)) return 'has no selection';
  const { tagStatus, countType, countUnit } = selection;
  const hasTags = 'tagPrefixList' in selection || 'tagPatternList' in selection;
  if (tagStatus === 'tagged' && !hasTags) return 'is for tagged images: it needs tagPatternList or tagPrefixList';
  if (tagStatus === 'untagged' && hasTags) return 'is for untagged images: leave out tagPatternList and tagPrefixList';
  if (tagStatus === 'any' && !isLast) return 'is for any images: it needs the highest rulePriority';
  // cloud-custodian/cloud-custodian#5597
  if (countType === 'imageCountMoreThan' && countUnit !== undefined) return 'counts images: leave out countUnit';
  const isAge = typeof countType === 'string' && countType.startsWith('since');
  return isAge && countUnit === undefined ? 'counts days: it needs countUnit: days' : undefined;
}

function nullKeys(part: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(part).filter((key) => part[key] === null);
}
