import type { CommandContext } from './context.js';
import { optimizeLate } from './late-optimization.js';
import { runProgram } from './program.js';
import { keepYoungGenerationSmall } from './small-young-generation.js';

// Node's warnings about modules of libraries do not belong in our log, and users cannot fix them.
process.noDeprecation = true;
// The service answers admissions, which garbage collections would delay.
if (process.argv[2] !== 'serve') {
  keepYoungGenerationSmall();
  optimizeLate();
}
const { stdout, stderr, env } = process;
const context: CommandContext = {
  stdout,
  stderr,
  env,
  cwd: process.cwd(),
  // Node opens it on first use.
  get stdin() {
    return process.stdin;
  },
};
void runProgram(process.argv.slice(2), context).then((code) => {
  process.exitCode = code;
});
