const decimal = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

function scaled(bytes: number, base: number, units: readonly string[], digits: number): string {
  let value = bytes
  let unit = 0
  for (; value >= base && unit < units.length - 1; unit++) value /= base
  return `${Number(value.toPrecision(digits))}${units[unit]}`
}

/** A size as lists have it, in powers of 1000: `1.24MB`. */
export const humanSize = (bytes: number): string => scaled(bytes, 1000, decimal, 3)

/** A size of memory, in powers of 1024: `64MiB`. */
export const humanMemory = (bytes: number): string => scaled(bytes, 1024, binary, 4)

/** How long ago a moment was: `3 minutes ago`. Both in milliseconds. */
export function humanAge(moment: number, now: number): string {
  return `${humanDuration(now - moment)} ago`
}

function humanDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000)
  const [minutes, hours] = [Math.floor(seconds / 60), Math.round(seconds / 3600)]
  if (seconds < 1) return 'Less than a second'
  if (seconds === 1) return '1 second'
  if (seconds < 60) return `${seconds} seconds`
  if (minutes === 1) return 'About a minute'
  if (minutes < 46) return `${minutes} minutes`
  if (hours === 1) return 'About an hour'
  if (hours < 48) return `${hours} hours`
  if (hours < 24 * 14) return `${Math.floor(hours / 24)} days`
  if (hours < 24 * 60) return `${Math.floor(hours / 24 / 7)} weeks`
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`
  return `${Math.floor(hours / 24 / 365)} years`
}

/** Twelve digits of an ID, without its algorithm. */
export function shortId(id = ''): string {
  return id.replace(/^sha256:/, '').slice(0, 12)
}
