import { ask } from './ask.js';
import { goTool } from './tool.js';

export interface CelQuestion {
  readonly expression: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export interface CelAnswer {
  readonly value?: unknown;
  /** The reason why the expression does not compile or cannot be evaluated. */
  readonly error?: string;
}

/** Evaluates CEL with the library that kube-apiserver and Kyverno use. */
export async function evaluateCel(questions: readonly CelQuestion[]): Promise<readonly CelAnswer[]> {
  const command = await goTool({ module: 'cel', package: '.', command: 'cel' });
  return (await ask(command, questions)) as readonly CelAnswer[];
}
