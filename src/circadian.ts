#!/usr/bin/env node
/**
 * @file The command `circadian` (`npx circadian` in a checkout). `serve`, `worker` and `migrate` run the programs
 * of `npm start`, `npm run start:worker` and `npm run migrate` in this process, so that signals reach them.
 *
 * Exit codes: 0; 1 for a failure, with its reason in one line; 2 for a command or an option that does not exist;
 * 78 (EX_CONFIG) for settings that are not valid.
 */

import { Command, CommanderError } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { loadConfig } from './config.ts'
import { exitWithReason } from './exit-with-reason.ts'

const EXIT_FAILURE = 1
const EXIT_USAGE = 2
const PARENT_CHECK_MS = 500

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

const model = program.command('model').description('Checks model directories.')

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

try {
  await program.parseAsync()
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) exitWithReason(thrown)
  // Help that was asked for; `circadian` alone prints it as an error.
  process.exitCode = thrown.exitCode === 0 ? 0 : EXIT_USAGE
}
