import { accessSync, constants, readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { circadian } from '../support/circadian-command.ts'

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
vi.setConfig({ testTimeout: 60_000 })

/** Lines of a stack trace. */
const STACK = /^\s+at .+:\d+:\d+/m

test('package.json names a program that the system can start', () => {
  const program: string = manifest.bin.circadian
  accessSync(program, constants.X_OK)
  expect(readFileSync(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
})

describe('help', () => {
  test.each([
    { args: ['--help'], shows: ['serve', 'worker', 'migrate'] },
    { args: ['serve', '--help'], shows: ['--model', '--port', 'MODEL_DIR'] },
    { args: ['worker', '--help'], shows: ['WORKER_PORT'] },
    { args: ['model', '--help'], shows: ['check', 'add', 'list'] },
    { args: ['model', 'check', '--help'], shows: ['--json'] },
    { args: ['model', 'add', '--help'], shows: ['hf:ORG/NAME', '--to', '--only', 'HF_ENDPOINT', 'HF_TOKEN'] },
    { args: ['model', 'list', '--help'], shows: ['--json'] },
    {
      args: ['model', 'profile', '--help'],
      shows: ['--problems', '--budget', '--precision', 'docs/models.md'],
    },
    {
      args: ['eval', '--help'],
      shows: ['--arm', '--out', '--url', '--seeds', 'POST /solve', 'docs/eval.md'],
    },
    { args: ['learn', '--help'], shows: ['--data-dir', '--kinds', '--from'] },
    { args: ['migrate', '--help'], shows: ['--data-dir', 'DATA_DIR'] },
  ])('circadian $args', async ({ args, shows }) => {
    const { code, stdout, stderr } = await circadian(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const word of shows) expect(stdout).toContain(word)
  })

  test('circadian --version', async () => {
    expect(await circadian(['--version'])).toMatchObject({ code: 0, stdout: `${manifest.version}\n` })
  })
})

describe('a wrong command line ends with exit code 2 and a sentence', () => {
  test.each([
    { args: ['serv'], says: "unknown command 'serv'" },
    { args: ['serve', '--prot', '1'], says: "unknown option '--prot'" },
    { args: ['serve', 'now'], says: "too many arguments for 'serve'" },
    { args: ['serve', '--port'], says: "option '--port <number>' argument missing" },
    { args: ['model', 'profil'], says: "unknown command 'profil'" },
    { args: ['model', 'check'], says: "missing required argument 'directory'" },
    { args: ['eval', 'p.jsonl'], says: "required option '--out <folder>' not specified" },
    { args: ['eval', 'p.jsonl', '--out', 'o', '--seeds', '0'], says: 'Expected a whole number from 1 on.' },
    { args: ['eval', 'p.jsonl', '--out', 'o', '--url', 'u', '--model', 'm'], says: 'cannot be used with' },
    { args: ['model'], says: 'Usage: circadian model' },
    { args: [], says: 'Usage: circadian' },
  ])('circadian $args', async ({ args, says }) => {
    const { code, stdout, stderr } = await circadian(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(says)
    expect(stderr).not.toMatch(STACK)
  })
})

describe('a failure prints its reason and no stack', () => {
  test('of a model that does not exist: exit code 1', async () => {
    const { code, stderr } = await circadian(['serve', '--model', '/nowhere', '--port', '0'])
    expect(code).toBe(1)
    expect(stderr).toContain('MODEL_INVALID: load model: expected a model directory at /nowhere')
    expect(stderr).not.toMatch(STACK)
  })

  test('of an option that is no valid setting: exit code 78, as of the variable', async () => {
    const { code, stderr } = await circadian(['serve', '--port', 'http'])
    expect(code).toBe(78)
    expect(stderr).toBe(
      'circadian: CONFIG_INVALID: configuration: PORT: expected a whole number from 0 to 65535\n',
    )
  })

  test('of a worker without a database: exit code 78', async () => {
    const { code, stderr } = await circadian(['worker'])
    expect(code).toBe(78)
    expect(stderr).toContain('worker: expected DATABASE_URL')
  })
})
