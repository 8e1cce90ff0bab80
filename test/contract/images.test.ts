import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config.ts'

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

  test('does not run as root in any image', () => {
    const served = all.filter(({ keyword }) => keyword === 'CMD').length
    const users = all.filter(({ keyword }) => keyword === 'USER').map(({ words }) => words[0])
    expect(users).toHaveLength(served)
    for (const user of users) expect(user).not.toMatch(/^(root|0)\b/)
  })
})

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
