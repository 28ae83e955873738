import { unreadable } from '../util/unreadable.js';
import type { Config } from '../core/config/model.js';
import { compileRules } from '../core/decide/rules.js';
import { CompleteImagesFile } from './complete-images-file.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load } from './context.js';
import { CliError, EXIT } from './exit.js';
import type { MirrorOutput } from './mirror-output.js';
import { withLayoutTarget, openLayout, planFromLayout } from './mirror-layout.js';
import { mirrorNow } from './mirror-now.js';
import { planMirror } from './mirror-plan.js';
import { planImage } from './mirror-rows.js';
import type { CheckDepth, MirrorRow, Planned } from './mirror-rows.js';
import type { OutputFormat } from './output.js';
import { readInput } from './read-input.js';
import { namingTarget } from '../kinds/registry-naming.js';

export interface MirrorFlags extends ConfigFlags {
  readonly file?: string;
  /** Checks every part of each image, including all signatures, attestations and SBOMs of every manifest. */
  readonly audit?: boolean;
  /** The same as `audit`. */
  readonly referrers?: boolean;
  /** Folders of OCI image layouts. */
  readonly toLayout?: string;
  readonly fromLayout?: string;
  readonly output: OutputFormat;
}

/** Copies images to their targets. @returns 0, or 1 if any was not mirrored */
export async function mirror(context: CommandContext, images: readonly string[], flags: MirrorFlags): Promise<number> {
  const { toLayout, fromLayout } = flags;
  if (toLayout !== undefined && fromLayout !== undefined)
    throw new CliError(EXIT.usage, 'give --to-layout or --from-layout, not both');
  const listed = flags.file === undefined ? [] : await readList(context, flags.file);
  const all = [...images, ...listed];
  if (all.length === 0 && fromLayout === undefined)
    throw new CliError(EXIT.usage, 'name at least one image, or a list with --file');
  const { config } = await load(context, flags);
  const rules = compileRules(config, namingTarget);
  const depth = flags.audit === true || flags.referrers === true ? 'audit' : 'parts';
  if (fromLayout !== undefined) {
    const { layout, planned } = await planFromLayout(rules, fromLayout, all, depth);
    return mirrorOrPlan(context, config, planned, { ...flags, layout });
  }
  const depths = new Map<string, CheckDepth>([
    // Scheduled jobs pass a list; users name images.
    ...listed.map((image) => [image, depth === 'parts' ? 'due' : depth] as const),
    ...images.map((image) => [image, depth] as const),
  ]);
  const planned = [...new Set(all)].map((image) => planImage(rules, image, depths.get(image)));
  if (toLayout === undefined) {
    const complete = listed.length > 0 ? await CompleteImagesFile.open(context) : undefined;
    return mirrorOrPlan(context, config, planned, { ...flags, ...(complete && { complete }) });
  }
  return mirrorOrPlan(
    context,
    config,
    planned.map((one) => withLayoutTarget(one, toLayout)),
    {
      ...flags,
      layout: await openLayout(toLayout),
    },
  );
}

/** Copies, or with `dryRun` shows what would be sent. @returns 0, or 1 if any was not mirrored */
export async function mirrorOrPlan(
  context: CommandContext,
  config: Config,
  planned: readonly Planned[],
  flags: MirrorOutput,
): Promise<number> {
  const rows = await (config.dryRun ? planMirror : mirrorNow)(context, config, planned, flags);
  const isOpen = ({ state, unfinished = [] }: MirrorRow): boolean => NOT_MIRRORED.has(state) || unfinished.length > 0;
  return rows.some(isOpen) ? EXIT.findings : EXIT.ok;
}

const NOT_MIRRORED: ReadonlySet<MirrorRow['state']> = new Set(['failed', 'held', 'denied']);

async function readList(context: CommandContext, file: string): Promise<string[]> {
  let source: string;
  try {
    source = await readInput(context, file);
  } catch (error) {
    throw new CliError(EXIT.usage, `--file ${file}: ${unreadable(error)}`);
  }
  return source
    .split(/\r\n|\r|\n/)
    .map((line) => line.replace(/#.*$/, '').trim())
    .filter((line) => line !== '');
}
