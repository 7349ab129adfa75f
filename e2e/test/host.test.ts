import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { addresses, TestHost } from '../src/index.ts'

it('is a machine of its own, several side by side, and reaches its neighbour', async () => {
  await using one = await TestHost.start()
  await using other = await TestHost.start()
  expect(await one.sh('ip -o link | wc -l')).toBe('2\n')
  expect(await other.sh(`busybox ping -c 1 -W 2 ${addresses.outside} | grep -c ' 0% packet loss'`)).toBe('1\n')
})

it.each([
  ['a mount', 'mkdir /run/x; mount -t tmpfs tmpfs /run/x', /mounts: .*\/run\/x/],
  ['a link', 'ip link add left0 type bridge', /links: left0/],
  ['a firewall rule', 'nft add table ip left', /firewall: table ip left/],
  ['a process', 'busybox sleep 60 >/dev/null 2>&1 &', /processes: busybox/],
  ['a network namespace', 'ip netns add left', /namespaces: left/],
])('fails when %s is left', async (_what, script, left) => {
  const host = await TestHost.start()
  await host.sh(script)
  await expect(host[Symbol.asyncDispose]()).rejects.toThrow(left)
  expect(existsSync(host.dir)).toBe(false)
})
