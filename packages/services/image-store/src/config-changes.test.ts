import { expect, it } from 'vitest'
import { applyChanges } from './config-changes.ts'

it.each([
  ['CMD ["a", "b c"]', { Cmd: ['a', 'b c'] }],
  ['cmd echo $HOME', { Cmd: ['/bin/sh', '-c', 'echo $HOME'] }],
  ['ENTRYPOINT ["/x"]', { Entrypoint: ['/x'] }],
  ['ENV A=1 B="2 3" C=\\ x', { Env: ['A=1', 'B=2 3', 'C= x'] }],
  ['ENV A the whole rest', { Env: ['A=the whole rest'] }],
  ['ENV A=1\nENV A=2', { Env: ['A=2'] }],
  ['EXPOSE 80 443/TCP 53/udp 90-91', { ExposedPorts: { '80/tcp': {}, '443/tcp': {}, '53/udp': {}, '90/tcp': {}, '91/tcp': {} } }],
  ["LABEL a=b 'c d'=e", { Labels: { a: 'b', 'c d': 'e' } }],
  ['USER 1000:1000', { User: '1000:1000' }],
  ['VOLUME /a /b', { Volumes: { '/a': {}, '/b': {} } }],
  ['VOLUME ["/a b"]', { Volumes: { '/a b': {} } }],
  ['WORKDIR /a\nWORKDIR b', { WorkingDir: '/a/b' }],
  ['STOPSIGNAL SIGUSR1', { StopSignal: 'SIGUSR1' }],
  ['ONBUILD RUN make', { OnBuild: ['RUN make'] }],
  ['HEALTHCHECK NONE', { Healthcheck: { Test: ['NONE'] } }],
  [
    'HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f localhost',
    { Healthcheck: { Test: ['CMD-SHELL', 'curl -f localhost'], Interval: 90e9, Retries: 3 } },
  ],
  ['HEALTHCHECK CMD ["true"]', { Healthcheck: { Test: ['CMD', 'true'] } }],
])('%s', (change, expected) => {
  expect(applyChanges({}, [change])).toEqual(expected)
})

it.each(['RUN x', 'FROM x', 'CMD', 'ENV A', 'ENV =x', 'EXPOSE x', 'EXPOSE 70000', 'EXPOSE 5-3', 'USER a b', 'ONBUILD ONBUILD RUN x', 'HEALTHCHECK x', 'HEALTHCHECK --bad=1 CMD x', 'constructor x'])(
  '%s is refused',
  (change) => {
    expect(() => applyChanges({}, [change])).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  },
)
