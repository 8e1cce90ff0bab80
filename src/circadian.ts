#!/usr/bin/env node
/**
 * @file The command `circadian` (`npx circadian` in a checkout). `serve`, `worker` and `migrate` run the programs
 * of `npm start`, `npm run start:worker` and `npm run migrate` in this process, so that signals reach them; `eval` is
 * `npm run eval`.
 *
 * Exit codes: 0; 1 for a failure, with its reason in one line; 2 for a command or an option that does not exist;
 * 78 (EX_CONFIG) for settings that are not valid.
 */

import { basename, join, relative, resolve } from 'node:path'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { BUNDLED_MODEL, loadConfig } from './config.ts'
import { exitWithReason } from './exit-with-reason.ts'

const HUB = 'https://huggingface.co'
const EXIT_FAILURE = 1
const EXIT_USAGE = 2
const PARENT_CHECK_MS = 500

/** Arms of an evaluation that names none. */
const DEFAULT_ARMS = ['greedy', 'majority', 'lto', 'auto']
const DEFAULT_LEARNING_ARM = 'best-of-n:samples=8'

/** Options that stand for environment variables, by command. */
const SERVE_SETTINGS = {
  model: 'MODEL_DIR',
  host: 'HOST',
  port: 'PORT',
  dataDir: 'DATA_DIR',
  provider: 'EXECUTION_PROVIDER',
}
const WORKER_SETTINGS = { ...SERVE_SETTINGS, port: 'WORKER_PORT' }

/** Sets the variables of the options that were given; docs/configuration.md describes the others. */
function set(variables: Readonly<Record<string, string>>, options: Readonly<Record<string, string>>): void {
  for (const [option, variable] of Object.entries(variables)) {
    const value = options[option]
    if (value !== undefined) process.env[variable] = value
  }
}

/**
 * Ends this process when npx has ended. npx passes a signal to the shell between them, which dies of it and passes
 * nothing on: without this, SIGTERM to `npx circadian serve` would leave the service running.
 */
function endWithNpx(): void {
  if (process.env['npm_lifecycle_event'] !== 'npx') return
  const shell = process.ppid
  setInterval(() => {
    if (process.ppid !== shell) process.kill(process.pid, 'SIGTERM')
  }, PARENT_CHECK_MS).unref()
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

function number(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text)
    if (text.trim() !== '' && value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected a number from ${least} to ${most}.`)
  }
}

function wholeNumber(least: number) {
  return (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
    throw new InvalidArgumentError(`Expected a whole number from ${least} on.`)
  }
}

const program = new Command('circadian')
  .description(manifest.description)
  .version(manifest.version)
  .exitOverride()
  .showHelpAfterError('Run `circadian --help` for the commands, `circadian COMMAND --help` for its options.')

program
  .command('serve')
  .description('Serves the API, as `npm start` does. Environment variables set all that has no option here.')
  .option('--model <directory>', 'model directory (MODEL_DIR)')
  .option('--host <address>', 'address to listen on (HOST)')
  .option('--port <number>', 'TCP port; 0 takes a free one (PORT)')
  .option('--data-dir <folder>', 'folder of the embedded database (DATA_DIR)')
  .option('--provider <name>', 'auto, cuda or cpu (EXECUTION_PROVIDER)')
  .action(async (options) => {
    set(SERVE_SETTINGS, options)
    endWithNpx()
    await import('./main.ts')
  })

program
  .command('worker')
  .description('Runs jobs on the database of DATABASE_URL, as `npm run start:worker` does.')
  .option('--model <directory>', 'model directory (MODEL_DIR)')
  .option('--host <address>', 'address to listen on (HOST)')
  .option('--port <number>', 'TCP port of health and metrics (WORKER_PORT)')
  .option('--provider <name>', 'auto, cuda or cpu (EXECUTION_PROVIDER)')
  .action(async (options) => {
    set(WORKER_SETTINGS, options)
    endWithNpx()
    await import('./worker.ts')
  })

program
  .command('migrate')
  .description("Migrates the database to this release's schema, as `npm run migrate` does.")
  .option('--data-dir <folder>', 'folder of the embedded database (DATA_DIR)')
  .action(async (options) => {
    set(SERVE_SETTINGS, options)
    await import('./migrate.ts')
  })

program
  .command('eval')
  .description(
    'Measures strategies on problems with known answers: accuracy, its intervals, tokens, seconds.',
  )
  .argument(
    '<problems>',
    'JSON lines: question, problem or prompt; answer, plain, behind #### or boxed; optional family, id',
  )
  .requiredOption('--out <folder>', 'folder of the answers and the report; a second call there goes on')
  .option(
    '--arm <settings>',
    `strategy and its settings; repeatable (default: ${DEFAULT_ARMS.join(', ')})`,
    collect,
  )
  .option('--arms <file>', 'JSON file with a list of arms: bodies of POST /solve, each with a name')
  .option('--model <directory>', 'model directory, which is served in this process (MODEL_DIR)')
  .option('--provider <name>', 'auto, cuda or cpu (EXECUTION_PROVIDER)')
  .option('--data-dir <folder>', 'folder of an embedded database with episodes and trained versions')
  .addOption(
    new Option('--url <address>', 'address of a running server to ask instead').conflicts([
      'model',
      'provider',
      'dataDir',
    ]),
  )
  .option('--header <name:value>', 'header of every request to --url, such as a key; repeatable', collect)
  .option('--profile <file>', 'circadian.json that answers of --url are compared by')
  .option(
    '--against <arm>',
    'arm, or ARM → SELECTOR, that all others are compared with; the first by default',
  )
  .option('--family <name>', 'only problems of this family; repeatable', collect)
  .option('--limit <number>', 'number of problems, drawn by --seed', wholeNumber(1))
  .option('--seed <number>', 'first seed', wholeNumber(0), 1)
  .option('--seeds <number>', 'number of seeds', wholeNumber(1), 1)
  .option('--concurrency <number>', 'requests at once', wholeNumber(1), 4)
  .addHelpText(
    'after',
    `
Arms: greedy | majority:samples=8,temperature=.8 | name=lto8:strategy=lto,samples=8
  Settings are the fields of POST /solve; unless an arm sets them, it retrieves no episodes and stores none.
Writes answers.jsonl, report.md, report.json and accuracy.svg. docs/eval.md describes all of it.`,
  )
  .action(async (problems: string, options) => {
    set({ model: SERVE_SETTINGS.model, provider: SERVE_SETTINGS.provider }, options)
    endWithNpx()
    const { runEvaluation } = await import('./eval.ts')
    process.exitCode = await runEvaluation(problems, {
      ...options,
      engine: loadConfig(process.env).engine,
      arm: options.arm ?? (options.arms === undefined ? DEFAULT_ARMS : []),
    })
  })

program
  .command('learn')
  .description(
    'Asks problems with known answers, keeps the episodes with labels, and holds a night over them.',
  )
  .argument('<problems>', 'JSON lines, as for `circadian eval`')
  .requiredOption('--data-dir <folder>', 'folder of the embedded database that keeps episodes and versions')
  .requiredOption('--out <folder>', 'folder of the answers; a second call there goes on')
  .option(
    '--arm <settings>',
    `strategy and its settings, as for \`circadian eval\` (default: ${DEFAULT_LEARNING_ARM})`,
    collect,
  )
  .option('--from <number>', 'place of the first problem, from 0', wholeNumber(0), 0)
  .option('--limit <number>', 'number of problems', wholeNumber(1))
  .addOption(
    new Option('--kinds <list>', 'kinds to train: weaver, lrm, judge; none holds no night').default(
      'weaver,lrm,judge',
    ),
  )
  .option('--model <directory>', 'model directory, which is served in this process (MODEL_DIR)')
  .option('--provider <name>', 'auto, cuda or cpu (EXECUTION_PROVIDER)')
  .option('--seed <number>', 'seed of the samples', wholeNumber(0), 1)
  .option('--concurrency <number>', 'requests at once', wholeNumber(1), 4)
  .action(async (problems: string, options) => {
    set({ model: SERVE_SETTINGS.model, provider: SERVE_SETTINGS.provider }, options)
    endWithNpx()
    const { parseKinds, runLearning } = await import('./learn.ts')
    process.exitCode = await runLearning(problems, {
      ...options,
      arms: options.arm ?? [DEFAULT_LEARNING_ARM],
      kinds: parseKinds(options.kinds),
      engine: loadConfig(process.env).engine,
    })
  })

const model = program.command('model').description('Checks, adds and lists model directories.')

model
  .command('check')
  .description(
    'Reports how a model directory would be served, and runs the model once; exit code 1 if it cannot be.',
  )
  .argument('<directory>', 'model directory')
  .option('--json', 'prints the report as JSON')
  .option('--provider <name>', 'auto, cuda or cpu (EXECUTION_PROVIDER)')
  .action(async (directory: string, options) => {
    set(SERVE_SETTINGS, options)
    const { checkModel, formatReport } = await import('#models')
    const report = await checkModel(directory, loadConfig(process.env).engine)
    process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : formatReport(report)}\n`)
    if (!report.servable) process.exitCode = EXIT_FAILURE
  })

model
  .command('add')
  .description('Adds a model, from the Hugging Face hub or from a directory, and checks it.')
  .argument('<source>', 'hf:ORG/NAME, hf:ORG/NAME@REVISION, or a directory')
  .option('--to <directory>', 'directory of the model; by default its name in the folder models of DATA_DIR')
  .option('--only <pattern>', 'graph to take, a glob such as model_q4*')
  .option('--data-dir <folder>', 'folder of the folder models (DATA_DIR)')
  .option('--provider <name>', 'provider of the check: auto, cuda or cpu (EXECUTION_PROVIDER)')
  .addHelpText('after', '\nHF_ENDPOINT names another hub, HF_TOKEN gives access to gated models.')
  .action(async (from: string, options) => {
    set(SERVE_SETTINGS, options)
    const { engine, dataDir } = loadConfig(process.env)
    const { addModel, createProgress, directorySource, formatReport, hubSource } = await import('#models')
    const { HF_ENDPOINT: endpoint = '', HF_TOKEN: token = '' } = process.env
    const hub = { endpoint: endpoint === '' ? HUB : endpoint, token: token === '' ? null : token }
    const source = from.startsWith('hf:') ? hubSource(from, hub) : directorySource(from)
    const target: string = options.to ?? join(dataDir, 'models', source.directoryName)
    const { outcome, manifest, report, otherGraphs } = await addModel({
      source,
      target,
      only: options.only ?? null,
      check: engine,
      progress: createProgress(process.stderr),
    })
    process.stdout.write(`${formatReport(report)}\n\n`)
    const name = manifest.version === '' ? from : `${from} (commit ${manifest.version})`
    if (outcome === 'added') process.stdout.write(`added ${name}; serve it with --model ${target}\n`)
    if (outcome === 'present') {
      process.stdout.write(`${name} is there: ${manifest.files.length} files verified by sha256\n`)
    }
    if (outcome === 'refused') {
      const others =
        otherGraphs.length === 0 ? '' : `; take another graph with --only: ${otherGraphs.join(', ')}`
      process.stdout.write(`not added: ${name}${others}\n`)
    }
    if (!report.servable) process.exitCode = EXIT_FAILURE
  })

model
  .command('list')
  .description('Lists the bundled model and those in the folder models of DATA_DIR.')
  .option('--data-dir <folder>', 'folder of the folder models (DATA_DIR)')
  .option('--json', 'prints the list as JSON')
  .action(async (options) => {
    set(SERVE_SETTINGS, options)
    const { formatList, listModels } = await import('#models')
    const bundled = relative(process.cwd(), BUNDLED_MODEL)
    const models = await listModels(bundled, join(loadConfig(process.env).dataDir, 'models'))
    process.stdout.write(`${options.json ? JSON.stringify(models, null, 2) : formatList(models)}\n`)
  })

model
  .command('profile')
  .description('Measures a profile of a model on tuning problems, and explains it in a report.')
  .argument('[directory]', 'model directory; or --model')
  .option('--model <directory>', 'model directory (MODEL_DIR)')
  .requiredOption(
    '--problems <file>',
    'JSON lines of tuning problems, as for `circadian eval`; not to publish on',
  )
  .option('--out <folder>', 'folder of profile and report; by default its name in profiles of DATA_DIR')
  .option('--budget <minutes>', 'time, after the model is loaded', number(0.05, 10_000), 10)
  .option('--precision <share>', 'precision of passed drafts that a stop needs', number(0.5, 1), 0.9)
  .option(
    '--stages <list>',
    'stages that measure: prompts, drafts, embeddings, samples, rates, rho (default: all)',
  )
  .option('--seed <number>', 'seed of order and samples', wholeNumber(0), 1)
  .option('--concurrency <number>', 'requests at once', wholeNumber(1), 4)
  .option('--provider <name>', 'auto, cuda or cpu (EXECUTION_PROVIDER)')
  .addHelpText(
    'after',
    `
Writes circadian.json, embedding-mean.bin, report.md and curves.svg. The same call again adds to what was measured.
docs/models.md describes what is chosen and how.`,
  )
  .action(async (directory: string | undefined, options) => {
    set(SERVE_SETTINGS, { ...options, ...(directory !== undefined && { model: directory }) })
    endWithNpx()
    const { engine, dataDir } = loadConfig(process.env)
    const { parseStages, runProfile } = await import('./profile-command.ts')
    process.exitCode = await runProfile({
      ...options,
      engine,
      budgetMinutes: options.budget,
      stages: options.stages === undefined ? undefined : parseStages(options.stages),
      out: options.out ?? join(dataDir, 'profiles', basename(resolve(engine.directory))),
    })
  })

const keys = program
  .command('keys')
  .description('Creates, lists and revokes API keys, in the database of DATABASE_URL or DATA_DIR.')

keys
  .command('create')
  .description('Creates a key and prints it, once: only its hash is stored.')
  .requiredOption('--tenant <name>', 'tenant whose episodes the key reads and writes')
  .requiredOption('--scopes <list>', 'scopes, separated by commas: solve, feedback, delete, metrics, admin')
  .option('--rate <limit>', 'limit of requests that run the model, such as 60/min; units s, min, h, day')
  .option('--tokens <limit>', 'limit of tokens read, generated and judged, such as 1M/day')
  .option('--name <text>', 'name of the key in lists; by default the tenant')
  .option('--data-dir <folder>', 'folder of the embedded database (DATA_DIR)')
  .option('--json', 'prints the key and its record as JSON')
  .action(async ({ tenant, scopes, rate, tokens, name = tenant, json, ...options }) => {
    set(SERVE_SETTINGS, options)
    const { createKey } = await import('./keys-command.ts')
    const purpose = { name, tenant, scopes: scopes.split(','), rate, tokens }
    await createKey(loadConfig(process.env), purpose, json === true)
  })

keys
  .command('list')
  .description('Lists all keys, revoked ones included.')
  .option('--data-dir <folder>', 'folder of the embedded database (DATA_DIR)')
  .option('--json', 'prints the list as JSON')
  .action(async ({ json, ...options }) => {
    set(SERVE_SETTINGS, options)
    const { listKeys } = await import('./keys-command.ts')
    await listKeys(loadConfig(process.env), json === true)
  })

keys
  .command('revoke')
  .description('Revokes a key. Every process refuses it within five seconds.')
  .argument('<id>', 'id of the key, as `circadian keys list` prints it')
  .option('--data-dir <folder>', 'folder of the embedded database (DATA_DIR)')
  .action(async (id: string, options) => {
    set(SERVE_SETTINGS, options)
    const { revokeKey } = await import('./keys-command.ts')
    await revokeKey(loadConfig(process.env), id)
  })

try {
  await program.parseAsync()
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) exitWithReason(thrown)
  // Help that was asked for; `circadian` alone prints it as an error.
  process.exitCode = thrown.exitCode === 0 ? 0 : EXIT_USAGE
}
