import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AuthConfig } from '@berth/api-types'
import { startRegistry } from '@berth/registry'
import { describe, expect, it } from 'vitest'
import { type CommandLine, openCommandLine } from './command-line.ts'

const configOf = (line: CommandLine): string => join(line.directory, 'docker/config.json')
const readConfig = (line: CommandLine): Record<string, unknown> => JSON.parse(readFileSync(configOf(line), 'utf8')) as Record<string, unknown>

/** What the engine is sent as credentials. */
function watchAuth(line: CommandLine): (AuthConfig | undefined)[] {
  const seen: (AuthConfig | undefined)[] = []
  const { images } = line.backend
  const [pull, push, search] = [images.pull.bind(images), images.push.bind(images), images.search.bind(images)]
  images.pull = (options) => (seen.push(options.auth), pull(options))
  images.push = (options) => (seen.push(options.auth), push(options))
  images.search = (term, options) => (seen.push(options.auth), search(term, options))
  return seen
}

describe('login and logout', () => {
  it('keep credentials in the configuration of docker, for its owner alone, and forget them', async () => {
    await using line = await openCommandLine()
    mkdirSync(join(line.directory, 'docker'))
    writeFileSync(configOf(line), '{"psFormat":"mine","auths":{"other.test":{"auth":"eDp5"}}}')
    expect(await line.feed('secret\n', 'login', '-u', 'me', '--password-stdin', 'registry.test')).toEqual({
      code: 0,
      stdout: 'Login Succeeded\n',
      stderr: `WARNING! Your credentials are stored unencrypted in '${configOf(line)}'.\nConfigure a credential helper to remove this warning.\n\n`,
    })
    expect(readConfig(line)).toEqual({ psFormat: 'mine', auths: { 'other.test': { auth: 'eDp5' }, 'registry.test': { auth: Buffer.from('me:secret').toString('base64') } } })
    expect(statSync(configOf(line)).mode & 0o777).toBe(0o600)
    expect((await line.run('logout', 'registry.test')).stdout).toBe('Removing login credentials for registry.test\n')
    expect((await line.run('logout', 'registry.test')).stdout).toBe('Not logged in to registry.test\n')
    expect(readConfig(line)).toEqual({ psFormat: 'mine', auths: { 'other.test': { auth: 'eDp5' } } })
  })

  it('are about Docker Hub when no registry is named', async () => {
    await using line = await openCommandLine()
    await line.feed('secret', 'login', '-u', 'me', '--password-stdin')
    expect(readConfig(line)).toMatchObject({ auths: { 'https://index.docker.io/v1/': { auth: expect.any(String) } } })
    expect((await line.run('logout', 'docker.io')).stdout).toBe('Removing login credentials for https://index.docker.io/v1/\n')
  })

  it('keep an identity token rather than the password', async () => {
    await using line = await openCommandLine()
    await line.feed('secret', 'login', '-u', 'token', '--password-stdin', 'registry.test')
    expect(readConfig(line)).toEqual({ auths: { 'registry.test': { auth: Buffer.from('token:').toString('base64'), identitytoken: 'identity' } } })
  })

  it('keep nothing that a registry refuses, and say nothing of it', async () => {
    await using line = await openCommandLine()
    const { code, stderr } = await line.feed('wrong', 'login', '-u', 'me', '--password-stdin', 'registry.test')
    expect([code, stderr, existsSync(configOf(line))]).toEqual([1, 'berth: login attempt to https://registry.test/v2/ failed with status: 401 Unauthorized\n', false])
  })

  it('ask on a terminal, without showing the password', async () => {
    await using line = await openCommandLine()
    const { stdin, stdout, stderr, done } = line.start(['login', 'registry.test'], { tty: true })
    await stderr.seen('Username: ')
    stdin.write('me\n')
    await stderr.seen('Password: ')
    stdin.write('secrex\x7ft\r')
    expect([await done, stdout.text]).toEqual([0, 'Login Succeeded\n'])
    expect(readConfig(line)).toEqual({ auths: { 'registry.test': { auth: Buffer.from('me:secret').toString('base64') } } })
    expect(stdin.modes).toEqual([true, false])
    expect(stdout.text + stderr.text).not.toContain('secre')
    // It is known now.
    expect(await line.run('login', 'registry.test')).toMatchObject({ code: 0, stderr: expect.stringContaining('Authenticating with existing credentials...') })
  })

  it.each([
    [['login', 'r.test'], 'Cannot perform an interactive login from a non TTY device'],
    [['login', '--password-stdin', 'r.test'], 'the --password-stdin option requires --username to be set'],
    [['login', '-u', 'me', '-p', 'x', '--password-stdin', 'r.test'], '--password and --password-stdin are mutually exclusive'],
    [['login', '-u', 'me', '--password-stdin', 'r.test'], 'password is empty'],
  ])('refuse %o', async (args, message) => {
    await using line = await openCommandLine()
    expect(await line.run(...args)).toEqual({ code: 1, stdout: '', stderr: `berth: ${message}\n` })
  })

  it('leave a configuration alone that is none', async () => {
    await using line = await openCommandLine()
    mkdirSync(join(line.directory, 'docker'))
    writeFileSync(configOf(line), '{"auths":{"a":{"auth":"c2VjcmV0"')
    const { code, stderr } = await line.feed('secret', 'login', '-u', 'me', '--password-stdin', 'registry.test')
    expect([code, stderr]).toEqual([1, `berth: ${configOf(line)} is not a configuration of docker: invalid JSON\n`])
    expect(readFileSync(configOf(line), 'utf8')).toBe('{"auths":{"a":{"auth":"c2VjcmV0"')
  })

  it('give credentials to a helper where the configuration names one', async () => {
    await using line = await openCommandLine()
    const kept = join(line.directory, 'kept')
    const bin = join(line.directory, 'bin')
    mkdirSync(bin)
    mkdirSync(join(line.directory, 'docker'))
    writeFileSync(join(bin, 'docker-credential-test'), `#!/bin/sh\ncase $1 in\n store) cat > ${kept} ;;\n get) cat > /dev/null; [ -e ${kept} ] && cat ${kept} || { echo 'credentials not found in native keychain'; exit 1; } ;;\n erase) cat > /dev/null; rm -f ${kept} ;;\nesac\n`)
    chmodSync(join(bin, 'docker-credential-test'), 0o755)
    writeFileSync(configOf(line), '{"credHelpers":{"registry.test":"test"}}')
    const path = process.env['PATH']
    process.env['PATH'] = `${bin}:${path}`
    try {
      const seen = watchAuth(line)
      expect(await line.feed('secret', 'login', '-u', 'me', '--password-stdin', 'registry.test')).toEqual({ code: 0, stdout: 'Login Succeeded\n', stderr: '' })
      expect(JSON.parse(readFileSync(kept, 'utf8'))).toEqual({ ServerURL: 'registry.test', Username: 'me', Secret: 'secret' })
      expect(readFileSync(configOf(line), 'utf8')).not.toMatch(/secret|c2VjcmV0/)
      await line.run('pull', '-q', 'registry.test/app')
      expect(seen).toMatchObject([{ username: 'me', password: 'secret' }])
      await line.run('logout', 'registry.test')
      expect(existsSync(kept)).toBe(false)
    } finally {
      process.env['PATH'] = path
    }
  })
})

describe('credentials', () => {
  it('go to the engine for the registry that they are for, and for no other', async () => {
    await using line = await openCommandLine()
    const seen = watchAuth(line)
    await line.feed('secret', 'login', '-u', 'me', '--password-stdin', 'registry.test')
    await line.run('pull', 'registry.test/app')
    await line.run('push', 'registry.test/app')
    await line.run('run', '--rm', 'registry.test/other', 'true')
    await line.run('search', 'registry.test/app')
    const mine = { username: undefined, auth: Buffer.from('me:secret').toString('base64'), serveraddress: 'registry.test' }
    expect(seen.map((auth) => ({ username: auth?.username, auth: auth?.auth, serveraddress: auth?.serveraddress }))).toEqual([mine, mine, mine, mine])
    seen.length = 0
    await line.run('pull', 'elsewhere.test/app')
    await line.run('pull', 'library/app')
    await line.run('search', 'app')
    expect(seen).toEqual([undefined, undefined, undefined])
  })
})

describe('search', () => {
  it('lists what was found', async () => {
    await using line = await openCommandLine()
    expect((await line.run('search', 'busy')).stdout).toMatch(/^NAME +DESCRIPTION +STARS +OFFICIAL\nbusybox +all about busybox +3 +\[OK\]\n$/)
    expect((await line.run('search', '--format', '{{.Name}} {{.StarCount}}', '--limit', '5', '-f', 'stars=1', 'busy')).stdout).toBe('busybox 3\n')
  })
})

describe('registry and manifest', () => {
  it('a registry is served until it is interrupted', async () => {
    await using line = await openCommandLine()
    const { stdout, done } = line.start(['registry', 'serve', '--root', join(line.directory, 'registry'), '--listen', '127.0.0.1:0'])
    await stdout.seen('\n')
    const [, address] = /at (.*)\n/.exec(stdout.text) ?? []
    expect((await fetch(`http://${address}/v2/`)).status).toBe(200)
    process.emit('SIGTERM')
    expect(await done).toBe(0)
    await expect(fetch(`http://${address}/v2/`)).rejects.toThrow('fetch failed')
    expect(await line.run('registry', 'serve', '--listen', 'nonsense')).toMatchObject({ code: 1, stderr: "berth: cannot listen at 'nonsense': an address is host:port\n" })
  })

  it('manifests are shown from a registry, without an engine', async () => {
    await using line = await openCommandLine()
    await using registry = await startRegistry({ root: join(line.directory, 'registry') })
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] }
    await fetch(`http://${registry.address}/v2/app/manifests/1`, { method: 'PUT', headers: { 'Content-Type': index.mediaType }, body: JSON.stringify(index) })
    const { code, stdout } = await line.run('-H', 'unix:///nowhere.sock', 'manifest', 'inspect', `${registry.address}/app:1`)
    expect([code, JSON.parse(stdout)]).toEqual([0, index])
    expect(JSON.parse((await line.run('manifest', 'inspect', '-v', `${registry.address}/app:1`)).stdout)).toMatchObject({ Descriptor: { mediaType: index.mediaType }, Platforms: [], Manifest: index })
    expect((await line.run('manifest', 'inspect', `${registry.address}/none`)).code).toBe(1)
    expect(await line.run('manifest', 'inspect', 'UPPER/case')).toMatchObject({ code: 1, stderr: expect.stringMatching(/^berth: .*\n$/) })
  })
})
