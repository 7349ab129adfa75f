/**
 * Called after each named step of an operation that a crash may interrupt. Tests end the process there and look at what the next start finds; in use it is absent.
 * Must not throw and is not waited for.
 */
export type FailPoint = (step: string) => void
