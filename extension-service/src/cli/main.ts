import { runProgram } from './program.js';

// Node's complaints about modules that libraries use are no lines of our log, and nothing that users can mend.
process.noDeprecation = true;
const { stdout, stderr, env } = process;
void runProgram(process.argv.slice(2), { stdout, stderr, env, cwd: process.cwd() }).then((code) => {
  process.exitCode = code;
});
