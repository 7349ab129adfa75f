import { expect, it } from 'vitest'
import { isInnerHost, isPublicAddress } from './public-address.ts'

it.each(['8.8.8.8', '203.0.113.1', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808'])('%s is public', (address) => expect(isPublicAddress(address)).toBe(true))

const inner = '127.0.0.1 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255'
const inner6 = '::1 :: fe80::1 fe80::1%eth0 fd00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:7f00:1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::1 2002:7f00:1::'

it.each(`${inner} ${inner6} registry`.split(' '))('%s is not', (address) => expect(isPublicAddress(address)).toBe(false))

it.each([
  ['localhost', true],
  ['a.localhost.', true],
  ['[::1]', true],
  ['169.254.169.254', true],
  ['registry.example', false],
  ['8.8.8.8', false],
])('of the host %s one can tell: %s', (host, expected) => expect(isInnerHost(host)).toBe(expected))
