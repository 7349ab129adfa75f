import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { parseOptions, usage } from './options.ts'

const dir = mkdtempSync(join(tmpdir(), 'berthd-options-'))
afterAll(() => rmSync(dir, { recursive: true }))

function configFile(content: string): string {
  const path = join(dir, `${Math.random()}.json`)
  writeFileSync(path, content)
  return path
}

it('takes several hosts, and dockerd-like defaults for the rest', () => {
  expect(parseOptions(['--exec-root', '/e', '-H', 'unix:///a.sock', '-H', 'tcp://127.0.0.1:2375', '--insecure-registry', 'r:5000'])).toMatchObject({
    dataRoot: '/var/lib/berth',
    hosts: ['unix:///a.sock', 'tcp://127.0.0.1:2375'],
    pidfile: '/e/berthd.pid',
    logLevel: 'info',
    insecureRegistries: ['r:5000'],
    liveRestore: true,
  })
})

it('reads the configuration file', () => {
  expect(parseOptions(['--config-file', configFile('{"bip":"10.1.0.1/16","hosts":["unix:///b.sock"],"live-restore":false,"shutdown-timeout":3}')])).toMatchObject({
    bip: '10.1.0.1/16',
    hosts: ['unix:///b.sock'],
    liveRestore: false,
    shutdownTimeout: 3,
  })
})

it('knows two ways with an exec whose client goes', () => {
  expect([[], ['--exec-on-disconnect', 'kill']].map((args) => (parseOptions(args) as { execOnDisconnect: string }).execOnDisconnect)).toEqual(['keep', 'kill'])
  expect(() => parseOptions(['--exec-on-disconnect', 'maybe'])).toThrow("--exec-on-disconnect must be keep or kill, not 'maybe'")
})

it('takes a switch with or without its value', () => {
  expect(['--live-restore', '--live-restore=true', '--live-restore=false'].map((flag) => (parseOptions([flag]) as { liveRestore: boolean }).liveRestore)).toEqual([true, true, false])
  expect(() => parseOptions(['--live-restore=maybe'])).toThrow(/live-restore/)
})

it('takes which user namespaces containers get, and where CDI devices are told of', () => {
  expect(parseOptions(['--userns', 'private', '--userns-remap', 'sam:crew', '--cdi-spec-dir', '/a', '--cdi-spec-dir', '/b'])).toMatchObject({ userns: 'private', usernsRemap: 'sam:crew', cdiSpecDirs: ['/a', '/b'] })
  expect(() => parseOptions(['--userns', 'container:x'])).toThrow(/--userns must be host or private/)
})

it('takes how registries are reached from flags, the file or the environment', () => {
  const env = { HTTP_PROXY: 'http://from-env:1', https_proxy: 'http://from-env:2', NO_PROXY: 'env.test' }
  const file = configFile('{"proxies":{"http-proxy":"http://from-file:1","no-proxy":"file.test"},"max-concurrent-downloads":7,"certs-dirs":["/c"]}')
  expect(parseOptions(['--config-file', file, '--max-concurrent-uploads', '9'], env)).toMatchObject({
    httpProxy: 'http://from-file:1',
    httpsProxy: 'http://from-env:2',
    noProxy: 'file.test',
    maxConcurrentDownloads: 7,
    maxConcurrentUploads: 9,
    certsDirs: ['/c'],
  })
  expect(parseOptions([])).toMatchObject({ httpProxy: undefined, maxConcurrentDownloads: 3, maxConcurrentUploads: 3, certsDirs: ['/etc/berth/certs.d', '/etc/docker/certs.d'] })
})

it.each([
  [['--nonsense'], /--nonsense/],
  [['--max-concurrent-downloads', '0'], /--max-concurrent-downloads must be a number of at least 1, not '0'/],
  [['--certs-dir', 'relative'], /--certs-dir must be an absolute path/],
  [['stray'], /stray/],
  [['--data-root', 'relative'], /--data-root must be an absolute path/],
  [['-H', 'http://x'], /cannot listen on 'http:\/\/x'/],
  [['-H', 'tcp://127.0.0.1:99999'], /cannot listen on 'tcp:\/\/127.0.0.1:99999'/],
  [['--log-level', 'loud'], /log level 'loud'/],
  [['--shutdown-timeout', 'soon'], /shutdown timeout 'soon'/],
  [['--config-file', '/does/not/exist'], /cannot read the configuration file/],
])('refuses %j', (args, message) => {
  expect(() => parseOptions(args)).toThrow(message)
})

it.each([
  ['{', /not JSON/],
  ['[]', /JSON object/],
  ['{"unknown":1}', /unknown setting: unknown/],
  ['{"hosts":"unix:///a"}', /hosts must be a list of strings/],
  ['{"proxies":{"ftp-proxy":"x"}}', /unknown setting: proxies.ftp-proxy/],
  ['{"proxies":"x"}', /unknown setting: proxies/],
])('refuses the configuration %s', (content, message) => {
  expect(() => parseOptions(['--config-file', configFile(content)])).toThrow(message)
})

it('refuses a setting that is given twice', () => {
  expect(() => parseOptions(['--bip', '10.0.0.1/8', '--config-file', configFile('{"bip":"10.1.0.1/16"}')])).toThrow(/both by a flag and in the configuration file: bip/)
})

it('names every flag in its help', () => {
  expect(parseOptions(['-h'])).toBe('help')
  expect(usage()).toMatch(/--registry-mirror VALUE/)
})

it('has defaults for containers, by flags and in the file as dockerd has them', () => {
  const profile = configFile('{"defaultAction":"SCMP_ACT_ALLOW"}')
  const flags = ['--init', '--default-ulimit', 'nofile=100:200', '--default-shm-size', '16m', '--default-ipc-mode', 'shareable', '--default-cgroupns-mode=private', '--seccomp-profile', profile, '--no-new-privileges']
  const defaults = {
    Init: true, ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }], ShmSize: 16 << 20, IpcMode: 'shareable', CgroupnsMode: 'private',
    seccompProfile: '{"defaultAction":"SCMP_ACT_ALLOW"}', noNewPrivileges: true,
  } // prettier-ignore
  expect(parseOptions(flags)).toMatchObject({ containerDefaults: defaults })
  const file = {
    init: true, 'default-ulimits': { nofile: { Name: 'nofile', Soft: 100, Hard: 200 } }, 'default-shm-size': '16777216', 'default-ipc-mode': 'shareable',
    'default-cgroupns-mode': 'private', 'seccomp-profile': profile, 'no-new-privileges': true,
  } // prettier-ignore
  expect(parseOptions(['--config-file', configFile(JSON.stringify(file))])).toMatchObject({ containerDefaults: defaults })
  expect((parseOptions([]) as { containerDefaults: object }).containerDefaults).toEqual({})
})

it.each([
  ['--default-ulimit', 'nofile'],
  ['--default-ulimit', 'nofile=2:1'],
  ['--default-shm-size', '0'],
  ['--default-shm-size', '1x'],
  ['--default-ipc-mode', 'host'],
  ['--default-cgroupns-mode', 'x'],
  ['--seccomp-profile', '/absent'],
])('refuses %s %s', (flag, value) => {
  expect(() => parseOptions([flag, value])).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
})

it('has a log driver for containers that do not say, by flags and in the file as dockerd has it', () => {
  expect(parseOptions([])).toMatchObject({ logConfig: { driver: 'json-file', options: {} } })
  const expected = { logConfig: { driver: 'local', options: { 'max-size': '10m', tag: 'a=b' } } }
  expect(parseOptions(['--log-driver', 'local', '--log-opt', 'max-size=10m', '--log-opt', 'tag=a=b'])).toMatchObject(expected)
  expect(parseOptions(['--config-file', configFile('{"log-driver":"local","log-opts":{"max-size":"10m","tag":"a=b"}}')])).toMatchObject(expected)
  expect(() => parseOptions(['--log-opt', 'max-size'])).toThrow("the log option 'max-size' is not NAME=VALUE")
  expect(() => parseOptions(['--config-file', configFile('{"log-opts":{"max-file":3}}')])).toThrow('log-opts must be a list of strings')
})
