import { REGISTRY_KINDS } from '../../kinds/kinds.js';
import type { RuleContext } from './context.js';
import { settingsOf, targetsOf } from './registries.js';

/** Images that a cluster uses without recording them would be deleted while in use. */
export function checkGc(context: RuleContext): void {
  const { gc, reconcile } = context.config;
  if (gc?.enabled === true && gc.cluster === undefined)
    context.error(
      ['gc', 'enabled'],
      'is true, and this cluster records no uses',
      'set gc.cluster, and list it in gc.clusters',
    );
  else if (gc?.enabled === true && gc.cluster !== undefined && gc.clusters?.includes(gc.cluster) !== true)
    context.error(['gc', 'clusters'], `does not have ${gc.cluster}, this cluster itself`, 'add it');
  if (gc?.cluster === undefined) return;
  if (reconcile?.enabled === false) {
    const message = 'needs reconcile.enabled: uses are recorded from the watches of the cluster';
    context.error(['gc', 'cluster'], message, 'set reconcile.enabled: true');
  }
  for (const target of targetsOf(context)) {
    const { path, config } = target;
    for (const kind of REGISTRY_KINDS) {
      const settings = settingsOf(target, kind.type);
      const key = settings && kind.immutableTagsKey?.(settings);
      if (key === undefined) continue;
      const message = `conflicts with ${kind.type}.${key}: the tag of a usage record must be able to move`;
      context.error(['gc', 'cluster'], message, `set ${key.split('.').at(-1)}: false, or leave gc.cluster out`);
    }
    const own = [...path, 'imageCopyPolicy'];
    const policy = context.isWritten(own) ? config?.imageCopyPolicy : context.config.imageCopyPolicy;
    if (policy !== 'none') continue;
    const message = 'conflicts with imageCopyPolicy none: the uses of images that are never copied are not recorded';
    context.error(['gc', 'cluster'], message, 'set imageCopyPolicy: delayed, or leave gc.cluster out');
  }
}
