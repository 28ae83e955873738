import { expect, it } from 'vitest';
import { messageOf } from '../../../extension-service/src/util/message-of.js';

it.each([
  [new TypeError('no such host'), 'no such host'],
  ['a text', 'a text'],
  [undefined, 'undefined'],
  [{ code: 1 }, '[object Object]'],
])('%o: %s', (thrown, text) => expect(messageOf(thrown)).toBe(text));
