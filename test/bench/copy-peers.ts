import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BUNDLE } from '../fakes/service.js';
import { craneProgram } from '../tools/crane.js';
import { regclientPrograms } from '../tools/regclient.js';
import type { CorpusImage } from './corpus-images.js';

/** Source and target of a copy. */
export interface Place {
  /** host:port */
  readonly source: string;
  readonly target: string;
  readonly tls: boolean;
  /** Folder for files that the program reads. */
  readonly folder: string;
}

export type Command = readonly [program: string, ...args: string[]];

/** A program that copies images between registries. */
export interface Peer {
  readonly name: string;
  /** Whether it is image-swapper. */
  readonly ours: boolean;
  /** Writes the files that the command reads. */
  prepare(place: Place): Promise<Command>;
}

/** Number of images that crane and regsync copy in parallel. */
const AT_ONCE = 4;

/** Programs that copy all tags of a corpus. */
export async function corpusPeers(images: readonly CorpusImage[]): Promise<readonly Peer[]> {
  const crane = await craneProgram();
  const { regsync } = await regclientPrograms();
  const names = images.flatMap(({ repository, tags }) => tags.map((tag) => `${repository}:${tag}`));
  return [
    ours(names),
    {
      name: 'regsync',
      ours: false,
      prepare: async (place) => {
        const config = join(place.folder, 'regsync.yaml');
        const hosts = [place.source, place.target];
        await writeFile(
          config,
          stringify({
            version: 1,
            creds: hosts.map((registry) => ({ registry, tls: place.tls ? 'enabled' : 'disabled' })),
            defaults: { parallel: AT_ONCE },
            sync: names.map((name) => ({
              source: `${place.source}/${name}`,
              target: `${place.target}/${name}`,
              type: 'image',
            })),
          }),
        );
        return [regsync, 'once', '--config', config];
      },
    },
    {
      name: `crane, ${AT_ONCE} at once`,
      ours: false,
      prepare: async (place) => {
        const list = join(place.folder, 'crane.txt');
        const insecure = place.tls ? [] : ['--insecure'];
        await writeFile(list, names.map((name) => `${place.source}/${name} ${place.target}/${name}\n`).join(''));
        const one = ['--max-lines=1', crane, 'copy', ...insecure];
        return ['xargs', `--arg-file=${list}`, `--max-procs=${AT_ONCE}`, ...one];
      },
    },
  ];
}

/** Programs that copy one image. */
export async function bigImagePeers(repository: string, tag: string): Promise<readonly Peer[]> {
  const crane = await craneProgram();
  const { regctl } = await regclientPrograms();
  const name = `${repository}:${tag}`;
  return [
    ours([name]),
    {
      name: 'regctl',
      ours: false,
      prepare: async ({ source, target, tls }) => {
        const hosts = [source, target].flatMap((host) => ['--host', `reg=${host},tls=${tls ? 'enabled' : 'disabled'}`]);
        return [regctl, ...hosts, 'image', 'copy', `${source}/${name}`, `${target}/${name}`];
      },
    },
    {
      name: 'crane',
      ours: false,
      prepare: async ({ source, target, tls }) => {
        const insecure = tls ? [] : ['--insecure'];
        return [crane, 'copy', ...insecure, `${source}/${name}`, `${target}/${name}`];
      },
    },
  ];
}

function ours(names: readonly string[]): Peer {
  return {
    name: 'image-swapper',
    ours: true,
    prepare: async ({ source, target, tls, folder }) => {
      const [config, list] = [join(folder, 'image-swapper.yaml'), join(folder, 'images.txt')];
      const registry = (host: string): object => ({ registry: host, ...(!tls && { insecure: true }) });
      await writeFile(
        config,
        stringify({
          target: { type: 'oci', oci: registry(target) },
          source: { registries: [{ type: 'oci', oci: registry(source) }] },
        }),
      );
      await writeFile(list, names.map((name) => `${source}/${name}\n`).join(''));
      return [process.execPath, BUNDLE, 'mirror', '--config', config, '--file', list];
    },
  };
}
