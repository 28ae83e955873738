/** Ends the demo with a sentence that says what to do. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}
