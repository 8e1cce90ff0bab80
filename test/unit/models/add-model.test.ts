import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { appendFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadModelDirectory } from '#engine'
import { type AddOptions, addModel, createProgress, directorySource, hubSource } from '#models'
import { decodeModel, encodeModel, relocateExternalData } from '#onnx'
import { externalizeInitializers } from '../../../src/engine/child/load-graphs.ts'
import {
  type TinyModelDirectory,
  tinyModelDirectory,
  tinyRecurrentDirectory,
} from '../../fixtures/tiny-model-directory.ts'
import { startProgram } from '../../support/child-process.ts'
import { circadian } from '../../support/circadian-command.ts'
import { type FakeHub, fakeHub, REPOSITORY } from '../../support/fake-hub.ts'
import { temporaryFolder } from '../../support/service-process.ts'

const NEEDED = [
  'circadian.json',
  'config.json',
  'embedding-mean.bin',
  'generation_config.json',
  'onnx/model.onnx',
  'onnx/model.onnx_data',
  'tokenizer.json',
  'tokenizer_config.json',
]
const MANIFEST = 'circadian-manifest.json'
const DATA = 'onnx/model.onnx_data'
const SOURCE = `hf:${REPOSITORY}`
const COMMIT = 'c0ffee0000000000000000000000000000000001'

let model: TinyModelDirectory
let hub: FakeHub
let folder: Awaited<ReturnType<typeof temporaryFolder>>
let target: string

beforeEach(async () => {
  // Wide enough that tensors lie in external data.
  model = await tinyModelDirectory({ layers: 1, width: 128 })
  const graph = await readFile(join(model.path, 'onnx/model.onnx'))
  await model.write(
    'onnx/model.onnx',
    encodeModel(externalizeInitializers(decodeModel(graph), graph, 'model.onnx_data')),
  )
  await model.write(DATA, new Uint8Array(graph))
  await model.write('onnx/model_q4.onnx', new Uint8Array(graph))
  await model.write('README.md', '# Tiny')
  await model.write('model.safetensors', new Uint8Array(4096))
  hub = await fakeHub(new Map(filesOf(model.path).map((path) => [path, bytesOf(model.path, path)])))
  folder = await temporaryFolder()
  target = join(folder.path, 'models/tiny')
})

afterEach(async () => {
  await Promise.all([model, hub, folder].map((part) => part[Symbol.asyncDispose]()))
})

function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(directory, path)).isFile())
    .sort()
}

function bytesOf(directory: string, path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(join(directory, path)))
}

function add(options: Partial<AddOptions> = {}) {
  return addModel({
    source: hubSource(SOURCE, { endpoint: hub.endpoint, token: null }),
    target,
    only: null,
    check: { executionProvider: 'cpu', cudaDevice: 0 },
    progress: createProgress({ write: () => undefined }),
    ...options,
  })
}

/** Requests for the content of files: without the probes of their sizes. */
const downloads = () =>
  hub.requests.filter((request) => request.includes('/resolve/') && !request.endsWith(' bytes=0-0'))

describe('from the hub', () => {
  test('fetches what serving needs and no more, with the sha256 of each file', async () => {
    const { outcome, report, otherGraphs } = await add()
    expect(outcome).toBe('added')
    expect(report).toMatchObject({ directory: target, servable: true, model: { id: 'tiny' } })
    expect(otherGraphs).toEqual(['onnx/model_q4.onnx'])
    expect(readdirSync(join(folder.path, 'models'))).toEqual(['tiny'])
    expect(filesOf(target)).toEqual([...NEEDED, MANIFEST].sort())
    for (const path of NEEDED) expect(bytesOf(target, path), path).toEqual(bytesOf(model.path, path))
    const manifest = JSON.parse(readFileSync(join(target, MANIFEST), 'utf8'))
    expect(manifest).toMatchObject({ source: SOURCE, version: COMMIT, only: null })
    for (const { path, sha256 } of manifest.files) {
      expect(sha256, path).toBe(createHash('sha256').update(bytesOf(target, path)).digest('hex'))
    }
    const { fingerprint } = (await loadModelDirectory(target)).info
    expect(fingerprint).toBe((await loadModelDirectory(model.path)).info.fingerprint)
  })

  test('continues a file that was broken off, and fetches no complete file again', async () => {
    hub.cut = { path: DATA, bytes: 100_000 }
    await expect(add()).rejects.toMatchObject({
      code: 'HUB_UNAVAILABLE',
      message: expect.stringContaining(`${DATA} of ${SOURCE}`),
    })
    expect(existsSync(target)).toBe(false)
    const part = join(folder.path, 'models/.tiny.partial', `${DATA}.part`)
    const { size } = statSync(part)
    expect(size).toBeGreaterThan(0)
    expect(size).toBeLessThanOrEqual(100_000)
    hub.cut = null
    hub.requests.length = 0
    expect(await add()).toMatchObject({ outcome: 'added' })
    const last = hub.files.get(DATA)!.length - 1
    expect(downloads()).toEqual([`GET /${REPOSITORY}/resolve/${COMMIT}/${DATA} bytes=${size}-${last}`])
    expect(bytesOf(target, DATA)).toEqual(bytesOf(model.path, DATA))
  })

  test('begins a file again on a hub that ignores ranges', async () => {
    hub.cut = { path: DATA, bytes: 100_000 }
    await expect(add()).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' })
    hub.cut = null
    hub.ignoresRanges = true
    expect(await add()).toMatchObject({ outcome: 'added' })
    expect(bytesOf(target, DATA)).toEqual(bytesOf(model.path, DATA))
  })

  test('keeps nothing of an earlier commit', async () => {
    hub.cut = { path: DATA, bytes: 100_000 }
    await expect(add()).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' })
    hub.cut = null
    hub.commit = 'c0ffee0000000000000000000000000000000002'
    hub.requests.length = 0
    expect((await add()).manifest.version).toBe(hub.commit)
    expect(downloads()).toHaveLength(NEEDED.length)
  })

  test.each(['config.json', DATA])('refuses other content of %s', async (path) => {
    hub.corrupt = path
    await expect(add()).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(new RegExp(`bytes of ${path} with the digest .* got other content`)),
    })
    expect(existsSync(target)).toBe(false)
  })

  test('a second time: asks no hub, and verifies the files', async () => {
    await add()
    hub.requests.length = 0
    expect(await add()).toMatchObject({ outcome: 'present', report: { servable: true } })
    expect(hub.requests).toEqual([])
    await appendFile(join(target, 'config.json'), ' ')
    await expect(add()).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('other content in config.json'),
    })
  })

  test('two runs at once: one adds the model, the other is refused', async () => {
    const outcomes = await Promise.allSettled([add(), add()])
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(outcomes).toContainEqual({
      status: 'fulfilled',
      value: expect.objectContaining({ outcome: 'added' }),
    })
    expect(refused).toMatchObject([{ reason: { code: 'MODEL_INVALID' } }])
    expect(readdirSync(join(folder.path, 'models'))).toEqual(['tiny'])
    expect(await add()).toMatchObject({ outcome: 'present' })
  })

  test.each([
    '5',
    '{}',
    `{"source":"${SOURCE}","only":null,"version":"${COMMIT}"}`,
    `{"source":"${SOURCE}","only":null,"version":"${COMMIT}","files":[]}`,
    `{"source":"${SOURCE}","only":null,"version":"${COMMIT}","files":[{"path":5}]}`,
  ])('takes a directory with the damaged manifest %j for none that was added', async (text) => {
    await add()
    await writeFile(join(target, MANIFEST), text)
    await expect(add()).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(
        /to be free, got something that was not added, or has no whole circadian-man/,
      ),
    })
    expect(filesOf(target)).toEqual([...NEEDED, MANIFEST].sort())
  })

  test('names a folder that cannot be locked', async () => {
    const folder = join(dirname(target), '.tiny.partial')
    await mkdir(join(folder, 'instance.lock'), { recursive: true })
    await expect(add()).rejects.toMatchObject({
      code: 'DATA_DIR_UNWRITABLE',
      message: `lock ${folder}: expected a writable folder, got unable to open database file`,
    })
  })

  test('leaves a directory alone that holds something else', async () => {
    await mkdir(target, { recursive: true })
    await expect(add()).rejects.toThrow('something that was not added')
    target = join(folder.path, 'models/other')
    await add()
    const source = hubSource(`${SOURCE}@v2`, { endpoint: hub.endpoint, token: null })
    await expect(add({ source })).rejects.toThrow(`to hold ${SOURCE}@v2, got ${SOURCE}`)
    await expect(add({ only: 'model_q4*' })).rejects.toThrow(`to hold ${SOURCE}, got ${SOURCE}`)
  })

  test('--only takes another graph, and names the graphs when none fits', async () => {
    await expect(add({ only: 'model_int8*' })).rejects.toThrow(
      `a graph that matches model_int8* in ${SOURCE}, got onnx/model.onnx, onnx/model_q4.onnx`,
    )
    const { report } = await add({ only: 'model_q4*' })
    expect(report.model!.graph).toBe('onnx/model_q4.onnx')
    expect(filesOf(target)).not.toContain(DATA)
  })

  test('a model that cannot be served is not added; another graph of it can be', async () => {
    hub.files.set('onnx/model.onnx', graphWithDataAt('model.onnx_data', ['token_type_ids']))
    const refused = await add()
    expect(refused).toMatchObject({ outcome: 'refused', report: { servable: false } })
    expect(refused.otherGraphs).toEqual(['onnx/model_q4.onnx'])
    expect(existsSync(target)).toBe(false)
    expect(await add({ only: 'model_q4*' })).toMatchObject({ outcome: 'added' })
    expect(filesOf(target)).not.toContain('onnx/model.onnx')
  })

  test('reports a graph that is no graph in the words of the check', async () => {
    hub.files.set('onnx/model.onnx', new TextEncoder().encode('version https://git-lfs.github.com/spec/v1'))
    const { outcome, report } = await add()
    expect(outcome).toBe('refused')
    expect(report.faults).toEqual([expect.stringContaining('a Git LFS pointer')])
  })

  test.each(['../../outside', 'missing_data'])('refuses external data at %s', async (location) => {
    hub.files.set('onnx/model.onnx', graphWithDataAt(location))
    await expect(add()).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('got no such file'),
    })
    expect(existsSync(target)).toBe(false)
  })

  test('explains a repository that does not exist, and sends the token', async () => {
    const source = hubSource('hf:org/nothing', { endpoint: hub.endpoint, token: 'hf_secret' })
    const error: Error = await add({ source }).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'HUB_UNAVAILABLE' })
    expect(error.message).toContain('Repository not found')
    expect(error.message).not.toContain('hf_secret')
    expect(hub.tokens).toEqual(['Bearer hf_secret'])
  })

  test.each(['hf:model', 'hf:a/b/c', 'hf:org/../x', 'hf:org/name@', 'hf:'])('refuses the name %s', (name) => {
    expect(() => hubSource(name, { endpoint: hub.endpoint, token: null })).toThrow(
      `expected hf:ORG/NAME or hf:ORG/NAME@REVISION, got ${name}`,
    )
  })
})

describe('from a directory', () => {
  test('takes all three graphs of a depth-recurrent model', async () => {
    await using recurrent = await tinyRecurrentDirectory()
    const { outcome, report } = await add({ source: directorySource(recurrent.path) })
    expect({ outcome, faults: report.faults }).toEqual({ outcome: 'added', faults: [] })
    expect(filesOf(target)).toEqual([...filesOf(recurrent.path), MANIFEST].sort())
  })

  test('takes what serving needs; edits of the small files do not change the original', async () => {
    const source = directorySource(model.path)
    expect(await add({ source })).toMatchObject({ outcome: 'added', manifest: { version: '' } })
    expect(filesOf(target)).toEqual([...NEEDED, MANIFEST].sort())
    await writeFile(join(target, 'circadian.json'), '{}')
    expect(readFileSync(join(model.path, 'circadian.json'), 'utf8')).not.toBe('{}')
  })

  test('takes a file again that was corrected after a refusal, at the same size', async () => {
    const source = directorySource(model.path)
    const config = await readFile(join(model.path, 'config.json'), 'utf8')
    await model.write(
      'config.json',
      config.replace('"max_position_embeddings":96', '"max_position_embeddings":-9'),
    )
    expect(await add({ source })).toMatchObject({ outcome: 'refused' })
    await model.write('config.json', config)
    expect(await add({ source })).toMatchObject({ outcome: 'added' })
  })

  test("follows the links of the hub's cache, and names the model after its repository", async () => {
    const cache = join(folder.path, 'models--org--tiny')
    const snapshot = join(cache, 'snapshots/4f3d')
    await cp(model.path, join(cache, 'blobs'), { recursive: true })
    for (const path of filesOf(model.path)) {
      await mkdir(join(snapshot, path, '..'), { recursive: true })
      await symlink(join(cache, 'blobs', path), join(snapshot, path))
    }
    const source = directorySource(snapshot)
    expect(source.directoryName).toBe('org--tiny')
    expect(await add({ source })).toMatchObject({ outcome: 'added' })
    expect(filesOf(target)).toEqual([...NEEDED, MANIFEST].sort())
  })

  test('refuses a directory that does not exist, and one without a graph', async () => {
    await expect(add({ source: directorySource('/nowhere') })).rejects.toThrow(
      'a model directory at /nowhere',
    )
    await expect(add({ source: directorySource(folder.path) })).rejects.toThrow('got no ONNX graph')
  })
})

describe('createProgress()', () => {
  function written(isTTY: boolean): string[] {
    const texts: string[] = []
    let nowMs = 0
    const progress = createProgress({ isTTY, write: (text) => texts.push(text) }, () => nowMs)
    progress.begin('model.onnx', 4096, 1024)
    nowMs = 1000
    progress.add(1024)
    nowMs = 3000
    progress.add(2048)
    progress.end()
    return texts
  }

  test('draws a bar with the time left on a terminal', () => {
    expect(written(true)).toEqual([
      '\r[######..................] 25% of 4.0 KiB  model.onnx\u001b[K',
      '\r[############............] 50% of 4.0 KiB, 1.0 KiB/s, 2 s left  model.onnx\u001b[K',
      '\r[########################] 100% of 4.0 KiB, 1.0 KiB/s, 0 s left  model.onnx\u001b[K',
      '\r[########################] 100% of 4.0 KiB, 1.0 KiB/s, 0 s left  model.onnx\u001b[K',
      '\n',
    ])
  })

  test('writes plain lines elsewhere', () => {
    expect(written(false)).toEqual(['fetching model.onnx (4.0 KiB, from byte 1024 on)\n'])
  })
})

describe('circadian model', () => {
  const environment = () => ({ HF_ENDPOINT: hub.endpoint, DATA_DIR: folder.path })

  test('add, add again, list', async () => {
    const added = await circadian(['model', 'add', SOURCE], environment())
    expect(added.code, added.stderr).toBe(0)
    expect(added.stderr).toMatch(/^fetching config\.json \(\d+ B\)\n/)
    expect(added.stdout).toContain('\ncan be served\n')
    const place = join(folder.path, 'models/org--tiny-model')
    expect(added.stdout).toContain(`added ${SOURCE} (commit ${COMMIT}); serve it with --model ${place}\n`)
    const again = await circadian(['model', 'add', SOURCE], environment())
    expect(again).toMatchObject({ code: 0, stderr: '' })
    expect(again.stdout).toContain(`is there: ${NEEDED.length} files verified by sha256\n`)
    await mkdir(join(folder.path, 'models/broken'))
    const { code, stdout } = await circadian(['model', 'list'], environment())
    const { fingerprint } = (await loadModelDirectory(place)).info
    expect(code).toBe(0)
    const [bundled, broken, tiny] = stdout.split('\n')
    expect(tiny).toContain(place)
    expect(bundled).toMatch(/models\/order-of-operations +[0-9a-f]{12} +3\.3 MiB {2}circadian\.json$/)
    expect(broken).toMatch(/models\/broken +cannot be served: load model: expected the file config\.json/)
    expect(tiny).toContain(fingerprint.slice(0, 12))
  }, 60_000)

  test('add, killed in the middle, leaves no model, and goes on at the next run', async () => {
    hub.cut = { path: DATA, bytes: 100_000, stall: true }
    const child = startProgram('src/circadian.ts', { args: ['model', 'add', SOURCE], env: environment() })
    const models = join(folder.path, 'models')
    const part = join(models, '.org--tiny-model.partial', `${DATA}.part`)
    await expect
      .poll(() => (existsSync(part) ? statSync(part).size : 0), { timeout: 20_000 })
      .toBeGreaterThan(0)
    await child.kill()
    expect(readdirSync(models)).toEqual(['.org--tiny-model.partial'])
    const { stdout } = await circadian(['model', 'list'], environment())
    expect(stdout.trim().split('\n')).toHaveLength(1)
    hub.cut = null
    const { code, stderr } = await circadian(['model', 'add', SOURCE], environment())
    expect(code, stderr).toBe(0)
    expect(stderr).toMatch(/^fetching onnx\/model\.onnx_data \(.+, from byte \d+ on\)\n$/)
    expect(readdirSync(models)).toEqual(['org--tiny-model'])
  }, 60_000)

  test('add of a model that another process adds ends with 1 and names the process', async () => {
    hub.cut = { path: DATA, bytes: 100_000, stall: true }
    const child = startProgram('src/circadian.ts', { args: ['model', 'add', SOURCE], env: environment() })
    const place = join(folder.path, 'models/org--tiny-model')
    const part = join(folder.path, 'models/.org--tiny-model.partial', `${DATA}.part`)
    await expect
      .poll(() => (existsSync(part) ? statSync(part).size : 0), { timeout: 20_000 })
      .toBeGreaterThan(0)
    const { size } = statSync(part)
    await expect(add({ target: place })).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message:
        `add model: expected ${place} to be added by one run at a time, ` +
        `got process ${child.process.pid} that adds it; wait for its end`,
    })
    expect(statSync(part).size).toBe(size)
    await child.kill()
    hub.cut = null
    expect(await add({ target: place })).toMatchObject({ outcome: 'added' })
    expect(filesOf(place)).toEqual([...NEEDED, MANIFEST].sort())
  }, 60_000)

  test('add without a network ends with 1 and a sentence', async () => {
    await hub[Symbol.asyncDispose]()
    const { code, stdout, stderr } = await circadian(['model', 'add', SOURCE], environment())
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(existsSync(join(folder.path, 'models'))).toBe(false)
    expect(stderr).toMatch(
      /^circadian: HUB_UNAVAILABLE: add model: expected the files of hf:org\/tiny-model from http:.+ECONNREFUSED.+\n$/,
    )
    hub = await fakeHub(new Map())
  }, 60_000)

  test('add of a model that cannot be served ends with 1 and the other graphs', async () => {
    hub.files.set('onnx/model.onnx', graphWithDataAt('model.onnx_data', ['token_type_ids']))
    const { code, stdout } = await circadian(['model', 'add', SOURCE], environment())
    expect(code).toBe(1)
    expect(stdout).toMatch(/cannot be served:\n- describe decoder: /)
    expect(stdout).toContain('take another graph with --only: onnx/model_q4.onnx\n')
    const other = await circadian(
      ['model', 'add', SOURCE, '--only', 'model_q4*', '--to', target],
      environment(),
    )
    expect(other.code, other.stdout).toBe(0)
    expect(other.stderr).not.toMatch(/warning/i)
    expect(readdirSync(target)).toContain(MANIFEST)
  }, 60_000)
})

/** The graph with its external data at `location`, and with more inputs. */
function graphWithDataAt(location: string, more: readonly string[] = []): Uint8Array<ArrayBuffer> {
  const decoded = relocateExternalData(decodeModel(bytesOf(model.path, 'onnx/model.onnx')), () => location)
  const { graph } = decoded
  const inputs = [...graph.inputs, ...more.map((name) => ({ ...graph.inputs[0]!, name }))]
  return new Uint8Array(encodeModel({ ...decoded, graph: { ...graph, inputs } }))
}
