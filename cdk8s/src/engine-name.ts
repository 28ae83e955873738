import type { EngineName as Known } from '../../extension-service/src/core/engines/names.js';

/** The engines, written out: the published declarations must not name the core's types. */
export type EngineName = 'kyverno' | 'kyverno-clusterpolicy' | 'gatekeeper' | 'webhook' | 'mutatingadmissionpolicy';

/** Does not compile when the two differ. */
type IsSame<One, Other> = [One] extends [Other] ? ([Other] extends [One] ? true : false) : false;
const isComplete: IsSame<EngineName, Known> = true;
void isComplete;
