import { digestOf, mediaTypes } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RegistryHarness } from './registry-harness.ts'

let harness: RegistryHarness
beforeEach(async () => {
  harness = await RegistryHarness.start()
})
afterEach(() => harness[Symbol.asyncDispose]())

const now = { grace: -1 }
const has = async (repository: string, content: string) => (await harness.request('HEAD', `/v2/${repository}/blobs/${digestOf(content)}`)).status === 200

describe('collecting garbage', () => {
  it('removes what no manifest of the repository names, and nothing else', async () => {
    await harness.putImage('a', 'v1', 'wanted')
    await harness.putBlob('a', 'garbage')
    await harness.putBlob('b', 'wanted')
    expect(await harness.registry.collect(now)).toEqual({ blobs: 2, bytes: 'garbage'.length })
    expect([await has('a', 'wanted'), await has('a', 'garbage'), await has('b', 'wanted')]).toEqual([true, false, false])
    expect((await harness.files()).blobs).toHaveLength(2)
    expect((await harness.request('GET', '/v2/a/manifests/v1')).status).toBe(200)
  })

  it('removes what a deleted manifest named', async () => {
    const { digest } = await harness.putImage('a', 'v1', 'layer')
    await harness.request('DELETE', `/v2/a/manifests/${digest}`)
    expect((await harness.registry.collect(now)).blobs).toBe(2)
    expect((await harness.files()).blobs).toEqual([])
  })

  it('leaves what was pushed, mounted or asked for a short while ago', async () => {
    await harness.putBlob('a', 'pushed')
    await harness.request('POST', `/v2/b/blobs/uploads/?mount=${digestOf('pushed')}&from=a`)
    expect(await harness.registry.collect()).toEqual({ blobs: 0, bytes: 0 })
    expect([await has('a', 'pushed'), await has('b', 'pushed')]).toEqual([true, true])
  })

  it('leaves uploads alone', async () => {
    const location = await harness.begin('a')
    await harness.request('PATCH', location, { body: 'some' })
    await harness.registry.collect(now)
    expect((await harness.request('PUT', `${location}?digest=${digestOf('some')}`)).status).toBe(201)
  })

  it('goes on beside pushes, and takes nothing from a manifest that was accepted', async () => {
    const accepted: string[] = []
    await harness.putBlob('a', '{}')
    for (let index = 0; index < 20; index++) {
      const layer = `layer ${index}`
      await harness.putImage('a', 'kept', 'kept')
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: { mediaType: mediaTypes.ociConfig, digest: digestOf('{}'), size: 2 },
        layers: [await harness.putBlob('a', layer)],
      })
      // The manifest comes before, while or after its repository is looked at: in the last case it is refused.
      const [response] = await Promise.all([
        harness.request('PUT', `/v2/a/manifests/t${index}`, { body: manifest, headers: { 'Content-Type': mediaTypes.ociManifest } }),
        harness.registry.collect(now),
      ])
      if (response.status === 201) accepted.push(layer)
    }
    expect(accepted.length).toBeGreaterThan(0)
    for (const layer of accepted) expect([layer, await has('a', layer)]).toEqual([layer, true])
  })

  it('is done by one at a time, and stops when it is told', async () => {
    await harness.putImage('a', 'v1', 'layer')
    const first = harness.registry.collect(now)
    await expect(harness.registry.collect(now)).rejects.toMatchObject({ status: 409 })
    await first
    await expect(harness.registry.collect({ ...now, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    await harness.registry.collect(now)
  })
})
