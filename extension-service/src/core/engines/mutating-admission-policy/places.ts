import { SKIP_CONTAINERS_KEY } from '../../decide/pod.js';
import { takesUpdates } from '../../decide/image-places.js';
import type { ImagePlace } from '../../decide/image-places.js';
import { MAX_CONTAINERS } from '../../decide/decide.js';
import { PLACEHOLDER_IMAGES } from '../../decide/placeholders.js';
import { celString } from '../../policies/literals.js';
import type { CelCondition } from '../../policies/objects.js';
import {
  celHasImage,
  celImage,
  celNeverPulled,
  IS_UPDATE,
  OLD_EPHEMERAL_NAMES,
} from '../../policies/pod-conditions.js';
import { celOf } from '../../policies/pushdown/cel.js';
import { operatorsInCel } from '../../policies/pushdown/operators.js';
import { OPTED_OUT } from '../../policies/pushdown/opted-out.js';
import type { ResolvedPodOptions } from '../../policies/options.js';
import type { FilterConditions } from './limits.js';

/**
 * The variables up to `places`: the entries with an image that this request may still change, each as a map of `path`,
 * `name` and `image`, without those that filters and opt-outs exclude.
 */
export function placeVariables(
  filters: Pick<FilterConditions, 'pod' | 'place'>,
  { places, operators }: ResolvedPodOptions,
): readonly CelCondition[] {
  const ofOperator = operatorsInCel(operators);
  const skipped = filters.place.map((text) => ` && !${text}`).join('\n    ');
  return [
    {
      name: 'leftAlone',
      expression: [
        STATIC_POD,
        celOf(OPTED_OUT, 'filters'),
        ...(ofOperator === undefined ? [] : [ofOperator]),
        ...filters.pod,
      ].join('\n  || '),
    },
    { name: 'oldEphemeralNames', expression: OLD_EPHEMERAL_NAMES },
    { name: 'optedOutNames', expression: OPTED_OUT_NAMES },
    // An update can add entries in some locations only: existing entries, like everything else in a running Pod,
    // cannot change.
    { name: 'all', expression: places.map(entriesOf).join('\n+ ') },
    {
      name: 'places',
      expression: [
        `variables.leftAlone || size(variables.all) > ${MAX_CONTAINERS} ? [] : variables.all.filter(c,`,
        `  !(c.image in [${UNSWAPPED_IMAGES}]) && c.optedOut == ""${skipped === '' ? '' : `\n   ${skipped}`})`,
      ].join('\n'),
    },
  ];
}

const UNSWAPPED_IMAGES = ['', ...PLACEHOLDER_IMAGES].map((image) => celString(image, 'image')).join(', ');

/** The kubelet has already started it from its own manifest; the API object only mirrors it. */
const STATIC_POD = '(has(object.metadata.annotations) && "kubernetes.io/config.mirror" in object.metadata.annotations)';

const SKIPPED = `object.metadata.annotations[${celString(SKIP_CONTAINERS_KEY, 'annotation')}]`;
const OPTED_OUT_NAMES =
  `has(object.metadata.annotations) && ${celString(SKIP_CONTAINERS_KEY, 'annotation')} in object.metadata.annotations` +
  ` ? ${SKIPPED}.split(",").map(name, name.trim()) : []`;

function entriesOf(place: ImagePlace): string {
  const entries = `object.spec.${place.list}`;
  const mayChange = takesUpdates(place) ? `has(${entries})` : `!(${IS_UPDATE}) && has(${entries})`;
  const isNew = takesUpdates(place) ? ' && !(c.name in variables.oldEphemeralNames)' : '';
  const named = `"${place.key}/" + string(c.${place.name}) in variables.optedOutNames`;
  const optedOut =
    place.kind === 'container' ? `string(c.${place.name}) in variables.optedOutNames || ${named}` : named;
  const path = `"/spec/${place.list}/" + string(i) + "/${place.image.join('/')}"`;
  return (
    `(${mayChange} ? ${entries} : []).transformList(i, c, ${celHasImage(place, 'c')} && !${celNeverPulled(place, 'c')}${isNew},\n` +
    `  {"path": ${path}, "name": string(c.${place.name}), "image": string(${celImage(place, 'c')}),\n` +
    // The API server rejects a map with values of different types.
    `   "optedOut": ${optedOut} ? "yes" : ""})`
  );
}
