import type { CommandContext } from './context.js';
import { runProgram } from './program.js';
import { keepYoungGenerationSmall } from './small-young-generation.js';

// Node's complaints about modules that libraries use are not lines of our log, and nothing that users can fix.
process.noDeprecation = true;
// The service has admissions to respond to, which collections would delay.
if (process.argv[2] !== 'serve') keepYoungGenerationSmall();
const { stdout, stderr, env } = process;
const context: CommandContext = {
  stdout,
  stderr,
  env,
  cwd: process.cwd(),
  // Node opens it when it is first asked for.
  get stdin() {
    return process.stdin;
  },
};
void runProgram(process.argv.slice(2), context).then((code) => {
  process.exitCode = code;
});
