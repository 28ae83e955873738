import { describe, expect, it } from 'vitest';
import { transportOf } from '../../../extension-service/src/core/engines/transport.js';
import { CA } from './example-options.js';

const given = { engine: 'webhook', caBundle: CA, networkPolicy: false, failClosed: true } as const;
const told = (options: object): readonly string[] =>
  transportOf({ ...given, excludedNamespaces: [], ...options }).warnings.filter((warning) =>
    warning.includes('to excludedNamespaces'),
  );

describe('fail-closed policies that may cover the service itself', () => {
  it.each([
    ['an address with two labels', { url: 'https://image-swapper.mirrors:8443' }],
    ['a public name', { url: 'https://swapper.example.com' }],
    ['an address of its own', { url: 'https://10.0.0.1' }],
  ])('cause a warning: %s', (_, options) => {
    expect(told(options)).toEqual([expect.stringContaining('NAME.NAMESPACE.svc')]);
  });

  it.each([
    ['a Service, whose namespace is excluded', { url: 'https://image-swapper.mirrors.svc:8443' }],
    ['the usual Service', {}],
    ['an excluded namespace', { url: 'https://a.example.com', excludedNamespaces: ['mirrors'] }],
    ['policies that fail open', { url: 'https://a.example.com', failClosed: false }],
    ['callers that know no namespaces', { url: 'https://a.example.com', excludedNamespaces: undefined }],
  ])('cause no warning: %s', (_, options) => {
    expect(told(options)).toEqual([]);
  });
});
