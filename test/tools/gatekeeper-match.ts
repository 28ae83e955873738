import { ask } from './ask.js';
import { goTool } from './tool.js';

export interface MatchQuestion {
  /** The `match` of a mutator. */
  readonly match: unknown;
  readonly pod: unknown;
}

/** Whether Gatekeeper's own matcher says that each Pod is one for the mutator; null where the match is none. */
export async function gatekeeperMatches(questions: readonly MatchQuestion[]): Promise<readonly (boolean | null)[]> {
  const command = await goTool({ module: 'gatekeeper', package: '.', command: 'match' });
  return (await ask(command, questions)) as readonly (boolean | null)[];
}
