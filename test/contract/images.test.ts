import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { Environment, loadConfig } from '../../src/config.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

interface Instruction {
  readonly keyword: string
  readonly words: readonly string[]
}

/** Returns the instructions of the Dockerfile, with continued lines joined and without comments. */
function instructions(): Instruction[] {
  return read('Dockerfile')
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [keyword, ...words] = line.trim().split(/\s+/)
      return { keyword: keyword!, words }
    })
}

const all = instructions()
const stages = all.flatMap(({ keyword, words }) =>
  keyword === 'FROM' && words[1] === 'AS' ? [words[2]!] : [],
)

describe('the Dockerfile', () => {
  test('copies existing files that are in the build context', () => {
    const ignored = read('.dockerignore').split('\n').filter(Boolean)
    const copied = all
      .filter(({ keyword, words }) => keyword === 'COPY' && !words[0]!.startsWith('--from'))
      .flatMap(({ words }) => words.slice(0, -1))

    expect(copied.length).toBeGreaterThan(6)
    for (const file of copied) {
      expect(existsSync(join(ROOT, file)), file).toBe(true)
      expect(ignored).not.toContain(file)
    }
  })

  test('copies only from earlier stages', () => {
    for (const [index, { keyword, words }] of all.entries()) {
      const from = keyword === 'COPY' ? /^--from=(.+)/.exec(words[0]!)?.[1] : undefined
      if (from === undefined) continue
      const before = all.slice(0, index).some((each) => each.keyword === 'FROM' && each.words[2] === from)
      expect(before, `COPY --from=${from}`).toBe(true)
    }
  })

  test('ends with the CPU image, the default of a build', () => {
    const last = all.findLast(({ keyword }) => keyword === 'FROM')
    expect(last!.words).toEqual([expect.stringMatching(/^node:24-/)])
    expect(stages).toContain('gpu')
  })

  test('installs the CUDA provider with an existing script and switch of onnxruntime-node', () => {
    const script = 'node_modules/onnxruntime-node/script/install.js'
    const run = all.find(({ keyword, words }) => keyword === 'RUN' && words.includes(script))
    expect(run!.words).toContain('ONNXRUNTIME_NODE_INSTALL=true')
    expect(read(script)).toContain('ONNXRUNTIME_NODE_INSTALL')
    expect(read('node_modules/onnxruntime-node/script/install-metadata.js')).toContain(
      './libonnxruntime_providers_cuda.so',
    )
  })

  test('runs as a numeric user, without telemetry, with time to start, in every image', () => {
    const served = all.filter(({ keyword }) => keyword === 'CMD').length
    const linesOf = (keyword: string) =>
      all.filter((each) => each.keyword === keyword).map(({ words }) => words.join(' '))
    expect(linesOf('USER')).toEqual(Array(served).fill('1000:1000'))
    expect(linesOf('ENV').filter((line) => line.includes('ORT_DISABLE_TELEMETRY=1'))).toHaveLength(served)
    expect(linesOf('HEALTHCHECK').filter((line) => line.includes('--start-period=120s'))).toHaveLength(served)
  })

  test('contains what the commands of package.json import that work in the image', () => {
    const scripts: Record<string, string> = JSON.parse(read('package.json')).scripts
    const copied = all.filter(({ keyword }) => keyword === 'COPY').flatMap(({ words }) => words)
    for (const name of ['start', 'start:worker', 'migrate', 'backup', 'restore']) {
      const file = /\S+\.ts/.exec(scripts[name] ?? '')?.[0] ?? ''
      expect(
        copied.some((path) => file === path || file.startsWith(`${path}/`)),
        name,
      ).toBe(true)
      for (const [, path = ''] of read(file).matchAll(/from '(\.\.?\/[^']+)'/g)) {
        const imported = join(file, '..', path)
        expect(
          copied.some((path) => imported === path || imported.startsWith(`${path}/`)),
          imported,
        ).toBe(true)
      }
    }
  })
})

interface Service {
  readonly image: string
  readonly environment: Readonly<Record<string, string>>
  readonly env_file: readonly { readonly path: string; readonly required: boolean }[]
  readonly healthcheck: { readonly test: readonly string[]; readonly start_period: string }
  readonly ports?: readonly string[]
  readonly profiles?: readonly string[]
  readonly volumes: readonly string[]
  readonly mem_limit: string
}

describe('docker-compose.yml', () => {
  const text = read('docker-compose.yml')
  const { services, volumes } = parse(text, { merge: true }) as {
    services: Record<string, Service>
    volumes: Record<string, unknown>
  }
  const ours = ['api', 'worker'].map((name) => services[name]!)
  const inImage = [...read('Dockerfile').matchAll(/^ENV (.*)$/gm)]
    .flatMap(([, line = '']) => line.split(' '))
    .map((setting) => setting.split('=')[0])

  test('passes every setting of .env to the API and to the worker, except those that it sets and names', () => {
    const named =
      /except ([A-Z_, a-z]+), which this file sets/.exec(text.replaceAll(/\n#\s*/g, ' '))?.[1] ?? ''
    const documented = named.match(/[A-Z_]+/g) ?? []
    for (const { env_file, environment } of ours) {
      expect(env_file).toEqual([{ path: '.env', required: false }])
      const fixed = Object.entries(environment)
        .filter(([name, value]) => name in Environment.properties && !value.includes(`\${${name}`))
        .map(([name]) => name)
      const own = ['PORT', 'ALLOW_ANONYMOUS', 'WORKER_PORT']
      expect(documented).toEqual(expect.arrayContaining(fixed.filter((name) => !own.includes(name))))
    }
    expect(services['api']!.ports).toEqual([`127.0.0.1:\${PORT:-8080}:8080`])
  })

  test('sets only variables that a process reads', () => {
    const read = [...Object.keys(Environment.properties), ...inImage, 'PGPASSWORD']
    for (const { environment } of ours) expect(read).toEqual(expect.arrayContaining(Object.keys(environment)))
  })

  test('sets valid configuration', () => {
    for (const { environment } of ours) {
      const values = Object.entries(environment).map(([name, value]) => [name, withDefaults(value)])
      expect(loadConfig(Object.fromEntries(values))).toMatchObject({
        http: { host: '0.0.0.0' },
        redis: { url: 'redis://redis:6379' },
      })
    }
  })

  test('accepts any password: the driver takes it from the environment, unencoded', () => {
    const password = "p/a#s?s w%rd@:'"
    const { DATABASE_URL, PGPASSWORD } = services['api']!.environment
    expect(PGPASSWORD).toContain('POSTGRES_PASSWORD')
    const before = process.env['PGPASSWORD']
    process.env['PGPASSWORD'] = password
    try {
      expect(new pg.Client(DATABASE_URL!).password).toBe(password)
    } finally {
      if (before === undefined) delete process.env['PGPASSWORD']
      else process.env['PGPASSWORD'] = before
    }
  })

  test('restricts the containers that run the service', () => {
    for (const service of ours) {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        tmpfs: ['/tmp', '/data'],
        volumes: [`\${MODELS_DIR:-./models}:/models:ro`],
      })
    }
    for (const [name, { mem_limit }] of Object.entries(services)) expect(mem_limit, name).toBeDefined()
  })

  test('asks over TCP for the health of the servers, and gives every part 120 s to start', () => {
    expect(services['postgres']!.healthcheck.test).toEqual(expect.arrayContaining(['-h', '127.0.0.1']))
    expect(services['redis']!.healthcheck.test).toEqual(expect.arrayContaining(['-h', '127.0.0.1']))
    for (const name of ['worker', 'postgres', 'redis']) {
      expect(services[name]!.healthcheck.start_period, name).toBe('120s')
    }
  })

  test('publishes ports on loopback only, and images by exact tag', () => {
    for (const [name, { ports = [], image }] of Object.entries(services)) {
      for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/)
      if (image !== 'circadian') expect(image, name).toMatch(/:v?\d/)
    }
  })

  test('mounts existing files and declared volumes, and scrapes existing services', () => {
    const mounts = Object.values(services).flatMap(({ volumes = [] }) => volumes)
    const declared = Object.keys(volumes)
    for (const mount of mounts.map(withDefaults)) {
      const source = mount.split(':')[0]!
      expect(
        source.startsWith('./') ? existsSync(join(ROOT, source)) : declared.includes(source),
        mount,
      ).toBe(true)
    }
    const { scrape_configs } = parse(read('deploy/prometheus.yml'))
    const targets: string[] = scrape_configs.flatMap((job: { static_configs: { targets: string[] }[] }) =>
      job.static_configs.flatMap(({ targets }) => targets),
    )
    const { api, worker } = services
    expect(targets).toEqual([
      `api:${api!.environment['PORT']}`,
      `worker:${worker!.environment['WORKER_PORT']}`,
    ])
    expect(withDefaults(api!.environment['ALLOWED_HOSTS']!)).toBe('api')
    const { datasources } = parse(read('deploy/grafana/provisioning/datasources/circadian.yml'))
    for (const { url } of datasources) expect(Object.keys(services)).toContain(new URL(url).hostname)
  })
})

/** Returns the value of a compose expression when no variable is set. */
function withDefaults(text: string): string {
  return text.replaceAll(/\$\{\w+:\+\$\{\w+\},\}/g, '').replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')
}

describe('docker-compose.gpu.yml', () => {
  const { services } = parse(read('docker-compose.gpu.yml'))
  const base = parse(read('docker-compose.yml'), { merge: true })

  test('overrides existing services with an existing target', () => {
    for (const [name, service] of Object.entries<{ build: { target: string } }>(services)) {
      expect(Object.keys(base.services)).toContain(name)
      expect(stages).toContain(service.build.target)
    }
  })

  test('reserves a GPU and selects it with valid configuration', () => {
    const { deploy, environment, image } = services.api
    expect(deploy.resources.reservations.devices).toEqual([
      { driver: 'nvidia', count: 1, capabilities: ['gpu'] },
    ])
    expect(loadConfig(environment).engine).toMatchObject({ executionProvider: 'cuda', cudaDevice: 0 })
    // The worker must not be rebuilt from another target under the same name.
    expect(image).not.toBe(base.services.worker.image)
  })
})
