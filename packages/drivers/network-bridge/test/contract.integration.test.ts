import { describeNetworkDriver } from '@berth/network-driver/contract'
import { Lab } from './lab.ts'

describeNetworkDriver('bridge', () => Lab.start())
