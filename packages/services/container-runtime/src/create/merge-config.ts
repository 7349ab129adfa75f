import type { ContainerConfig } from '@berth/api-types'

const nameOf = (entry: string): string => entry.split('=', 1)[0] ?? ''

/** A request's configuration completed by the image's, as Docker does it: the request wins, maps and environment are united. */
export function mergeConfig(request: ContainerConfig, image: ContainerConfig): ContainerConfig {
  const env = request.Env ?? []
  const given = new Set(env.map(nameOf))
  const isEntrypointGiven = Boolean(request.Entrypoint?.length)
  const entrypoint = request.Entrypoint ?? (image.Entrypoint || undefined)
  const isReset = entrypoint?.length === 1 && entrypoint[0] === ''
  const health = request.Healthcheck ?? undefined
  const fallback = image.Healthcheck ?? undefined
  return {
    ...request,
    User: request.User || image.User || '',
    Env: [...env, ...(image.Env ?? []).filter((entry) => !given.has(nameOf(entry)))],
    // A given entrypoint makes the image's command meaningless.
    Cmd: request.Cmd?.length || isEntrypointGiven ? (request.Cmd ?? undefined) : (image.Cmd ?? undefined),
    Entrypoint: isReset ? undefined : entrypoint,
    WorkingDir: request.WorkingDir || image.WorkingDir || '',
    Labels: { ...image.Labels, ...request.Labels },
    ExposedPorts: { ...image.ExposedPorts, ...request.ExposedPorts },
    Volumes: { ...image.Volumes, ...request.Volumes },
    StopSignal: request.StopSignal || image.StopSignal || undefined,
    Shell: request.Shell?.length ? request.Shell : (image.Shell ?? undefined),
    Healthcheck:
      health && fallback
        ? {
            Test: health.Test?.length ? health.Test : fallback.Test,
            Interval: health.Interval || fallback.Interval,
            Timeout: health.Timeout || fallback.Timeout,
            StartPeriod: health.StartPeriod || fallback.StartPeriod,
            StartInterval: health.StartInterval || fallback.StartInterval,
            Retries: health.Retries || fallback.Retries,
          }
        : (health ?? fallback),
  }
}
