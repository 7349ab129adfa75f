import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addresses, type Daemon, eventually, TestHost } from '../src/index.ts'

describe('networks', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const fetchFrom = (url: string): Promise<{ code: number; stdout: string }> => host.fetch(url)
  const serve = 'mkdir -p /www; echo "$HOSTNAME" > /www/index.html; exec httpd -f -p 80 -h /www'

  it('publishes a port on loopback and on the address of the host', async () => {
    const id = await daemon.ok('run', '-d', '-p', '8080:80', '--hostname', 'pub', 'busybox', 'sh', '-c', serve)
    await eventually(async () => ((await fetchFrom('http://127.0.0.1:8080/')).stdout === 'pub\n' ? true : undefined), { what: 'the page on loopback' })
    expect((await fetchFrom(`http://${addresses.host}:8080/`)).stdout).toBe('pub\n')
    expect(await host.fetch(`http://${addresses.host}:8080/`, { outside: true, seconds: 3 })).toMatchObject({ stdout: 'pub\n' })
    expect((await fetchFrom('http://[::1]:8080/')).stdout).toBe('pub\n')
    // Old command lines leave out the brackets.
    expect(await daemon.ok('port', id)).toMatch(/^80\/tcp -> 0\.0\.0\.0:8080\n80\/tcp -> (\[::\]|::):8080$/)
    expect(await daemon.ok('ps', '--format', '{{.Ports}}')).toMatch(/^0\.0\.0\.0:8080->80\/tcp, (\[::\]|::):8080->80\/tcp$/)
    const taken = await daemon.docker(['run', '--name', 'late', '-p', '8080:80', 'busybox', 'true'])
    expect(taken).toMatchObject({ code: 125, stderr: expect.stringMatching(/port is already allocated/) })
    await daemon.ok('rm', 'late')
    await daemon.ok('rm', '-f', id)
    expect((await fetchFrom('http://127.0.0.1:8080/')).code).not.toBe(0)
  })

  it('refuses a port that a program on the host has', async () => {
    const other = await host.listen('127.0.0.1', 8099)
    const { code, stderr } = await daemon.docker(['run', '--rm', '-p', '127.0.0.1:8099:80', 'busybox', 'true'])
    expect(code).toBe(125)
    expect(stderr).toMatch(/address already in use/)
    other.kill()
    await other.done
    expect(await daemon.ok('ps', '-aq')).toBe('')
  })

  it('keeps a port that is published on loopback from the outside', async () => {
    const id = await daemon.ok('run', '-d', '-p', '127.0.0.1:8081:80', 'busybox', 'sh', '-c', serve)
    await eventually(async () => ((await fetchFrom('http://127.0.0.1:8081/')).code === 0 ? true : undefined))
    expect((await host.fetch(`http://${addresses.host}:8081/`, { outside: true, seconds: 1 })).code).not.toBe(0)
    const address = await daemon.ok('inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', id)
    await host.sh(`ip -n outside route replace 172.17.0.0/16 via ${addresses.host}`)
    expect((await host.fetch(`http://${address}/`, { outside: true, seconds: 1 })).code).not.toBe(0)
    await host.sh('ip -n outside route del 172.17.0.0/16')
    await daemon.ok('rm', '-f', id)
  })

  it('lets a container out by NAT', async () => {
    const outside = await host.listen(addresses.outside, 9000, { outside: true })
    await daemon.ok('run', '--rm', 'busybox', 'nc', '-w', '3', addresses.outside, '9000')
    await outside.saw(new RegExp(`from ${addresses.host.replaceAll('.', '\\.')}`))
    outside.kill()
    await outside.done
  })

  it('lets containers of one network find each other by name, and keeps others out', async () => {
    await daemon.ok('network', 'create', 'front')
    await daemon.ok('network', 'create', 'back')
    await daemon.ok('run', '-d', '--name', 'web', '--network', 'front', '--network-alias', 'site', '--hostname', 'web', 'busybox', 'sh', '-c', serve)
    const from = (network: string, command: string): Promise<{ code: number; stdout: string; stderr: string }> => daemon.docker(['run', '--rm', '--network', network, 'busybox', 'sh', '-c', `${command}; exit $?`])
    expect(await from('front', 'grep nameserver /etc/resolv.conf')).toMatchObject({ stdout: 'nameserver 127.0.0.11\n' })
    await eventually(async () => ((await from('front', 'timeout 2 wget -q -O - http://web/')).stdout === 'web\n' ? true : undefined))
    expect(await from('front', 'timeout 2 wget -q -O - http://site/')).toMatchObject({ stdout: 'web\n' })
    expect(await from('front', 'nslookup -type=a web 127.0.0.11')).toMatchObject({ stdout: expect.stringMatching(/Address: 172\./) })
    const address = await daemon.ok('inspect', '-f', '{{.NetworkSettings.Networks.front.IPAddress}}', 'web')
    expect((await from('back', `timeout 1 wget -q -O - http://${address}/`)).code).not.toBe(0)
    expect((await from('back', 'timeout 1 wget -q -O - http://web/')).code).not.toBe(0)
    expect((await from('bridge', `timeout 1 wget -q -O - http://${address}/`)).code).not.toBe(0)
    expect((await daemon.docker(['network', 'rm', 'front'])).stderr).toMatch(/has active endpoints/)

    await daemon.ok('network', 'connect', 'back', 'web')
    await eventually(async () => ((await from('back', 'timeout 2 wget -q -O - http://web/')).stdout === 'web\n' ? true : undefined))
    await daemon.ok('network', 'disconnect', 'back', 'web')
    expect((await from('back', 'timeout 1 wget -q -O - http://web/')).code).not.toBe(0)
    await daemon.ok('rm', '-f', 'web')
    await daemon.ok('network', 'rm', 'front', 'back')
  })

  it('serves host, none and the network of another container', async () => {
    expect(await daemon.ok('run', '--rm', '--network', 'host', 'busybox', 'ip', 'address', 'show', 'wan')).toContain(addresses.host)
    expect(await daemon.ok('run', '--rm', '--network', 'none', 'busybox', 'sh', '-c', 'ls /sys/class/net')).toBe('lo')
    await daemon.ok('run', '-d', '--name', 'first', 'busybox', 'sh', '-c', serve)
    await eventually(async () => ((await daemon.docker(['run', '--rm', '--network', 'container:first', 'busybox', 'wget', '-q', '-O', '-', 'http://127.0.0.1/'])).code === 0 ? true : undefined))
    await daemon.ok('rm', '-f', 'first')
  })

  it('inspects and lists', async () => {
    await daemon.ok('network', 'create', '--subnet', '10.55.0.0/24', '--gateway', '10.55.0.7', '--label', 'a=b', 'shaped')
    await daemon.ok('run', '-d', '--name', 'fixed', '--network', 'shaped', '--ip', '10.55.0.99', 'busybox', 'sleep', '300')
    const [network] = JSON.parse(await daemon.ok('network', 'inspect', 'shaped')) as [{ Id: string; Containers: Record<string, { Name: string; IPv4Address: string }> }]
    expect(network).toMatchObject({ Name: 'shaped', Driver: 'bridge', Scope: 'local', Labels: { a: 'b' }, IPAM: { Config: [{ Subnet: '10.55.0.0/24', Gateway: '10.55.0.7' }] } })
    expect(Object.values(network.Containers)).toMatchObject([{ Name: 'fixed', IPv4Address: '10.55.0.99/24' }])
    expect((await daemon.ok('network', 'ls', '--format', '{{.Name}} {{.Driver}}')).split('\n').toSorted()).toEqual(['bridge bridge', 'host host', 'none null', 'shaped bridge'])
    expect((await daemon.docker(['network', 'create', 'shaped'])).stderr).toMatch(/network with name shaped already exists/)
    expect((await daemon.docker(['network', 'create', '--subnet', '10.55.0.0/16', 'over'])).stderr).toMatch(/Pool overlaps/)
    expect((await daemon.docker(['network', 'rm', 'bridge'])).stderr).toMatch(/pre-defined network|is a pre-defined/)
    expect((await daemon.docker(['network', 'rm', 'nowhere'])).stderr).toMatch(/network nowhere not found|No such network: nowhere/)
    await daemon.ok('rm', '-f', 'fixed')
    await daemon.ok('network', 'rm', network.Id)
  })
})
