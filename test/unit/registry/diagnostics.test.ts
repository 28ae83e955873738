import { describe, expect, it } from 'vitest';
import { networkError } from '../../../extension-service/src/registry/transport/answers.js';
import { parseDiagnostics } from '../../../extension-service/src/registry/transport/diagnostics.js';

describe('parseDiagnostics', () => {
  it.each<[string, unknown, readonly object[]]>([
    [
      'the list of the specification',
      { errors: [{ code: 'DENIED', message: 'no', detail: { a: 1 } }] },
      [{ code: 'DENIED', message: 'no' }],
    ],
    [
      'one entry without a list',
      { errors: { code: 'MANIFEST_UNKNOWN', message: 'unknown' } },
      [{ code: 'MANIFEST_UNKNOWN', message: 'unknown' }],
    ],
    [
      'one entry called error',
      { error: { code: 'denied', message: 'no subscription' } },
      [{ code: 'DENIED', message: 'no subscription' }],
    ],
    [
      'a detail that is the only text',
      { errors: [{ code: 'DENIED', message: '', detail: 'the project is archived' }] },
      [{ code: 'DENIED', message: 'the project is archived' }],
    ],
    [
      "the reason in Artifactory's detail",
      { errors: [{ code: 'MANIFEST_INVALID', message: 'manifest invalid', detail: { description: 'HTTP 403' } }] },
      [{ code: 'MANIFEST_INVALID', message: 'manifest invalid: HTTP 403' }],
    ],
    [
      'the type of an AWS exception',
      { __type: 'ThrottlingException', message: 'Rate exceeded' },
      [{ code: 'ThrottlingException', message: 'Rate exceeded' }],
    ],
    ['a code that is a number', { errors: [{ code: 403, message: 'rule 7' }] }, [{ code: '', message: 'rule 7' }]],
    ['no entry', { errors: [] }, []],
    ['an empty entry', { errors: [{}] }, []],
    ['null', { errors: null }, []],
  ])('reads %s', (_, body, expected) => {
    expect(parseDiagnostics(JSON.stringify(body))).toEqual(expected);
  });

  it.each<[string, string, readonly object[]]>([
    [
      'S3',
      '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>',
      [{ code: 'SlowDown', message: 'Reduce your rate' }],
    ],
    [
      'Google Cloud Storage',
      "<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>",
      [{ code: 'ExpiredToken', message: 'The provided token has expired.' }],
    ],
    [
      'Azure Blob Storage, with a byte order mark',
      '\uFEFF<?xml version="1.0"?><Error><Code>ServerBusy</Code><Message>Busy.\nRequestId:1</Message></Error>',
      [{ code: 'ServerBusy', message: 'Busy. RequestId:1' }],
    ],
    ['a page', '<html><body><Error><Code>X</Code></Error></body></html>', []],
    ['an error without text', '<Error></Error>', []],
  ])('reads the error of a storage: %s', (_, body, expected) => {
    expect(parseDiagnostics(body)).toEqual(expected);
  });
});

describe('an error of all addresses of a name', () => {
  it('names each of them', () => {
    const errors = ['connect ECONNREFUSED ::1:5000', 'connect ETIMEDOUT 127.0.0.1:5000'].map((text) => new Error(text));
    const error = Object.assign(new AggregateError(errors), { code: 'ECONNREFUSED' });
    const asked = { host: 'localhost:5000', method: 'GET', url: new URL('https://localhost:5000/v2/') };
    expect(networkError(error, asked)).toMatchObject({
      kind: 'unreachable',
      message:
        'GET https://localhost:5000/v2/: ECONNREFUSED: connect ECONNREFUSED ::1:5000; connect ETIMEDOUT 127.0.0.1:5000',
    });
  });
});
