import { ask } from './ask.js';
import { goTool } from './tool.js';

export interface MatchQuestion {
  /** The `match` of a mutator. */
  readonly match: unknown;
  readonly pod: unknown;
}

/** For each question, whether Gatekeeper's own matcher selects the Pod; null where the `match` is not valid. */
export async function gatekeeperMatches(questions: readonly MatchQuestion[]): Promise<readonly (boolean | null)[]> {
  const command = await goTool({ module: 'gatekeeper', package: '.', command: 'match' });
  return (await ask(command, questions)) as readonly (boolean | null)[];
}
