/** The registry's name `NAME.azurecr.io` for any of its endpoints; other names unchanged. Lower case, without a port. */
export declare function azureRegistryOf(name: string): string;
/** The same for login servers alone: the endpoint of layers takes no login. */
export declare function azureLoginServerOf(name: string): string;
