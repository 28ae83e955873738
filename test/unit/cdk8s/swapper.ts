import { Testing } from 'cdk8s';
import { vi } from 'vitest';
import { ImageSwapper } from '../../../cdk8s/src/index.js';
import type { ImageSwapperProps } from '../../../cdk8s/src/index.js';

export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [key: string]: unknown;
}

/** Renders an app with this construct. `config` may be any value because users load it from YAML. */
export function swapper(props: Omit<ImageSwapperProps, 'config'> & { readonly config: unknown }) {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const chart = Testing.chart();
  const construct = new ImageSwapper(chart, 'swapper', props as ImageSwapperProps);
  return { construct, manifests: Testing.synth(chart) as Manifest[] };
}
