import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { dockerCredentials } from './docker-credentials.ts'

let directory: string
const asBase64 = (text: string) => Buffer.from(text).toString('base64')
const configure = (config: unknown) => writeFile(join(directory, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config))

/** Puts a credential helper on the PATH. */
async function helper(name: string, script: string): Promise<void> {
  const path = join(directory, 'bin', `docker-credential-${name}`)
  await mkdir(join(directory, 'bin'), { recursive: true })
  await writeFile(path, `#!/bin/sh\n${script}\n`)
  await chmod(path, 0o755)
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-docker-config-'))
  vi.stubEnv('PATH', `${join(directory, 'bin')}:${process.env['PATH']}`)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true })
})
const credentials = (helperTimeout?: number) => dockerCredentials({ configDir: directory, helperTimeout })

describe('the configuration of docker', () => {
  it.each([
    ['docker.io', { auths: { 'https://index.docker.io/v1/': { auth: asBase64('me:hub') } } }, asBase64('me:hub')],
    ['registry:5000', { auths: { 'registry:5000': { auth: 'a' }, registry: { auth: 'b' } } }, 'a'],
    ['registry', { auths: { 'https://registry/v1/': { auth: 'a' } } }, 'a'],
    ['registry', { auths: { 'registry:5000': { auth: 'a' } } }, undefined],
    ['registry', {}, undefined],
    ['registry', { auths: null, credHelpers: [], credsStore: 5 }, undefined],
  ])('has for %s, from %j: %s', async (domain, config, auth) => {
    await configure(config)
    expect((await credentials()(domain))?.auth).toBe(auth)
  })

  it('may hold an identity token', async () => {
    await configure({ auths: { registry: { auth: asBase64('me:'), identitytoken: 't' } } })
    expect(await credentials()('registry')).toEqual({ auth: asBase64('me:'), identitytoken: 't', serveraddress: 'registry' })
  })

  it('may be missing', async () => expect(await credentials()('registry')).toBeUndefined())

  it('that is none is told without repeating it', async () => {
    await configure('{"auths": {"registry": {"auth": "hunter2"')
    const error: unknown = await credentials()('registry').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ kind: 'invalid-argument' })
    expect(inspect(error)).not.toContain('hunter2')
  })
})

describe('a credential helper', () => {
  it('is asked for the host that it is for, before the store for all', async () => {
    await helper('one', `read -r server; echo "$server" > ${directory}/asked; echo '{"ServerURL":"x","Username":"one","Secret":"s1"}'`)
    await helper('all', `echo '{"Username":"<token>","Secret":"s2"}'`)
    await configure({ credHelpers: { 'registry:5000': 'one' }, credsStore: 'all', auths: { 'registry:5000': {} } })
    expect(await credentials()('registry:5000')).toEqual({ username: 'one', password: 's1', serveraddress: 'registry:5000' })
    expect(await readFile(join(directory, 'asked'), 'utf8')).toBe('registry:5000\n')
    expect(await credentials()('docker.io')).toEqual({ username: '<token>', password: 's2', serveraddress: 'https://index.docker.io/v1/' })
  })

  it('that has nothing leaves it to the file', async () => {
    await helper('none', `cat >/dev/null; echo 'credentials not found in native keychain'; exit 1`)
    await configure({ credsStore: 'none', auths: { registry: { auth: 'a' } } })
    expect(await credentials()('registry')).toMatchObject({ auth: 'a' })
    expect(await credentials()('other')).toBeUndefined()
  })

  it.each([
    ['fails', 'echo hunter2; echo hunter2 >&2; exit 3', /failed with exit code 3/],
    ['babbles', 'echo hunter2', /did not answer with JSON/],
  ])('that %s is told without repeating it', async (_, script, message) => {
    await helper('bad', script)
    await configure({ credsStore: 'bad' })
    const error: unknown = await credentials()('registry').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ kind: 'unavailable', message: expect.stringMatching(message) })
    expect(inspect(error)).not.toContain('hunter2')
  })

  it('that hangs is ended', async () => {
    await helper('slow', 'exec sleep 1000')
    await configure({ credsStore: 'slow' })
    await expect(credentials(50)('registry')).rejects.toThrow('it took too long')
  })

  it.each(['../../bin/sh', 'a b', '-x/../y', '$(id)'])('is no path: %s', async (name) => {
    await configure({ credsStore: name })
    await expect(credentials()('registry')).rejects.toThrow('is not the name of a credential helper')
  })

  it('may be missing', async () => {
    await configure({ credsStore: 'absent' })
    await expect(credentials()('registry')).rejects.toThrow('docker-credential-absent is not installed')
  })
})
