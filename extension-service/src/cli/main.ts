import { runProgram } from './program.js';

const { stdout, stderr, env } = process;
void runProgram(process.argv.slice(2), { stdout, stderr, env, cwd: process.cwd() }).then((code) => {
  process.exitCode = code;
});
