/** Props of every engine's construct. */
export interface PolicyProps {
  /**
   * Name of the rendered objects.
   * @default 'image-swapper'
   */
  readonly name?: string;
  /**
   * Base address of the extension service, such as `https://image-swapper.image-swapper.svc:8443`. The engine's route is
   * added. No user, query or fragment.
   */
  readonly url: string;
  /**
   * Refuse Pods when the service gives no usable answer.
   * @default false: they are admitted unchanged
   */
  readonly failClosed?: boolean;
  /**
   * Timeout in whole seconds, 1 to 30, for calls of the service by the API server or the engine.
   * @default 10; 1 for Gatekeeper, whose webhook allows no more
   */
  readonly timeoutSeconds?: number;
  /**
   * Namespaces to exclude, in addition to the system's (kube-system, kube-public, kube-node-lease), the engine's and
   * the service's own.
   * @default []
   */
  readonly excludedNamespaces?: readonly string[];
  /**
   * Labels of the rendered objects, in addition to `app.kubernetes.io/name`.
   * @default {}
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Annotations of the rendered objects.
   * @default {}
   */
  readonly annotations?: Readonly<Record<string, string>>;
}
