import { reproducible } from './sbom-document.mjs';
import { DEBIAN, NODE } from './stage-images.mjs';

/**
 * The SBOM of one image, CycloneDX 1.5 JSON: the bundle's, and Node, and the Debian packages.
 * @param packages the control paragraph of each Debian package, as dpkg writes it
 */
export function imageSbom({ bundle, packages, digest, version }) {
  const node = `pkg:generic/node@${NODE.version}`;
  const components = [
    {
      'bom-ref': node,
      type: 'application',
      name: 'node',
      version: NODE.version,
      purl: node,
      cpe: `cpe:2.3:a:nodejs:node.js:${NODE.version}:*:*:*:*:*:*:*`,
      licenses: [{ license: { id: 'MIT' } }],
    },
    ...packages.map(debianComponent).sort((a, b) => (a.name < b.name ? -1 : 1)),
  ];
  const image = `pkg:oci/image-swapper@${encodeURIComponent(digest)}`;
  const { component } = bundle.metadata;
  return reproducible({
    ...bundle,
    metadata: {
      lifecycles: [{ phase: 'build' }],
      component: { 'bom-ref': image, type: 'container', name: 'image-swapper', version, purl: image },
    },
    components: [component, ...components, ...bundle.components],
    dependencies: [
      { ref: image, dependsOn: [component['bom-ref'], ...components.map((part) => part['bom-ref'])] },
      ...bundle.dependencies,
    ],
  });
}

function debianComponent(control) {
  const field = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(control)?.[1] ?? '';
  const name = field('Package');
  const version = field('Version');
  const source = /^(\S+)(?: \((.+)\))?$/.exec(field('Source'));
  const qualifiers = [`arch=${field('Architecture')}`, `distro=debian-${DEBIAN}`];
  const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?${qualifiers.join('&')}`;
  return {
    'bom-ref': purl,
    type: 'library',
    name,
    version,
    purl,
    ...(source !== null && {
      properties: [{ name: 'image-swapper:debian:source', value: `${source[1]}@${source[2] ?? version}` }],
    }),
  };
}
