import type * as z from 'zod';
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
  /** For targets; also for sources, unless `sourceSchema` differs. */
  readonly schema: z.ZodType<Settings>;
  readonly sourceSchema?: z.ZodType<Settings>;
  /** Checks combinations of keys; receives the keys that parsed, including defaults. */
  rules?(scope: RuleScope, settings: Parsed<Settings>, isSource: boolean): void;
  readonly naming: RegistryNaming<Settings>;
  /** The key by which no tag of a target can move, in dots; undefined if tags can move. */
  immutableTagsKey?(settings: Parsed<Settings>): string | undefined;
  /** A host of this kind has repositories of many owners: a source has its own login and probe for each path. */
  readonly sharesHosts?: true;
  /**
   * How connections are secured; by default with the system's CA certificates.
   *
   * @throws Error with the key or variable whose file cannot be read
   */
  transport?(settings: Settings, env: Environment): Omit<RegistryEndpoint, 'host'>;
  /** Credentials in the settings. */
  keychain?(host: string, settings: Settings, sources: CredentialSources): Keychain | undefined;
  /** Files that belong to the configuration: a change to one of them is a change to the configuration. */
  files?(settings: Settings, env: Environment): readonly NamedFile[];
  /** A file with credentials that is checked with the configuration. */
  readonly credentialsFile?: CredentialsFile;
  /** Login and repositories through the API of a cloud. */
  readonly cloud?: CloudKind<Settings>;
}

/** How a kind uses the API of its cloud. */
export interface CloudKind<Settings> {
  /** The registries that the login may be sent to. */
  scope(settings: Settings, isTarget: boolean): Pick<CloudLogin, 'covers' | 'owns'>;
  /** Called once per process, so that the opener's state outlives a configuration. */
  opener(options: CloudOptions): CloudOpener<Settings>;
}

export interface CloudOpener<Settings> {
  /** Makes no calls yet. `name` is `target NAME`, `source HOST` or `source HOST/PATH`. */
  open(settings: Settings, name: string): CloudRegistry;
}

/** A file that a setting names, or else an environment variable. */
export interface CredentialsFile {
  readonly key: string;
  readonly variable: string;
  /** The required kind of file, for messages. */
  readonly allowed: string;
  /** The problem with the file's text, as a continuation of its name; never quotes more of the text than its type. */
  fault(text: string): string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** A file by its path; `optional` may be absent. */
export type NamedFile = string | { readonly optional: string };
