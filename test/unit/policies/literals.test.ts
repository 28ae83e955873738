import fc from 'fast-check';
import { anyCharacter } from '../characters.js';
import { describe, expect, it } from 'vitest';
import {
  celString,
  jmespathIdentifier,
  jmespathString,
} from '../../../extension-service/src/core/policies/literals.js';
import { InvalidPolicyOptionError } from '../../../extension-service/src/core/policies/problem.js';

/** Reads a CEL string literal by the grammar of the specification. @throws Error unless the source is one literal */
function readCelString(source: string): string {
  const [, body] = /^"((?:[^"\\\r\n]|\\["\\])*)"$/u.exec(source) ?? [];
  if (body === undefined) throw new Error(`not one CEL string: ${source}`);
  return body.replace(/\\(["\\])/gu, '$1');
}

/** Reads a JMESPath raw string, whose only escape is `\'`, or JSON in backticks. */
function readJmespathString(source: string): string {
  const [, json] = /^`([^`]*)`$/su.exec(source) ?? [];
  if (json !== undefined) return JSON.parse(json) as string;
  const [, body] = /^'((?:[^'\\]|\\.)*)'$/su.exec(source) ?? [];
  if (body === undefined) throw new Error(`not one JMESPath raw string: ${source}`);
  return body.replaceAll("\\'", "'");
}

const hostile = fc.oneof(
  fc.string({ unit: fc.constantFrom('"', "'", '\\', '{', '}', '$', ')', '|', ' ', 'a', '/', '[', '?', '&', '@') }),
  fc.string({ unit: anyCharacter }),
);

describe('literals in policy expressions', () => {
  const forms = [
    { name: 'CEL', write: celString, read: readCelString },
    { name: 'JMESPath', write: jmespathString, read: readJmespathString },
    { name: 'JMESPath identifier', write: jmespathIdentifier, read: (text: string) => JSON.parse(text) as string },
  ];

  it.each(forms)('$name: any text is read back unchanged, or refused', ({ write, read }) => {
    fc.assert(
      fc.property(hostile, (text) => {
        let literal: string;
        try {
          literal = write(text, 'targets[0]');
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidPolicyOptionError);
          return;
        }
        expect(read(literal)).toBe(text);
        expect(literal).not.toMatch(/\{\{|[\r\n\0]/);
        expect(literal.slice(1, -1)).not.toContain('`');
        // Kyverno also counts braces and looks for references inside quotes.
        if (write !== celString) expect(literal).not.toMatch(/[{}]|\$\(/);
      }),
    );
  });

  it.each(forms)('$name: quotes do not end the text', ({ write, read }) => {
    for (const text of [`a'b"c`, `'`, `"`, `''""`, `' || 'a' == 'a`]) expect(read(write(text, 'url'))).toBe(text);
  });

  it.each(['a\nb', 'a\rb', 'a\0b', 'a\u0085b', 'a\u2028b', 'a\u202eb', 'a`b', 'a{{b', '{{ request }}', '\ud800'])(
    'refuses %j and names the option',
    (text) => {
      for (const { write } of forms) {
        expect(() => write(text, 'targets[3]')).toThrow(expect.objectContaining({ option: 'targets[3]' }) as Error);
      }
    },
  );

  it('refuses a backslash in JMESPath, which cannot precede the closing quote', () => {
    expect(() => jmespathString('a\\', 'url')).toThrow('backslash');
    expect(readCelString(celString('a\\', 'url'))).toBe('a\\');
  });
});
