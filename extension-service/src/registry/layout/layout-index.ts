import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseBoundedJson } from '../../core/json-bounds.js';
import { InvalidManifestError, MEDIA_TYPES, parseDescriptor } from '../manifest.js';
import type { Descriptor } from '../types.js';
import { isRecord } from '../../util/is-record.js';
import { UNFINISHED, type BlobFiles } from './blob-files.js';

/** OCI image-spec, annotations.md: the name of an entry of `index.json`. */
export const REF_NAME = 'org.opencontainers.image.ref.name';

const MAX_INDEX_BYTES = 64 * 1024 * 1024;
const LAYOUT_VERSION = '1.0.0';

/** An entry of `index.json`, with its unknown fields. */
interface Entry {
  readonly descriptor: Descriptor;
  readonly name?: string;
}

/** The file `index.json` of an OCI image layout: the named manifests, and the unnamed ones. */
export class LayoutIndex {
  #entries: Entry[];
  #rest: Readonly<Record<string, unknown>>;
  #writing: Promise<void> = Promise.resolve();
  #isWaiting = false;

  private constructor(
    private readonly files: BlobFiles,
    entries: readonly Entry[],
    rest: Readonly<Record<string, unknown>>,
  ) {
    this.#entries = [...entries];
    this.#rest = rest;
  }

  /** @throws RegistryError if the folder is not an OCI image layout */
  static async read(folder: string, files: BlobFiles): Promise<LayoutIndex> {
    const layout = parsed(await text(folder, 'oci-layout', files), 'oci-layout', files);
    const version = layout['imageLayoutVersion'];
    if (version !== LAYOUT_VERSION)
      throw files.error(`oci-layout: imageLayoutVersion is ${JSON.stringify(version)}, and ${LAYOUT_VERSION} is read`);
    const { manifests, ...rest } = parsed(await text(folder, 'index.json', files), 'index.json', files);
    if (!Array.isArray(manifests)) throw files.error('index.json has no list "manifests"');
    return new LayoutIndex(
      files,
      manifests.map((entry: unknown) => entryOf(entry, files)),
      rest,
    );
  }

  /** Like {@link read}; an empty or new folder becomes a layout. */
  static async open(folder: string, files: BlobFiles): Promise<LayoutIndex> {
    if (!(await isEmpty(folder))) {
      await files.removeUnfinished();
      return LayoutIndex.read(folder, files);
    }
    const index = new LayoutIndex(files, [], { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex });
    await files.writeFile('oci-layout', JSON.stringify({ imageLayoutVersion: LAYOUT_VERSION }));
    await index.write();
    return index;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  find(name: string): Descriptor | undefined {
    return this.#entries.find((entry) => entry.name === name)?.descriptor;
  }

  /** Gives a manifest a name, and removes the name from any other. */
  async setName(name: string, descriptor: Descriptor): Promise<void> {
    const named = { ...descriptor, annotations: { ...descriptor.annotations, [REF_NAME]: name } };
    await this.#put((entry) => entry.name === name, { descriptor: named, name });
  }

  /** Lists a manifest that has no name, such as a signature. */
  async addUnnamed(descriptor: Descriptor): Promise<void> {
    const isSame = (entry: Entry): boolean => entry.name === undefined && entry.descriptor.digest === descriptor.digest;
    await this.#put(isSame, { descriptor });
  }

  async #put(replaces: (entry: Entry) => boolean, entry: Entry): Promise<void> {
    const [before] = this.#entries.filter(replaces);
    if (before !== undefined && JSON.stringify(before.descriptor) === JSON.stringify(entry.descriptor)) return;
    this.#entries = [...this.#entries.filter((other) => !replaces(other)), entry];
    await this.write();
  }

  /** By rename. Calls while the file is being written are combined into one more write. */
  async write(): Promise<void> {
    if (this.#isWaiting) return this.#writing;
    this.#isWaiting = true;
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        this.#isWaiting = false;
        const manifests = this.#entries.map(({ descriptor }) => descriptor);
        await this.files.writeFile('index.json', `${JSON.stringify({ ...this.#rest, manifests }, null, 2)}\n`);
      });
    return this.#writing;
  }
}

function entryOf(value: unknown, files: BlobFiles): Entry {
  try {
    const descriptor = parseDescriptor(value);
    const name = descriptor.annotations?.[REF_NAME];
    return { descriptor, ...(name !== undefined && { name }) };
  } catch (error) {
    if (error instanceof InvalidManifestError) throw files.error(`index.json: ${error.message}`);
    throw error;
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).every((name) => name === UNFINISHED || name === 'lost+found');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}

async function text(folder: string, name: string, files: BlobFiles): Promise<string> {
  try {
    const path = join(folder, name);
    const { size } = await stat(path);
    if (size > MAX_INDEX_BYTES) throw files.error(`${name} has ${size} bytes; at most ${MAX_INDEX_BYTES} are read`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw files.error(`this is not an OCI image layout: ${name}: ${(error as Error).message}`, 'absent');
  }
}

function parsed(source: string, name: string, files: BlobFiles): Record<string, unknown> {
  try {
    const json = parseBoundedJson(source);
    if (isRecord(json)) return json;
  } catch (error) {
    throw files.error(`${name} is not JSON: ${(error as Error).message}`);
  }
  throw files.error(`${name} is not a JSON object`);
}
