import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readCertsDirs } from './read-certs-dirs.ts'

const pem = (name: string) => `-----BEGIN ${name}-----`
let root: string

beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'berth-certs-'))))
afterEach(() => rm(root, { recursive: true }))

async function put(files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), content)
  }
}
const read = (domain: string) => readCertsDirs([join(root, 'a'), join(root, 'b')])(domain)

it('takes the first directory that has one for the host', async () => {
  await put({ 'b/registry/hosts.toml': 'server = "https://b"', 'b/_default/hosts.toml': 'server = "https://default"' })
  expect((await read('registry'))?.server?.url).toBe('https://b')
  expect((await read('other'))?.server?.url).toBe('https://default')
  await put({ 'a/registry/hosts.toml': 'server = "https://a"' })
  expect((await read('registry'))?.server?.url).toBe('https://a')
})

it('finds ports in both ways of writing', async () => {
  await put({ 'a/registry:5000/hosts.toml': 'server = "https://colon"', 'a/registry/hosts.toml': 'server = "https://without"' })
  expect((await read('registry:5000'))?.server?.url).toBe('https://colon')
  await put({ 'a/registry_5000_/hosts.toml': 'server = "https://underscore"' })
  expect((await read('registry:5000'))?.server?.url).toBe('https://underscore')
})

it('knows nothing of others', async () => {
  await put({ 'outside/hosts.toml': 'server = "https://evil"' })
  for (const domain of ['registry', '..', '.', '../outside', 'a/../../outside', '']) expect(await read(domain)).toBeUndefined()
})

it("reads hosts.toml with its certificates, and not Docker's beside it", async () => {
  await put({
    'a/registry/hosts.toml': 'ca = "ca.pem"\n[host."https://mirror/prefix"]\ncapabilities = ["pull"]\nclient = [["c.pem", "k.pem"]]\n',
    'a/registry/ca.pem': pem('CA'),
    'a/registry/c.pem': pem('C'),
    'a/registry/k.pem': pem('K'),
    'a/registry/ignored.crt': pem('IGNORED'),
  })
  expect(await read('registry')).toMatchObject({
    server: { ca: [pem('CA')], client: [] },
    mirrors: [{ url: 'https://mirror/prefix', capabilities: ['pull'], ca: [], client: [{ cert: pem('C'), key: pem('K') }] }],
  })
  expect((await read('registry'))?.server).not.toHaveProperty('url')
})

it("reads Docker's certificates and keys", async () => {
  await put({ 'a/registry/z.crt': pem('Z'), 'a/registry/a.crt': pem('A'), 'a/registry/client.cert': pem('C'), 'a/registry/client.key': pem('K'), 'a/registry/readme.txt': '' })
  expect(await read('registry')).toEqual({ server: { ca: [pem('A'), pem('Z')], client: [{ cert: pem('C'), key: pem('K') }] } })
})

it.each([
  [{ 'a/registry/client.cert': pem('C') }, /missing key client\.key for .*\/a\/registry\/client\.cert$/],
  [{ 'a/registry/client.key': pem('K') }, /missing client certificate client\.cert for .*client\.key$/],
  [{ 'a/registry/ca.crt': 'hunter2' }, /ca\.crt holds no certificate or key in PEM$/],
  [{ 'a/registry/hosts.toml': 'ca = "absent.pem"' }, /absent\.pem cannot be read$/],
  [{ 'a/registry/hosts.toml': 'capabilities = ["fly"]' }, /a\/registry\/hosts\.toml: unknown capability fly$/],
])('refuses %j', async (files, message) => {
  await put(files)
  await expect(read('registry')).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringMatching(message) })
})
