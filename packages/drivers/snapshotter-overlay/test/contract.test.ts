import { describeSnapshotter } from '@berth/snapshotter/contract'
import { overlayHarness } from './overlay-harness.ts'

describeSnapshotter('overlay', overlayHarness)
