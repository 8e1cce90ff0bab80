import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openOutputFolder, parseArm, type Settings } from '#evaluation'
import { recordOf } from '../../support/evaluations.ts'
import { temporaryFolder } from '../../support/service-process.ts'

const SETTINGS: Settings = {
  version: '0.1.0',
  problems: { file: 'p.jsonl', sha256: 'aa' },
  model: { id: 'm', fingerprint: 'f', defaults: { samples: 8 } },
  seed: 1,
  concurrency: 4,
  arms: [parseArm('greedy'), parseArm('majority:samples=8')],
}

async function newFolder() {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  return join(folder.path, 'a/b')
}

test('answers are there at once, and again in the next call', async () => {
  const path = await newFolder()
  const folder = await openOutputFolder(path, SETTINGS)
  expect(folder.answers).toEqual([])
  folder.add(recordOf({ problem: '1' }))
  folder.add(recordOf({ problem: '2', answer: 'a\nb' }))
  expect((await readFile(join(path, 'answers.jsonl'), 'utf8')).split('\n')).toHaveLength(3)
  await folder.close()
  const again = await openOutputFolder(path, SETTINGS)
  expect(again.answers).toEqual([recordOf({ problem: '1' }), recordOf({ problem: '2', answer: 'a\nb' })])
})

test('a line that a kill cut is removed, and the next answer stands on a line of its own', async () => {
  const path = await newFolder()
  const folder = await openOutputFolder(path, SETTINGS)
  folder.add(recordOf({ problem: '1' }))
  await appendFile(join(path, 'answers.jsonl'), '{"problem":"2","ans')
  await folder.close()
  const again = await openOutputFolder(path, SETTINGS)
  again.add(recordOf({ problem: '3' }))
  await again.close()
  const { answers } = await openOutputFolder(path, SETTINGS)
  expect(answers.map(({ problem }) => problem)).toEqual(['1', '3'])
})

test('a damaged line elsewhere is named', async () => {
  const path = await newFolder()
  const line = `${JSON.stringify(recordOf({ problem: '1' }))}\n`
  await (await openOutputFolder(path, SETTINGS)).close()
  for (const damage of ['{"problem"', 'null', '5', '{}', '[]', '{"problem":1,"arm":"greedy","run":1}']) {
    await writeFile(join(path, 'answers.jsonl'), `${line}${damage}\n${line}`)
    await expect(openOutputFolder(path, SETTINGS)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('answers.jsonl:2: expected an answer, got a damaged line'),
    })
  }
})

test.each(['', '{"version":"0.1', 'null', '{}', '{"problems":{},"model":{},"arms":5}'])(
  'settings that a kill left as %j are named, and stay',
  async (text) => {
    const path = await newFolder()
    await (await openOutputFolder(path, SETTINGS)).close()
    await writeFile(join(path, 'settings.json'), text)
    await expect(openOutputFolder(path, SETTINGS)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('settings.json: expected the settings of an evaluation'),
    })
    expect(await readFile(join(path, 'settings.json'), 'utf8')).toBe(text)
  },
)

test('answers that cannot be read are not taken for none', async () => {
  const path = await newFolder()
  await (await openOutputFolder(path, SETTINGS)).close()
  await mkdir(join(path, 'answers.jsonl'))
  await expect(openOutputFolder(path, SETTINGS)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
})

test('a second call at the same time is refused, and leaves the answers alone', async () => {
  const path = await newFolder()
  const folder = await openOutputFolder(path, SETTINGS)
  folder.add(recordOf({ problem: '1' }))
  // An answer that is being written.
  await appendFile(join(path, 'answers.jsonl'), '{"problem":"2",')
  await expect(openOutputFolder(path, SETTINGS)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: expect.stringContaining(`got process ${process.pid} that uses it`),
  })
  expect(await readFile(join(path, 'answers.jsonl'), 'utf8')).toContain('{"problem":"2",')
  await folder.close()
  expect((await openOutputFolder(path, SETTINGS)).answers).toHaveLength(1)
})

test('arms may be added', async () => {
  const path = await newFolder()
  await (await openOutputFolder(path, SETTINGS)).close()
  const added = { ...SETTINGS, arms: [parseArm('lto')] }
  await openOutputFolder(path, added)
  const { arms }: Settings = JSON.parse(await readFile(join(path, 'settings.json'), 'utf8'))
  expect(arms.map(({ name }) => name)).toEqual(['greedy', 'majority:samples=8', 'lto'])
})

test.each<[string, Partial<Settings>]>([
  ['version of circadian: expected "0.1.0", got "0.2.0"', { version: '0.2.0' }],
  ['problems (sha256): expected "aa", got "bb"', { problems: { file: 'p.jsonl', sha256: 'bb' } }],
  ['model fingerprint: expected "f", got "g"', { model: { ...SETTINGS.model, fingerprint: 'g' } }],
  ['model defaults', { model: { ...SETTINGS.model, defaults: { samples: 4 } } }],
  ['model url: expected undefined, got "http://x"', { model: { url: 'http://x' } }],
  ['seed: expected 1, got 2', { seed: 2 }],
  ['concurrency: expected 4, got 1', { concurrency: 1 }],
  ['arm greedy: expected', { arms: [{ ...parseArm('lto'), name: 'greedy' }] }],
])('other settings are refused: %s', async (message, change) => {
  const path = await newFolder()
  await (await openOutputFolder(path, SETTINGS)).close()
  await expect(openOutputFolder(path, { ...SETTINGS, ...change })).rejects.toThrow(message)
  expect(JSON.parse(await readFile(join(path, 'settings.json'), 'utf8'))).toEqual(SETTINGS)
})

test('a name that a file has, or lies below one, is refused with what is in its place', async () => {
  const path = await newFolder()
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, 'a file')
  const fault = (message: string) =>
    expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringContaining(message) })
  await expect(openOutputFolder(path, SETTINGS)).rejects.toEqual(
    fault(`--out: expected a folder ${path}, got a file of that name`),
  )
  const below = join(path, 'below')
  await expect(openOutputFolder(below, SETTINGS)).rejects.toEqual(
    fault(`--out: expected a folder ${below}, got ENOTDIR`),
  )
})
