import { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { credentialsFor } from '../credentials/credentials.ts'

export function manifestCommand(cli: Cli): Command {
  const inspect = new Command('inspect')
    .description('show the manifest, or the index of manifests, that a registry has by a name; without an engine')
    .argument('<image>')
    .option('--insecure', 'speak to the registry without TLS, or without checking its certificate')
    .option('-v, --verbose', 'its descriptor and platforms too')
    .addHelpText('after', '\nExamples:\n  berth manifest inspect registry.example/app:1\n  berth manifest inspect -v --insecure registry:5000/app')
    .action(async (image: string, { insecure, verbose }: { insecure?: boolean; verbose?: boolean }) => {
      const [{ RegistryClient }, { parseReference }] = await Promise.all([import('@berth/registry-client'), import('@berth/oci')])
      const reference = parseReference(image)
      await using client = new RegistryClient({ insecureRegistries: insecure ? [reference.domain] : [] })
      const call = { auth: await credentialsFor(cli, image), signal: new AbortController().signal }
      const { digest, mediaType, bytes } = await client.manifest(reference, call)
      const manifest = JSON.parse(Buffer.from(bytes).toString()) as object
      if (!verbose) return cli.print(JSON.stringify(manifest, undefined, '\t'))
      const { Platforms } = await client.inspect(reference, call)
      cli.print(JSON.stringify({ Ref: image, Descriptor: { mediaType, digest, size: bytes.length }, Platforms, Manifest: manifest }, undefined, '\t'))
    })
  return new Command('manifest').description('manifests in registries').addCommand(inspect)
}
