import { parsePlatform } from '@berth/oci'

/** `linux/arm64` as the API takes it. Throws `invalid-argument`. */
export function encodePlatform(platform: string | undefined): string | undefined {
  return platform === undefined ? undefined : JSON.stringify(parsePlatform(platform))
}

export function encodePlatforms(platforms: readonly string[] = []): string[] {
  return platforms.map((platform) => JSON.stringify(parsePlatform(platform)))
}
