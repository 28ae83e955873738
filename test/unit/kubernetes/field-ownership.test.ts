import { describe, expect, it } from 'vitest';
import {
  CA_FIELD_MANAGER,
  releasePatch,
} from '../../../extension-service/src/kubernetes/serving-certificate/field-ownership.js';

const PROVIDER = { 'f:spec': { 'f:caBundle': {} } };
const WEBHOOK = { 'f:webhooks': { 'k:{"name":"a"}': { 'f:clientConfig': { 'f:caBundle': {} } } } };
const entry = (manager: string, fieldsV1: object, operation = 'Update') => ({ manager, operation, fieldsV1 });
const helm = entry('helm', { 'f:spec': { 'f:caBundle': {}, 'f:url': {} } }, 'Apply');

describe('the ownership of a caBundle', () => {
  it.each([
    ['of a Provider', entry(CA_FIELD_MANAGER, PROVIDER)],
    ['of a webhook', entry(CA_FIELD_MANAGER, WEBHOOK)],
    ['by an earlier version of the service', entry('node', PROVIDER)],
  ])('%s is given up', (_name, own) => {
    expect(releasePatch({ metadata: { resourceVersion: '7', managedFields: [helm, own] } })).toEqual([
      { op: 'test', path: '/metadata/resourceVersion', value: '7' },
      { op: 'replace', path: '/metadata/managedFields', value: [helm] },
    ]);
  });

  it.each([
    ['nobody tells', undefined],
    ['it is of others alone', [helm, entry('kubectl-patch', PROVIDER)]],
    ['the same manager owns more', [helm, entry('node', { 'f:spec': { 'f:caBundle': {}, 'f:url': {} } })]],
    ['it is applied', [helm, entry(CA_FIELD_MANAGER, PROVIDER, 'Apply')]],
    ['nothing would be left', [entry(CA_FIELD_MANAGER, PROVIDER)]],
    ['the entry is empty', [helm, entry(CA_FIELD_MANAGER, {})]],
  ])('is left as it is where %s', (_name, managedFields) => {
    expect(releasePatch({ metadata: { resourceVersion: '7', managedFields } })).toBeUndefined();
  });
});
