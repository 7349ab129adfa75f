import { expect, it } from 'vitest'
import { formatCidr } from './cidr.ts'
import { parseRoutes } from './host-facts.ts'

it('reads the routes of the kernel without the default one', () => {
  const text = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'br0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0',
    '',
  ].join('\n')
  expect(parseRoutes(text).map(formatCidr)).toEqual(['192.0.2.0/24', '192.168.0.0/20'])
})
