/** @file Clients and tools of others, unchanged, against the service with a key. `.ci/ecosystem` installs them and runs this. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blocksOf } from '../support/readme.ts'
import { freePort, type ServiceProcess, startService, temporaryFolder } from '../support/service-process.ts'

const ROOT = join(import.meta.dirname, '../..')
const KEY = 'ck_ecosystem_0123456789abcdefghijklmnopqrstuvwxyz'
const SCOPES = ['solve', 'feedback', 'delete', 'metrics', 'admin']
/** Requests of schemathesis for each operation; above the default, it also walks the edges of every schema. */
const EXAMPLES = Number(process.env['SCHEMATHESIS_EXAMPLES'] ?? 12)
const EDGES_FROM = 13

const run = promisify(execFile)
let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess

beforeAll(async () => {
  folder = await temporaryFolder()
  const keys = join(folder.path, 'keys.json')
  await writeFile(keys, JSON.stringify([{ key: KEY, name: 'clients', tenant: 'acme', scopes: SCOPES }]))
  service = await startService({ DATA_DIR: join(folder.path, 'data'), API_KEYS_FILE: keys })
})
afterAll(async () => {
  await service[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

const environment = () => ({
  ...process.env,
  SERVER: service.origin,
  API_KEY: KEY,
  OPENAI_API_KEY: KEY,
})

/** Runs commands of a README, with everything that they print in the error of a failure. */
async function bash(command: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const options = { cwd: ROOT, env: { ...environment(), ...env }, maxBuffer: 2 ** 26 }
  const { stdout } = await run('bash', ['-c', command], options)
  return stdout
}

describe.concurrent('clients', () => {
  test('OpenAI’s client for Python', async () => {
    const [, command = '', , output] = await blocksOf('examples/openai/README.md')
    expect(await bash(command)).toBe(output)
  })

  test('LiteLLM’s SDK', async () => {
    const [command = '', output] = await blocksOf('examples/litellm/README.md')
    expect(await bash(command)).toBe(output)
  })

  test('LiteLLM’s proxy', async () => {
    const [, , start = '', command = '', output] = await blocksOf('examples/litellm/README.md')
    const port = await freePort()
    const proxy = spawn('bash', ['-c', `exec env ${start.replace('--port 4000', `--port ${port}`)}`], {
      cwd: ROOT,
      env: environment(),
      stdio: 'ignore',
    })
    await using stopping = new AsyncDisposableStack()
    const exited = once(proxy, 'exit')
    stopping.defer(async () => {
      proxy.kill('SIGKILL')
      await exited
    })
    for (;;) {
      expect(proxy.exitCode, 'exit code of the proxy before it was ready').toBeNull()
      const response = await fetch(`http://127.0.0.1:${port}/health/liveliness`).catch(() => null)
      await response?.arrayBuffer()
      if (response?.ok) break
      await setTimeout(100)
    }
    expect(await bash(command.replace(':4000', `:${port}`))).toBe(output)
  })

  test('lm-evaluation-harness', async () => {
    const [commands = '', table = ''] = await blocksOf('examples/lm-eval/README.md')
    const printed = await bash(commands)
    expect(printed).toContain(table)
    // Log-likelihoods have no operation here: the harness says so with our error.
    const legacy = commands
      .split('\n')[1]!
      .replace('local-chat-completions --apply_chat_template', 'local-completions')
      .replace('chat/completions', 'completions')
      .replace('num_concurrent=4', 'tokenizer_backend=None,max_retries=1')
    await expect(bash(legacy)).rejects.toMatchObject({
      stderr: expect.stringMatching(/route_not_found[\s\S]*404 Client Error/),
    })
  })
})

/** What CompatCanary finds missing: tools, and JSON by constrained decoding (docs/conformance.md). */
const MISSING = ['chat.structured_output', 'chat.tool_call']

test('CompatCanary finds what docs/conformance.md says', async () => {
  const scan = `compatcanary scan --base-url ${service.origin}/v1 --model circadian/auto --format json --fail-on never`
  const { results } = JSON.parse(await bash(scan))
  const failed = results.filter(({ status }: { status: string }) => status !== 'pass')
  expect(failed.map(({ id }: { id: string }) => id).sort()).toEqual(MISSING)
  expect(results.length).toBe(7)
})

test(`schemathesis: ${EXAMPLES} requests of each operation keep openapi.yaml`, {
  timeout: 3_600_000,
}, async () => {
  const phases = EXAMPLES < EDGES_FROM ? 'examples,fuzzing' : 'examples,coverage,fuzzing'
  // It leaves its caches in the working directory.
  const printed = await bash(
    `cd "${folder.path}" && st --config-file "${ROOT}/.ci/schemathesis.toml" run "${ROOT}/openapi.yaml" \
      --url "$SERVER" -H "Authorization: Bearer $API_KEY" --phases ${phases} --max-examples ${EXAMPLES} \
      --seed 20261129 --workers 1 --no-color --warnings off 2>&1`,
  ).catch(({ stdout }) => expect.unreachable(stdout))
  expect(printed).toContain('No issues found')
  if (EXAMPLES >= EDGES_FROM) process.stdout.write(printed.slice(printed.indexOf('= SUMMARY')))
})
