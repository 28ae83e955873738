import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { expectOk } from './kube-api.js';
import type { ApiObject, KubeApi } from './kube-api.js';

/** Creates every CustomResourceDefinition in the YAML files of the folders, and waits until they are served. */
export async function installCrds(api: KubeApi, folders: readonly string[]): Promise<void> {
  const names: string[] = [];
  for (const folder of folders) {
    for (const file of (await readdir(folder)).filter((name) => name.endsWith('.yaml'))) {
      for (const document of parseAllDocuments(await readFile(join(folder, file), 'utf8'))) {
        const object = document.toJS() as ApiObject | null;
        if (object?.kind !== 'CustomResourceDefinition') continue;
        expectOk(await api.create(object), object.metadata.name);
        names.push(object.metadata.name);
      }
    }
  }
  if (names.length === 0) throw new Error(`no CRDs in ${folders.join(', ')}`);
  for (const name of names) await established(api, name);
}

async function established(api: KubeApi, name: string): Promise<void> {
  for (let i = 0; i < 300; i += 1) {
    const { body } = await api.send('GET', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`);
    const { status } = body as { status?: { conditions?: { type: string; status: string }[] } };
    if (status?.conditions?.some((condition) => condition.type === 'Established' && condition.status === 'True'))
      return;
    await sleep(100);
  }
  throw new Error(`${name} was not established`);
}
