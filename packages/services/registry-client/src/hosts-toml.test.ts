import { expect, it } from 'vitest'
import { parseHostsToml } from './hosts-toml.ts'

it('reads what containerd documents', () => {
  const read = parseHostsToml(`
    server = "https://registry-1.docker.io"
    ca = "/etc/certs/docker.pem"

    [host."https://z-first.example.com"]
      capabilities = ["pull", "Resolve"]
      ca = ["/etc/certs/test-1-ca.pem", "special.pem"]
      client = [["cert.pem", "key.pem"], ["other.cert", "other.key"]]
      skip_verify = false
      override_path = true
      dial_timeout = "1m1.5s"
      [host."https://z-first.example.com".header]
        x-custom-1 = "custom header"
        x-custom-2 = ["a", "b"]

    [host."http://a-second.example.com:5000/prefix"]
      client = "both.pem"
    [host."third.example.com"]
  `)
  expect(read.server).toMatchObject({ url: 'https://registry-1.docker.io', caFiles: ['/etc/certs/docker.pem'], capabilities: undefined })
  expect(read.hosts).toMatchObject([
    {
      url: 'https://z-first.example.com',
      capabilities: ['pull', 'resolve'],
      caFiles: ['/etc/certs/test-1-ca.pem', 'special.pem'],
      clientFiles: [{ cert: 'cert.pem', key: 'key.pem' }, { cert: 'other.cert', key: 'other.key' }],
      skipVerify: false,
      overridePath: true,
      dialTimeout: 61_500,
      headers: { 'x-custom-1': 'custom header', 'x-custom-2': 'a, b' },
    },
    { url: 'http://a-second.example.com:5000/prefix', clientFiles: [{ cert: 'both.pem', key: 'both.pem' }] },
    { url: 'https://third.example.com' },
  ])
})

it('knows a file that says nothing', () => {
  expect(parseHostsToml('')).toMatchObject({ server: { url: undefined }, hosts: [] })
})

it.each([
  ['server = ', /./],
  ['server = 5', /server must be a text/],
  ['host = 5', /host must be a table/],
  ['capabilities = ["fly"]', /unknown capability fly/],
  ['skip_verify = "no"', /skip_verify must be true or false/],
  ['client = [["cert"]]', /pairs of a certificate and a key/],
  ['client = [["a", "b", "c"]]', /pairs of a certificate and a key/],
  ['ca = [5]', /ca must be a text/],
  ['dial_timeout = "soon"', /such as 3s/],
])('refuses %s', (text, message) => {
  expect(() => parseHostsToml(text)).toThrow(expect.objectContaining({ kind: 'invalid-argument', message: expect.stringMatching(message) }))
})

it('does not quote secrets of a file that it cannot read', () => {
  expect(() => parseHostsToml('[host."https://a"]\n[host."https://a".header]\nauthorization = "hunter2')).toThrow(/^((?!hunter2)[^])*$/)
})
