import type { z } from 'zod';
import type { CredentialSources } from '../credentials/config-credentials.js';
import type { Keychain, RegistryEndpoint } from '../registry/types.js';
import type { Parsed } from '../schema/parsed.js';
import type { RuleScope } from '../schema/rule-scope.js';
import type { CloudLogin, CloudOptions, CloudRegistry } from './cloud.js';
import type { RegistryNaming } from './naming.js';

/**
 * A kind of registry: everything that differs between `type: oci`, `aws`, `gcp` and so on. `Settings` is the mapping of
 * that name in the configuration.
 */
export interface RegistryKind<Settings> {
  /** The value of `type`, and the key of the settings. */
  readonly type: string;
  /** One sentence for the documentation of that key. */
  readonly about: string;
  /** Of a target; of a source too, unless `sourceSchema` is another. */
  readonly schema: z.ZodType<Settings>;
  readonly sourceSchema?: z.ZodType<Settings>;
  /** Checks several keys together; gets the keys that parsed, defaults included. */
  rules?(scope: RuleScope, settings: Parsed<Settings>, isSource: boolean): void;
  readonly naming: RegistryNaming<Settings>;
  /** A host of the kind has repositories of many owners: a source has its own login and probe for each path. */
  readonly sharesHosts?: true;
  /**
   * How connections are secured; unless given, with the system's CA certificates.
   *
   * @throws Error naming the key or variable whose file cannot be read
   */
  transport?(settings: Settings, env: Environment): Omit<RegistryEndpoint, 'host'>;
  /** Credentials that the settings name. */
  keychain?(host: string, settings: Settings, sources: CredentialSources): Keychain | undefined;
  /** Files that are read with the configuration: a change of theirs is a change of it. */
  files?(settings: Settings, env: Environment): readonly NamedFile[];
  /** A file with credentials that is checked with the configuration. */
  readonly credentialsFile?: CredentialsFile;
  /** Login and repositories by the API of a cloud. */
  readonly cloud?: CloudKind<Settings>;
}

/** How a kind uses the API of its cloud. */
export interface CloudKind<Settings> {
  /** Which registries the login may be sent to. */
  scope(settings: Settings, isTarget: boolean): Pick<CloudLogin, 'covers' | 'owns'>;
  /** Called once in a process, so that what the opener keeps outlives a configuration. */
  opener(options: CloudOptions): CloudOpener<Settings>;
}

export interface CloudOpener<Settings> {
  /** Calls nothing yet. `name` is `target NAME`, `source HOST` or `source HOST/PATH`. */
  open(settings: Settings, name: string): CloudRegistry;
}

/** A file that a key of the settings names, or else a variable of the environment. */
export interface CredentialsFile {
  readonly key: string;
  readonly variable: string;
  /** The kind of file that is needed, for messages. */
  readonly allowed: string;
  /** The fault of the file's text, as words that continue its name; never quotes more of the text than its type. */
  fault(text: string): string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** A file by its path; `optional` may be absent. */
export type NamedFile = string | { readonly optional: string };
