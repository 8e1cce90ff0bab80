/** @file The files of deploy/ for Kubernetes and systemd use the ports, probes, commands and variables of the code. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { Environment, loadConfig } from '../../src/config.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

const variables = [...Object.keys(Environment.properties), 'ORT_DISABLE_TELEMETRY']

/** Time, in seconds, that a process has to stop: the drain, the requests in flight, and a rest. */
const STOP_SECONDS = 45

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly httpHeaders: unknown }
}
interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly selector: { readonly matchLabels: object }
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[]
    readonly template: { readonly metadata: { readonly labels: object }; readonly spec: Pod }
  }
}
interface Pod {
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: object
  readonly volumes: readonly { readonly name: string }[]
  readonly containers: readonly [
    {
      readonly command: readonly string[]
      readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
      readonly envFrom: readonly object[]
      readonly resources: object
      readonly securityContext: object
      readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
      readonly startupProbe: Probe
      readonly livenessProbe: Probe
      readonly readinessProbe?: Probe
    },
  ]
}

const literals = (path: string): Record<string, string> =>
  Object.fromEntries(
    parse(read(path)).configMapGenerator.flatMap(({ literals }: { literals: string[] }) =>
      literals.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
    ),
  )

describe('deploy/kubernetes', () => {
  const { resources } = parse(read('deploy/kubernetes/kustomization.yaml'))
  const manifests: Manifest[] = (resources as string[]).flatMap((file) =>
    parseAllDocuments(read(`deploy/kubernetes/${file}`)).map((document) => document.toJS()),
  )
  const settings = literals('deploy/kubernetes/kustomization.yaml')
  const deployment = (name: string) =>
    manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name)!

  test('sets valid configuration with existing variables', () => {
    const model = literals('deploy/kubernetes/models/kustomization.yaml')
    expect(variables).toEqual(expect.arrayContaining(Object.keys({ ...settings, ...model })))
    expect(loadConfig({ ...settings, ...model })).toMatchObject({
      http: { host: '0.0.0.0', port: 8080 },
      engine: { directory: '/models/my-model' },
    })
  })

  test.each([
    ['circadian-api', 'src/main.ts', 'PORT'],
    ['circadian-worker', 'src/worker.ts', 'WORKER_PORT'],
  ])('%s runs %s and is asked on %s', (name, program, port) => {
    const { spec } = deployment(name)
    const [container] = spec.template.spec.containers
    expect(container.command).toEqual(['node', program])
    expect(existsSync(join(ROOT, program))).toBe(true)
    expect(container.ports).toEqual([{ name: 'http', containerPort: Number(settings[port]) }])
    expect(container.envFrom).toEqual([
      { configMapRef: { name: 'circadian' } },
      { secretRef: { name: 'circadian' } },
    ])
    const service = manifests.find(({ kind, metadata }) => kind === 'Service' && metadata.name === name)!
    expect(service.spec.ports).toEqual([{ name: 'http', port: Number(settings[port]), targetPort: 'http' }])
    expect(service.spec.selector).toEqual(spec.template.metadata.labels)
    expect(spec.selector.matchLabels).toEqual(spec.template.metadata.labels)
    expect(settings['ALLOWED_HOSTS']!.split(',')).toContain(name)
    for (const { httpGet } of [container.startupProbe, container.livenessProbe]) {
      expect(httpGet).toEqual({
        path: '/livez',
        port: 'http',
        httpHeaders: [{ name: 'Host', value: 'localhost' }],
      })
    }
  })

  test('the API gets requests while it can answer', () => {
    expect(deployment('circadian-api').spec.template.spec.containers[0].readinessProbe?.httpGet.path).toBe(
      '/readyz',
    )
    expect(read('src/http/routes/health.ts')).toMatch(/'\/livez'[\s\S]*'\/readyz'/)
  })

  test('restricts every container, and gives it time to stop', () => {
    for (const { spec } of manifests.filter(({ kind }) => kind === 'Deployment')) {
      const { terminationGracePeriodSeconds, securityContext, containers, volumes } = spec.template.spec
      const [container] = containers
      expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 })
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      expect(container.resources).toHaveProperty('limits.memory')
      expect(terminationGracePeriodSeconds).toBe(STOP_SECONDS)
      expect(container.volumeMounts.map(({ name }) => name)).toEqual(volumes.map(({ name }) => name))
      expect(container.volumeMounts.map(({ mountPath }) => mountPath)).toContain('/tmp')
    }
    const delays = Number(settings['DRAIN_DELAY_MS']) + Number(settings['SHUTDOWN_TIMEOUT_MS'])
    expect(delays).toBeLessThan(1000 * STOP_SECONDS)
  })
})

describe('deploy/systemd', () => {
  test.each([
    ['circadian-api', 'src/main.ts'],
    ['circadian-worker', 'src/worker.ts'],
  ])('%s runs node itself on %s, in a sandbox, with time to stop', (name, program) => {
    const unit = read(`deploy/systemd/${name}.service`)
    const values = new Map(
      [...unit.matchAll(/^(\w+)=(.*)$/gm)].map(([, key = '', value = '']) => [key, value]),
    )
    expect(values.get('ExecStart')).toBe(`/usr/bin/node ${program}`)
    expect(values.get('TimeoutStopSec')).toBe(String(STOP_SECONDS))
    expect(values.get('RestartPreventExitStatus')).toBe('78')
    expect(values.get('KillMode')).toBe('mixed')
    expect(values.get('DynamicUser')).toBe('yes')
    const set = values
      .get('Environment')!
      .split(' ')
      .map((each) => each.split('=')[0])
    expect(variables).toEqual(expect.arrayContaining(set))
    expect(read('src/exit-with-reason.ts')).toContain('EXIT_CONFIG = 78')
  })
})
